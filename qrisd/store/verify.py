"""What must always hold about the stored payments, and the rows that break it.

Each rule is one query that answers with the offenders, so that memory stays bounded however much is stored; all are
read in one transaction, so that a running server cannot come in between.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Final

from qrisd.domain.payment import MOVES
from qrisd.domain.qr_check import qr_problem
from qrisd.domain.refund import content_hash
from qrisd.domain.times import to_text
from qrisd.store import audit_log, refunds
from qrisd.store.db import Connection

OFFENDERS_MAX: Final = 100
OVERDUE_AFTER: Final = timedelta(hours=1)

_MONEY: Final = "('PAID', 'PARTIALLY_REFUNDED', 'REFUNDED')"
_REFUND_OPEN: Final = "('REQUESTED', 'APPROVED', 'UNKNOWN', 'PENDING')"
_REFUND_COUNTS: Final = "('REQUESTED', 'APPROVED', 'UNKNOWN', 'PENDING', 'DONE')"


@dataclass(frozen=True, slots=True)
class Rule:
    """What must hold, and the query for who breaks it: one column, the offender as a person can look it up. `:moves` is
    the table of moves, `:overdue` the moment before which nothing may still be waiting. A rule that needs `overdue` is
    a warning: it asks for a person, it proves no wrong."""

    name: str
    says: str
    sql: str

    @property
    def is_warning(self) -> bool:
        return ":overdue" in self.sql


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule with at most OFFENDERS_MAX of those that break it."""

    rule: str
    says: str
    is_warning: bool
    offenders: tuple[str, ...]


