"""Refunds: their sums, their way through the ledger, and who decided about them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from qrisd.domain.refund import content_hash
from qrisd.store import refunds
from qrisd.store.db import Connection
from qrisd.store.verify.rules import Check, Rule

_OPEN: Final = "('REQUESTED', 'APPROVED', 'UNKNOWN', 'PENDING')"
_COUNTS: Final = "('REQUESTED', 'APPROVED', 'UNKNOWN', 'PENDING', 'DONE')"


def _changed(conn: Connection) -> Iterator[str]:
    for refund in refunds.ours(conn):
        if content_hash(refund) != refund.content_hash:
            yield refund.id


RULES: Final[tuple[Rule | Check, ...]] = (
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
        f"""SELECT p.id FROM payments p JOIN refunds r ON r.payment_id = p.id AND r.status IN {_COUNTS}
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
            OR coalesce(sum(l.kind = 'refund_released'), 0) != (r.status NOT IN {_COUNTS})
            OR count(l.id) != 1 + (r.status NOT IN {_OPEN})""",
    ),
    # Transfers were booked against cash before there was a way to book them against the bank.
    Rule(
        "refund_account",
        "What was given back came out of the account of its provider, of the bank or of cash.",
        """SELECT r.id FROM ledger_entries l JOIN refunds r ON r.id = l.refund_id
           LEFT JOIN attempts a ON a.id = r.attempt_id
           WHERE l.kind = 'refund_done' AND CASE r.method
             WHEN 'cash' THEN l.credit_account != 'cash'
             WHEN 'transfer' THEN l.credit_account NOT IN ('bank', 'cash')
             ELSE l.credit_account IS NOT 'receivable:' || a.provider END""",
    ),
    Rule(
        "refund_elsewhere",
        "What providers gave back of a payment without us is in the ledger, for each provider.",
        """SELECT DISTINCT payment_id FROM (
             SELECT r.payment_id, 'receivable:' || a.provider AS account, r.amount
             FROM refunds r LEFT JOIN attempts a ON a.id = r.attempt_id WHERE r.method = 'elsewhere'
             UNION ALL SELECT payment_id, credit_account, -amount FROM ledger_entries
             WHERE kind = 'refunded_there' AND payment_id IS NOT NULL)
           GROUP BY payment_id, account HAVING sum(amount) != 0""",
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
           OR (r.status IN {_OPEN} AND (r.status != 'REQUESTED') !=
             coalesce(sum(d.decision = 'approved') - sum(d.decision = 'voided'), 0))
           OR coalesce(sum(d.decision = 'rejected'), 0) != (r.status = 'REJECTED')
           OR coalesce(sum(d.decision = 'expired'), 0) != (r.status = 'EXPIRED')
           OR coalesce(sum(d.decision = 'cancelled'), 0) != (r.status = 'CANCELLED')""",
    ),
    # Rows from before requests were written down in full lack a part of it. The plus keeps SQLite from reading all that
    # one person ever did for each of their refunds.
    Rule(
        "refund_audit",
        "Every decision about a refund has its row in the audit log, and so has every request, as it was made.",
        """SELECT d.refund_id || ' ' || d.decision FROM refund_decisions d WHERE NOT EXISTS
             (SELECT 1 FROM audit_log a WHERE a.what = d.refund_id AND a.action = 'refund.' || d.decision
              AND +a.who = d.decided_by AND a.at = d.decided_at AND a.why IS d.why)
           UNION ALL SELECT r.id || ' requested' FROM refunds r WHERE r.method != 'elsewhere' AND NOT EXISTS
             (SELECT 1 FROM audit_log a WHERE a.what = r.id AND a.action = 'refund.requested'
              AND +a.who = r.requested_by AND coalesce(a.why, r.reason) = r.reason
              AND coalesce(a.after ->> 'payment', r.payment_id) = r.payment_id
              AND coalesce(a.after ->> 'amount', r.amount) = r.amount
              AND coalesce(a.after ->> 'method', r.method) = r.method
              AND coalesce(a.after ->> 'content_hash', r.content_hash) = r.content_hash)""",
    ),
    # What voids an approval may name another content: that is why it does.
    Rule(
        "refund_agreed",
        "Every approval of a refund is of the content that it has.",
        """SELECT r.id FROM refund_decisions d JOIN refunds r ON r.id = d.refund_id
           WHERE d.decision = 'approved' AND d.content_hash != r.content_hash""",
    ),
    Rule(
        "refund_unknown",
        "No refund's outcome has been unknown for more than an hour: ask the provider, or resolve it in twos.",
        "SELECT id FROM refunds WHERE status = 'UNKNOWN' AND sent_at < :overdue",
    ),
    Check("refund_content", "Every refund that we asked for is what was asked for.", _changed),
)
