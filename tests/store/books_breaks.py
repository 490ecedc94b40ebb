"""What a hand in the database could do to the books, and the rule that must notice. Two payments are settled, of one a
part was given back by the provider and a part by transfer, the ledger was put right twice by the same."""

from __future__ import annotations

_INTO = (
    "INSERT INTO ledger_entries (kind, debit_account, credit_account, amount, happened_at, created_at{}) VALUES ({})"
)
_ONE_EXCEPTION = "(SELECT id FROM reconciliation_exceptions WHERE status = 'OPEN' AND note IS {} NULL LIMIT 1)"


def _other(kind: str, column: str, account: str = "receivable:other") -> tuple[str, ...]:
    return (f"UPDATE ledger_entries SET {column} = '{account}' WHERE kind = '{kind}'",)


def _entry(values: str, more: str = "") -> tuple[str, ...]:
    return (_INTO.format(more, values),)


# (rule, statements, one after the other)
BREAKS: list[tuple[str, tuple[str, ...]]] = [
    ("ledger_arrived", _other("paid", "debit_account")),
    ("ledger_sale", _other("paid", "debit_account")),
    ("ledger_sale", ("UPDATE ledger_entries SET amount = amount - 1 WHERE kind = 'paid'",)),
    ("ledger_sale", ("UPDATE attempts SET amount = 14000 WHERE amount = 15000",)),
    ("ledger_paid_at", ("UPDATE payments SET paid_at = created_at WHERE order_id = 'INV-1'",)),
    ("ledger_paid_at", ("UPDATE ledger_entries SET happened_at = '2026-01-01T00:00:00.000Z' WHERE kind = 'paid'",)),
    ("ledger_names", _entry("'settled', 'bank', 'receivable:simulator', 100, '', ''")),
    ("ledger_names", _entry("'overpaid', 'receivable:simulator', 'overpaid', 100, '', ''")),
    ("ledger_names", _entry("'refund_done', 'refunds_reserved', 'bank', 100, '', ''")),
    ("ledger_names", _entry("'refunded_there', 'refunds', 'receivable:simulator', 100, '', ''")),
    ("ledger_names", ("UPDATE ledger_entries SET payment_id = (SELECT id FROM payments) WHERE kind = 'adjusted'",)),
    ("ledger_refund", ("DELETE FROM refunds",)),
    ("ledger_refund", ("UPDATE ledger_entries SET payment_id = (SELECT max(id) FROM payments) WHERE refund_id > ''",)),
    ("ledger_ids", ("DELETE FROM ledger_entries WHERE id = 2",)),
    ("ledger_ids", ("DELETE FROM ledger_entries WHERE id = 1",)),
    ("ledger_ids", ("UPDATE ledger_entries SET id = -4 WHERE id = 4",)),
    ("ledger_ids", ("UPDATE ledger_entries SET id = 9000 WHERE id = (SELECT max(id) FROM ledger_entries)",)),
    ("ledger_adjusted", _entry("'adjusted', 'sales', 'bank', 7, '', '', 'x'", ", reason")),
    ("ledger_adjusted", ("UPDATE ledger_entries SET amount = 50000 WHERE kind = 'adjusted'",)),
    ("ledger_adjusted", ("UPDATE ledger_entries SET reason = 'another' WHERE kind = 'adjusted'",)),
    (
        "ledger_adjusted",
        ("DELETE FROM ledger_entries WHERE id = (SELECT max(id) FROM ledger_entries WHERE kind = 'adjusted')",),
    ),
    ("refund_account", _other("refund_done", "credit_account")),
    ("refund_account", _other("refund_done", "credit_account", "bank")),
    ("refund_account", _other("refund_done", "credit_account", "receivable:simulator")),
    ("settlement_booked", _other("settled", "credit_account")),
    ("settlement_booked", _other("fee", "credit_account")),
    ("settlement_booked", ("UPDATE settlements SET provider = 'other'",)),
    (
        "settlement_booked",
        ("UPDATE ledger_entries SET payment_id = (SELECT max(id) FROM payments) WHERE settlement_id > 0",),
    ),
    (
        "settlement_booked",
        ("UPDATE settlements SET payment_id = (SELECT max(id) FROM payments)",),
    ),
    ("payout_entered", ("UPDATE payouts SET amount = amount + 1",)),
    ("payout_entered", ("UPDATE payouts SET day = '2026-01-10' WHERE amount = 7",)),
    ("payout_entered", ("DELETE FROM payouts WHERE amount = 7",)),
    (
        "exception_noted",
        (f"UPDATE reconciliation_exceptions SET status = 'RESOLVED' WHERE id = {_ONE_EXCEPTION.format('')}",),
    ),
    (
        "exception_noted",
        (f"UPDATE reconciliation_exceptions SET status = 'RESOLVED' WHERE id = {_ONE_EXCEPTION.format('NOT')}",),
    ),
    ("exception_noted", ("UPDATE reconciliation_exceptions SET note = 'another' WHERE note IS NOT NULL",)),
    ("exception_noted", ("UPDATE reconciliation_exceptions SET note = NULL",)),
    ("exception_noted", ("UPDATE reconciliation_exceptions SET owner = 'another' WHERE status = 'RESOLVED'",)),
    ("exception_noted", ("DELETE FROM reconciliation_exceptions WHERE note IS NOT NULL",)),
    ("audit_chain", ("UPDATE audit_log SET who = 'another' WHERE id = 1",)),
]