RULES: Final = (
    Rule(
        "amount_paid",
        "A payment's amount_paid is the sum of what its attempts received.",
        """SELECT p.id FROM payments p WHERE p.amount_paid !=
           (SELECT coalesce(sum(a.amount_paid), 0) FROM attempts a WHERE a.payment_id = p.id)""",
    ),
    Rule(
        "paid_status",
        "A payment counts as paid exactly when one of its attempts received its whole amount.",
        f"""SELECT p.id FROM payments p WHERE (p.status IN {_MONEY}) !=
            EXISTS (SELECT 1 FROM attempts a WHERE a.payment_id = p.id AND a.amount_paid >= a.amount)""",
    ),
    Rule(
        "paid_at",
        "A payment has paid_at exactly when it counts as paid.",
        f"SELECT id FROM payments WHERE (status IN {_MONEY}) != (paid_at IS NOT NULL)",
    ),
    Rule(
        "attempt_paid",
        "An attempt is PAID exactly when it received its whole amount.",
        """SELECT payment_id || ' attempt ' || number FROM attempts
           WHERE (status = 'PAID') != (amount_paid >= amount)""",
    ),
    Rule(
        "exception",
        "The exception says what the amounts say: underpaid is unpaid with money, every other one is paid.",
        f"""SELECT id FROM payments
            WHERE (status NOT IN {_MONEY} AND amount_paid > 0) != (exception IS 'underpaid')
            OR (exception IN ('late', 'after_cancel', 'overpaid', 'duplicate') AND status NOT IN {_MONEY})
            OR (exception IS 'overpaid' AND amount_paid <= amount)""",
    ),
    Rule(
        "duplicate",
        "A payment is marked duplicate only when two attempts received money.",
        """SELECT p.id FROM payments p WHERE p.exception = 'duplicate' AND
           (SELECT count(*) FROM attempts a WHERE a.payment_id = p.id AND a.amount_paid > 0) < 2""",
    ),
    Rule(
        "refunds",
        "Refunds never exceed what was paid, and the status of a paid payment says how much went back.",
        f"""SELECT id FROM payments WHERE amount_refunded NOT BETWEEN 0 AND amount_paid
            OR (status IN {_MONEY} AND (amount_refunded > 0) != (status != 'PAID'))
            OR (status = 'PARTIALLY_REFUNDED' AND amount_refunded = amount_paid)
            OR (status = 'REFUNDED' AND amount_refunded < amount_paid
                AND coalesce(exception, '') NOT IN ('overpaid', 'duplicate'))""",
    ),
    Rule(
        "amount_refunded",
        "A payment's amount_refunded is what was given back of its attempts, and by hand.",
        """SELECT p.id FROM payments p WHERE p.amount_refunded != min(p.amount_paid,
           (SELECT coalesce(sum(a.amount_refunded), 0) FROM attempts a WHERE a.payment_id = p.id)
           + (SELECT coalesce(sum(r.amount), 0) FROM refunds r WHERE r.payment_id = p.id AND r.status = 'DONE'
              AND r.method IN ('cash', 'transfer')))""",
    ),
    # What a provider gives back without us may exceed what is left: it cannot be prevented here.
    Rule(
        "refunds_fit",
        "Refunds that are done or promised never exceed what was paid, but for what a provider gave back without us.",
        f"""SELECT p.id FROM payments p JOIN refunds r ON r.payment_id = p.id AND r.status IN {_REFUND_COUNTS}
            GROUP BY p.id HAVING sum(r.amount) > p.amount_paid AND sum(r.method = 'elsewhere') = 0""",
    ),
    Rule(
        "refund_rows",
        "What was given back of an attempt is the sum of its refunds, as far as it was paid.",
        """SELECT a.payment_id || ' attempt ' || a.number FROM attempts a WHERE a.amount_refunded != min(a.amount_paid,
           (SELECT coalesce(sum(r.amount), 0) FROM refunds r WHERE r.attempt_id = a.id AND r.status = 'DONE'))""",
    ),
    Rule(
        "refund_ledger",
        "A refund is reserved in the ledger once, and released or done there once it has ended so.",
        f"""SELECT r.id FROM refunds r LEFT JOIN ledger_entries l ON l.refund_id = r.id AND l.amount = r.amount
            AND l.payment_id = r.payment_id WHERE r.method != 'elsewhere' GROUP BY r.id
            HAVING coalesce(sum(l.kind = 'refund_reserved'), 0) != 1
            OR coalesce(sum(l.kind = 'refund_done'), 0) != (r.status = 'DONE')
            OR coalesce(sum(l.kind = 'refund_released'), 0) != (r.status NOT IN {_REFUND_COUNTS})
            OR count(l.id) != 1 + (r.status NOT IN {_REFUND_OPEN})""",
    ),
    Rule(
        "refund_elsewhere",
        "What providers gave back of a payment without us is in the ledger.",
        """SELECT p.id FROM payments p WHERE
           (SELECT coalesce(sum(r.amount), 0) FROM refunds r WHERE r.payment_id = p.id AND r.method = 'elsewhere') !=
           (SELECT coalesce(sum(l.amount), 0) FROM ledger_entries l
            WHERE l.payment_id = p.id AND l.kind = 'refunded_there')""",
    ),
    Rule(
        "refund_approved",
        "Whatever was approved, sent or given by hand has the approval of somebody who did not ask for it.",
        """SELECT r.id FROM refunds r WHERE (r.status IN ('APPROVED', 'UNKNOWN', 'PENDING') OR r.sent_at IS NOT NULL
             OR (r.status = 'DONE' AND r.method IN ('cash', 'transfer')))
           AND NOT EXISTS (SELECT 1 FROM refund_decisions d WHERE d.refund_id = r.id AND d.decision = 'approved'
             AND d.decided_by != r.requested_by)""",
    ),
    Rule(
        "self_approval",
        "Nobody decided about a refund they asked for, other than to withdraw it.",
        """SELECT r.id FROM refunds r JOIN refund_decisions d ON d.refund_id = r.id
           WHERE d.decided_by = r.requested_by AND d.decision IN ('approved', 'rejected')""",
    ),
    Rule(
        "refund_decided",
        "A refund was decided once, and stands where the decision put it.",
        f"""SELECT r.id FROM refunds r LEFT JOIN refund_decisions d ON d.refund_id = r.id GROUP BY r.id
           HAVING coalesce(sum(d.decision = 'approved'), 0) > coalesce(sum(d.decision = 'voided'), 0) + 1
           OR (r.status IN {_REFUND_OPEN} AND (r.status != 'REQUESTED') !=
             coalesce(sum(d.decision = 'approved') - sum(d.decision = 'voided'), 0))
           OR coalesce(sum(d.decision = 'rejected'), 0) != (r.status = 'REJECTED')
           OR coalesce(sum(d.decision = 'expired'), 0) != (r.status = 'EXPIRED')
           OR coalesce(sum(d.decision = 'cancelled'), 0) != (r.status = 'CANCELLED')""",
    ),
    Rule(
        "refund_audit",
        "Every decision about a refund has its row in the audit log, and so has every request.",
        """SELECT d.refund_id || ' ' || d.decision FROM refund_decisions d WHERE NOT EXISTS
             (SELECT 1 FROM audit_log a WHERE a.what = d.refund_id AND a.action = 'refund.' || d.decision
              AND a.who = d.decided_by AND a.at = d.decided_at AND a.why IS d.why)
           UNION ALL SELECT r.id || ' requested' FROM refunds r WHERE r.method != 'elsewhere' AND NOT EXISTS
             (SELECT 1 FROM audit_log a WHERE a.what = r.id AND a.action = 'refund.requested'
              AND a.who = r.requested_by)""",
    ),
    Rule(
        "ledger_paid",
        "A payment has one entry of its sale in the ledger exactly when it counts as paid.",
        f"""SELECT p.id FROM payments p WHERE (p.status IN {_MONEY}) !=
            (SELECT count(*) FROM ledger_entries l WHERE l.payment_id = p.id AND l.kind = 'paid')""",
    ),
    Rule(
        "ledger_arrived",
        "What the ledger says came in for a payment is its amount_paid.",
        """SELECT p.id FROM payments p WHERE p.amount_paid !=
           (SELECT coalesce(sum(l.amount), 0) FROM ledger_entries l WHERE l.payment_id = p.id
            AND l.kind IN ('paid', 'underpaid', 'overpaid') AND l.debit_account != 'unapplied')""",
    ),
    Rule(
        "ledger_accounts",
        "No account of the ledger is below zero, but for what providers owe, bank and cash.",
        """SELECT account FROM (
             SELECT debit_account AS account, amount FROM ledger_entries
             UNION ALL SELECT credit_account, -amount FROM ledger_entries)
           WHERE account NOT GLOB 'receivable:*' AND account NOT IN ('bank', 'cash') GROUP BY account
           HAVING iif(account IN ('refunds', 'fees'), sum(amount), -sum(amount)) < 0""",
    ),
    Rule(
        "settlement_posted",
        "What a settled line says was kept and handed over is in the ledger once, and nothing of a line that is not.",
        """SELECT s.id || ' of file ' || s.file_id || ', row ' || s.row_number FROM settlements s LEFT JOIN (
             SELECT settlement_id,
               sum(CASE kind WHEN 'fee' THEN amount WHEN 'fee_back' THEN -amount ELSE 0 END) AS fee,
               sum(CASE kind WHEN 'settled' THEN amount WHEN 'settled_back' THEN -amount ELSE 0 END) AS net_amount
             FROM ledger_entries WHERE settlement_id IS NOT NULL GROUP BY settlement_id) l ON l.settlement_id = s.id
           WHERE (coalesce(l.fee, 0), coalesce(l.net_amount, 0))
             != (iif(s.is_settled, s.fee, 0), iif(s.is_settled, s.net_amount, 0))
           UNION ALL SELECT DISTINCT 'ledger entry of settlement ' || settlement_id FROM ledger_entries
           WHERE settlement_id IS NOT NULL AND settlement_id NOT IN (SELECT id FROM settlements)""",
    ),
    Rule(
        "settlement_net",
        "The net amount of a settlement line is its amount less its fee.",
        "SELECT id FROM settlements WHERE net_amount != amount - fee",
    ),
    Rule(
        "settlement_match",
        "A settlement line is about the payment of its attempt.",
        """SELECT s.id FROM settlements s LEFT JOIN attempts a ON a.id = s.attempt_id
           WHERE s.payment_id IS NOT a.payment_id""",
    ),
    Rule(
        "settlement_files",
        "The counts and sums of an imported report are those of the lines it brought.",
        """SELECT f.id FROM settlement_files f LEFT JOIN (
             SELECT file_id, count(*) AS lines, sum(amount) AS amount, sum(fee) AS fee, sum(net_amount) AS net_amount
             FROM (SELECT file_id, amount, fee, net_amount FROM settlements
                   UNION ALL SELECT file_id, amount, fee, net_amount FROM settlement_changes)
             GROUP BY file_id) l ON l.file_id = f.id
           WHERE (f.lines, f.amount, f.fee, f.net_amount) IS NOT
             (coalesce(l.lines, 0), coalesce(l.amount, 0), coalesce(l.fee, 0), coalesce(l.net_amount, 0))""",
    ),
    Rule(
        "attempts",
        "A payment's attempts are numbered 1 to its present one.",
        """SELECT p.id FROM payments p LEFT JOIN attempts a ON a.payment_id = p.id GROUP BY p.id
           HAVING count(a.id) != p.attempt OR min(a.number) IS NOT 1 OR max(a.number) IS NOT p.attempt""",
    ),
    Rule(
        "open_attempt",
        "While a payment is open, its present attempt stands where it stands.",
        """SELECT p.id FROM payments p JOIN attempts a ON a.payment_id = p.id AND a.number = p.attempt
           WHERE p.status IN ('CREATED', 'PENDING') AND a.status != p.status""",
    ),
    Rule(
        "watched",
        "Every open attempt has a time when it is looked at next.",
        """SELECT payment_id || ' attempt ' || number FROM attempts
           WHERE status IN ('CREATED', 'PENDING') AND next_check_at IS NULL""",
    ),
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
    Rule(
        "events",
        "A payment's events are numbered 1 to its sequence, without a gap.",
        """SELECT p.id FROM payments p LEFT JOIN events e ON e.payment_id = p.id GROUP BY p.id
           HAVING count(e.id) != p.sequence OR coalesce(min(e.sequence), 1) != 1
           OR coalesce(max(e.sequence), 0) != p.sequence""",
    ),
    Rule(
        "event_body",
        "An event's body says its own type, sequence and payment.",
        """SELECT payment_id || ' event ' || sequence FROM events WHERE NOT json_valid(body)
           OR body ->> '$.type' IS NOT type OR body ->> '$.sequence' IS NOT sequence
           OR body ->> '$.data.id' IS NOT payment_id""",
    ),
    Rule(
        "paid_event",
        "A payment has one payment.paid event when it is paid, and none when it is not.",
        f"""SELECT p.id FROM payments p WHERE (p.status IN {_MONEY}) !=
            (SELECT count(*) FROM events e WHERE e.payment_id = p.id AND e.type = 'payment.paid')""",
    ),
    Rule(
        "status_event",
        "A payment's present status was told by an event.",
        """SELECT p.id FROM payments p WHERE p.status != 'CREATED' AND NOT EXISTS
           (SELECT 1 FROM events e WHERE e.payment_id = p.id AND e.type = 'payment.' || lower(p.status))""",
    ),
    Rule(
        "exception_event",
        "A payment's exception was told by an event.",
        """SELECT p.id FROM payments p WHERE p.exception IS NOT NULL AND NOT EXISTS
           (SELECT 1 FROM events e WHERE e.payment_id = p.id AND e.type = 'payment.exception'
            AND e.body ->> '$.data.exception' = p.exception)""",
    ),
    Rule(
        "callbacks",
        "Every event of a payment with a callback_url has one callback, to that URL, and no other event has any.",
        """SELECT e.payment_id || ' event ' || e.sequence FROM events e JOIN payments p ON p.id = e.payment_id
           LEFT JOIN callbacks c ON c.event_id = e.id
           WHERE p.callback_url IS NOT c.url OR (c.id IS NOT NULL AND c.payment_id IS NOT e.payment_id)""",
    ),
    Rule(
        "callback_done",
        "A DELIVERED callback has a try that was answered with 2xx.",
        """SELECT c.id FROM callbacks c WHERE c.status = 'DELIVERED' AND NOT EXISTS (SELECT 1 FROM callback_tries t
           WHERE t.callback_id = c.id AND t.status_code BETWEEN 200 AND 299)""",
    ),
    Rule(
        "callback_reason",
        "A callback that was given up, or tried and not delivered, says why.",
        "SELECT id FROM callbacks WHERE reason IS NULL AND (status = 'DEAD' OR (status = 'WAITING' AND tries > 0))",
    ),
    Rule(
        "idempotency",
        "Every idempotency key belongs to a payment.",
        """SELECT k.api_key_id || ' ' || k.key FROM idempotency_keys k LEFT JOIN payments p ON p.id = k.payment_id
           WHERE p.id IS NULL""",
    ),
    Rule(
        "webhook_done",
        "A webhook event has processed_at exactly when nothing is left to do about it.",
        "SELECT id FROM webhook_events WHERE (status = 'PENDING') != (processed_at IS NULL)",
    ),
    Rule(
        "unknown_outcome",
        "No provider's answer has been missing for more than an hour: look at the provider, it may hold a live QR.",
        """SELECT payment_id || ' attempt ' || number || ' at ' || provider FROM attempts
           WHERE status = 'CREATED' AND created_at < :overdue""",
    ),
    Rule(
        "refund_unknown",
        "No refund's outcome has been unknown for more than an hour: ask the provider, or resolve it in twos.",
        "SELECT id FROM refunds WHERE status = 'UNKNOWN' AND sent_at < :overdue",
    ),
    Rule(
        "webhook_waiting",
        "No webhook has waited more than an hour for its provider to confirm it.",
        "SELECT id FROM webhook_events WHERE status = 'PENDING' AND received_at < :overdue",
    ),
    Rule(
        "callback_waiting",
        "No callback has been due for more than an hour, unless its receiver is in trouble.",
        """SELECT id FROM callbacks WHERE status = 'WAITING' AND next_try_at < :overdue
           AND endpoint NOT IN (SELECT url FROM callback_endpoints)""",
    ),
)


