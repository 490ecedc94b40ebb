"""What a hand in the database could do to refunds, and the rule that must notice.

Of one payment a part is done, a part is done in cash, a part waits, a part was rejected, and a part was given back
elsewhere."""

from __future__ import annotations

_LEDGER = (
    "INSERT INTO ledger_entries (kind, debit_account, credit_account, amount, payment_id, refund_id, reason, "
    "happened_at, created_at)"
)

# (rule, statements, one after the other)
BREAKS: list[tuple[str, tuple[str, ...]]] = [
    ("amount_refunded", ("UPDATE payments SET amount_refunded = amount_refunded - 1 WHERE order_id = 'INV-1'",)),
    (
        "refunds_fit",
        (
            "DELETE FROM refunds WHERE method = 'elsewhere'",
            "UPDATE refunds SET amount = 15000",
        ),
    ),
    ("refund_rows", ("UPDATE refunds SET amount = amount + 1 WHERE status = 'DONE' AND method = 'provider'",)),
    ("refund_rows", ("UPDATE attempts SET amount_refunded = amount_refunded + 1",)),
    (
        "refund_ledger",
        ("DELETE FROM ledger_entries WHERE kind = 'refund_done'",),
    ),
    (
        "refund_ledger",
        ("DELETE FROM ledger_entries WHERE kind = 'refund_released'",),
    ),
    (
        "refund_ledger",
        (
            f"{_LEDGER} SELECT 'refund_released', 'refunds_reserved', 'refunds', amount, payment_id, id, "
            "reason, '', '' FROM refunds WHERE status = 'REQUESTED'",
        ),
    ),
    ("refund_elsewhere", ("DELETE FROM refunds WHERE method = 'elsewhere'",)),
    ("refund_approved", ("UPDATE refunds SET status = 'APPROVED' WHERE status = 'REQUESTED'",)),
    ("refund_approved", ("UPDATE refunds SET status = 'UNKNOWN' WHERE status = 'REQUESTED'",)),
    (
        "refund_approved",
        ("DELETE FROM refund_decisions WHERE decision = 'approved'",),
    ),
    ("self_approval", ("UPDATE refunds SET requested_by = (SELECT decided_by FROM refund_decisions LIMIT 1)",)),
    (
        "refund_decided",
        (
            "INSERT INTO refund_decisions (refund_id, decision, decided_by, content_hash, decided_at) "
            "SELECT refund_id, decision, decided_by, content_hash, decided_at FROM refund_decisions",
        ),
    ),
    ("refund_decided", ("UPDATE refunds SET status = 'CANCELLED' WHERE status = 'REJECTED'",)),
    (
        "refund_decided",
        (
            "UPDATE refunds SET status = 'APPROVED' WHERE status = 'REQUESTED'",
            "INSERT INTO refund_decisions (refund_id, decision, decided_by, content_hash, decided_at) "
            "SELECT r.id, word.value, 'clock', '', '' FROM refunds r, json_each('[\"approved\", \"voided\"]') word "
            "WHERE r.status = 'APPROVED'",
        ),
    ),
    ("refund_audit", ("UPDATE refund_decisions SET why = 'another'",)),
    ("refund_audit", ("UPDATE refund_decisions SET decided_by = 'another'",)),
    ("refund_audit", ("UPDATE refunds SET requested_by = 'another'",)),
    ("refund_audit", ("UPDATE refunds SET reason = 'another', content_hash = 'made anew' WHERE method = 'provider'",)),
    ("refund_audit", ("UPDATE refunds SET evidence = 'receipt 8', content_hash = 'made anew' WHERE method = 'cash'",)),
    ("refund_audit", ("UPDATE refunds SET amount = amount - 1 WHERE status = 'REQUESTED'",)),
    ("refund_audit", ("UPDATE refunds SET method = 'transfer' WHERE method = 'cash'",)),
    ("refund_audit", ("UPDATE refunds SET payment_id = 'another' WHERE status = 'REQUESTED'",)),
    ("refund_agreed", ("UPDATE refund_decisions SET content_hash = 'another' WHERE decision = 'approved'",)),
    ("refund_agreed", ("UPDATE refunds SET content_hash = 'another'",)),
    ("refund_elsewhere", ("UPDATE ledger_entries SET credit_account = 'receivable:x' WHERE kind = 'refunded_there'",)),
    ("ledger_refund", ("DELETE FROM refunds WHERE status = 'REQUESTED'",)),
    ("refund_content", ("UPDATE refunds SET amount = amount - 1 WHERE status = 'REQUESTED'",)),
    ("refund_content", ("UPDATE refunds SET reason = 'another' WHERE status = 'DONE'",)),
]
