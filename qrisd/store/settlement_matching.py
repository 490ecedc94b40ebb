"""Which attempt a line of a report is about.

In this order: our own reference of the QR, our own of a refund, the provider's id of the QR, its id of a refund, the
bank's reference where one attempt alone has it, the merchant's order id. The amount never decides, it is compared
afterwards; only where payments are told apart by nothing else, a static QRIS with unique amounts, does it, and then
within the time the QR was open.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from qrisd.store.db import Connection

# A static QR can be paid after its time; by then another one may ask for the same amount.
LATE_AT_MOST: Final = timedelta(hours=1)

_STEPS: Final = (
    "SELECT a.id FROM attempts a WHERE a.reference = l.reference AND a.provider = l.provider",
    "SELECT a.id FROM refunds r JOIN attempts a ON a.id = r.attempt_id "
    "WHERE r.reference = l.reference AND a.provider = l.provider",
    "SELECT a.id FROM attempts a WHERE a.provider_trx_id = l.provider_trx_id AND a.provider = l.provider "
    "ORDER BY a.created_at DESC LIMIT 1",
    "SELECT a.id FROM refunds r JOIN attempts a ON a.id = r.attempt_id WHERE l.kind = 'refund' "
    "AND r.provider_refund_id IN (l.provider_trx_id, l.reference, l.line_id) AND a.provider = l.provider LIMIT 1",
    "SELECT min(a.id) FROM attempts a WHERE a.provider_ref_no = l.provider_ref_no AND a.provider = l.provider "
    "HAVING count(*) = 1",
    "SELECT a.id FROM payments p JOIN attempts a ON a.payment_id = p.id "
    "WHERE p.order_id IN (l.order_id, l.reference) AND a.provider = l.provider "
    "ORDER BY a.amount_paid > 0 DESC, a.number DESC LIMIT 1",
)
_CANDIDATES: Final = (
    "DROP TABLE IF EXISTS temp.candidates",
    "CREATE TEMP TABLE candidates AS SELECT id, amount, created_at, "
    "strftime('%Y-%m-%dT%H:%M:%fZ', expires_at, :late) AS until FROM attempts WHERE provider = :provider",
    "CREATE INDEX temp.candidates_by_amount ON candidates (amount)",
)
_BY_AMOUNT: Final = (
    "SELECT min(c.id) FROM temp.candidates c WHERE c.amount = l.amount "
    "AND l.transacted_at BETWEEN c.created_at AND c.until HAVING count(*) = 1"
)


def match(conn: Connection, table: str, provider: str, *, by_amount: bool = False) -> None:
    """Fill in attempt_id and payment_id of the lines in `table` (`temp.staged` or `settlements`) that have none.
    `by_amount` where the amounts of this provider are unique."""
    told = {"provider": provider, "late": f"+{int(LATE_AT_MOST.total_seconds())} seconds"}
    for statement in _CANDIDATES if by_amount else ():
        conn.execute(statement, told)
    for step in (*_STEPS, _BY_AMOUNT) if by_amount else _STEPS:
        conn.execute(
            f"UPDATE {table} AS l SET attempt_id = ({step}) "
            "WHERE l.payment_id IS NULL AND l.attempt_id IS NULL AND l.provider = :provider",
            told,
        )
    conn.execute(
        f"UPDATE {table} AS l SET payment_id = (SELECT a.payment_id FROM attempts a WHERE a.id = l.attempt_id) "
        "WHERE l.payment_id IS NULL AND l.attempt_id IS NOT NULL AND l.provider = :provider",
        told,
    )