def violations(conn: Connection, now: datetime | None = None) -> list[Finding]:
    """The rules that do not hold, each with its offenders. Without `now` nothing is judged by its age."""
    return [finding for finding in findings(conn, now) if finding.offenders]


def findings(conn: Connection, now: datetime | None = None) -> Iterator[Finding]:
    """Every rule with its offenders, read in one transaction; changes nothing."""
    with _one_moment(conn):
        for rule in RULES:
            if now is not None or not rule.is_warning:
                yield Finding(rule.name, rule.says, rule.is_warning, _first(_rows(conn, rule, now)))
        for name, says, find in _CHECKS:
            yield Finding(name, says, False, _first(find(conn)))


@contextmanager
def _one_moment(conn: Connection) -> Iterator[None]:
    conn.execute("BEGIN")
    try:
        yield
    finally:
        conn.execute("ROLLBACK")


def _first(offenders: Iterator[str]) -> tuple[str, ...]:
    """At most OFFENDERS_MAX of them. What damage or a foreign hand makes unreadable is itself an offence."""
    try:
        return tuple(islice(offenders, OFFENDERS_MAX))
    except sqlite3.DatabaseError as error:
        return (f"cannot be checked: {error}",)


def _rows(conn: Connection, rule: Rule, now: datetime | None) -> Iterator[str]:
    moves = [f"{start}>{finish}" for start, after in MOVES.items() for finish in after]
    overdue = None if now is None else to_text(now - OVERDUE_AFTER)
    for row in conn.execute(rule.sql, {"moves": json.dumps(moves), "overdue": overdue}):
        yield row[0]


