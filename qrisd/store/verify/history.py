"""What payment_logs says happened to payments."""

from __future__ import annotations

from typing import Final

from qrisd.store.verify.rules import Check, Rule

RULES: Final[tuple[Rule | Check, ...]] = (
    Rule(
        "created_log",
        "Every payment has exactly one CREATED row in payment_logs.",
        """SELECT p.id FROM payments p WHERE
           (SELECT count(*) FROM payment_logs l WHERE l.payment_id = p.id AND l.event = 'CREATED') != 1""",
    ),
    Rule(
        "attempt_log",
        "Every attempt has a row in payment_logs that speaks of it.",
        """SELECT a.payment_id || ' attempt ' || a.number FROM attempts a WHERE NOT EXISTS
           (SELECT 1 FROM payment_logs l WHERE l.payment_id = a.payment_id AND l.payload ->> 'attempt' = a.number)""",
    ),
    # A row with a "problem" tells of an answer that was not believed; that may have ended the attempt as FAILED.
    Rule(
        "logged_status",
        "A payment stands where the last row of its payment_logs leaves it.",
        """SELECT p.id FROM payments p WHERE p.status NOT IN (
             SELECT coalesce((SELECT l.payload ->> 'to' FROM payment_logs l WHERE l.payment_id = p.id
               AND l.payload ->> 'to' IS NOT NULL ORDER BY l.id DESC LIMIT 1), 'CREATED')
             UNION ALL SELECT 'FAILED' FROM payment_logs l WHERE l.payment_id = p.id
               AND l.payload ->> 'problem' IS NOT NULL)""",
    ),
    Rule(
        "moves",
        "Every move in payment_logs begins where the one before ended, and is one a payment can make.",
        """SELECT DISTINCT payment_id FROM (
             SELECT payment_id, payload ->> 'from' AS start, payload ->> 'to' AS finish,
               lag(payload ->> 'to', 1, 'CREATED') OVER story AS before,
               lag(payload ->> 'problem') OVER story AS problem_before
             FROM payment_logs WHERE payload ->> 'to' IS NOT NULL OR payload ->> 'problem' IS NOT NULL
             WINDOW story AS (PARTITION BY payment_id ORDER BY id))
           WHERE finish IS NOT NULL AND (
             (start != finish AND start || '>' || finish NOT IN (SELECT value FROM json_each(:moves)))
             OR (start IS NOT before AND problem_before IS NULL))""",
    ),
)