def _unreadable_qrs(conn: Connection) -> Iterator[str]:
    """Only QRs that can be paid now: those of closed payments were checked when they were shown."""
    rows = conn.execute(
        "SELECT p.id, p.qris_payload, a.amount FROM payments p "
        "JOIN attempts a ON a.payment_id = p.id AND a.number = p.attempt WHERE p.status = 'PENDING'"
    )
    for payment_id, payload, amount in rows:
        problem = qr_problem(payload or "", amount, None)
        if problem is not None:
            yield f"{payment_id} {problem}"


def _changed_refunds(conn: Connection) -> Iterator[str]:
    for refund in refunds.ours(conn):
        if content_hash(refund) != refund.content_hash:
            yield refund.id


def _foreign_keys(conn: Connection) -> Iterator[str]:
    for table, row_id, parent, _ in conn.execute("PRAGMA foreign_key_check"):
        yield f"{table} row {row_id} names no {parent}"


def _damage(conn: Connection) -> Iterator[str]:
    for row in conn.execute(f"PRAGMA quick_check({OFFENDERS_MAX})"):
        if row[0] != "ok":
            yield row[0]


_CHECKS: Final[tuple[tuple[str, str, Callable[[Connection], Iterator[str]]], ...]] = (
    ("qr", "Every QR that can be paid now is whole and asks for its attempt's amount.", _unreadable_qrs),
    ("refund_content", "Every refund that we asked for is what was asked for.", _changed_refunds),
    ("foreign_keys", "Every row that names another one finds it.", _foreign_keys),
    ("audit_chain", "Every row of the audit log is as it was written, and none is missing.", audit_log.first_bad),
    ("pages", "The database file is undamaged.", _damage),
)
