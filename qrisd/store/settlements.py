"""The settlements table: the lines of the providers' reports."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from qrisd.domain.settlement import Kind, Line
from qrisd.domain.times import from_text_or_none
from qrisd.store.db import Connection
from qrisd.store.rows import marks

_COLUMNS: Final = (
    "s.id, s.provider, s.kind, s.line_id, s.provider_trx_id, s.payment_id, s.attempt_id, s.reference, s.order_id, "
    "s.provider_ref_no, s.amount, s.fee, s.vat, s.net_amount, s.currency, s.settlement_date, s.is_settled, "
    "s.transacted_at, s.batch, s.status, s.file_id, s.row_number, s.raw, s.reconciled"
)
_SELECT: Final = f"SELECT {_COLUMNS} FROM settlements s"
_PAYMENTS_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which lines to list; None leaves a field open. The days are those they are paid out on, both included; `before`
    is the id of the last line of the page before."""

    since: date | None = None
    until: date | None = None
    provider: str | None = None
    kind: Kind | None = None
    file_id: str | None = None
    is_matched: bool | None = None
    before: int | None = None


def find(conn: Connection, wanted: Filter, limit: int) -> list[Line]:
    """At most `limit` lines, the newest first; the order never changes when more are imported."""
    parts: list[tuple[str, Any]] = [
        ("s.settlement_date >= ?", _day(wanted.since)),
        ("s.settlement_date <= ?", _day(wanted.until)),
        ("s.provider = ?", wanted.provider),
        ("s.kind = ?", wanted.kind),
        ("s.file_id = ?", wanted.file_id),
        ("s.id < ?", wanted.before),
    ]
    clauses = [clause for clause, value in parts if value is not None]
    values = [value for _, value in parts if value is not None]
    if wanted.is_matched is not None:
        clauses.append("s.payment_id IS NOT NULL" if wanted.is_matched else "s.payment_id IS NULL")
    where = f"WHERE {' AND '.join(clauses)}" if clauses else ""
    return [_line(row) for row in conn.execute(f"{_SELECT} {where} ORDER BY s.id DESC LIMIT ?", (*values, limit))]


def of_payments(conn: Connection, payment_ids: Sequence[str]) -> Iterator[Line]:
    """Every line that is about one of these payments, in the order they came for each part of the list."""
    for start in range(0, len(payment_ids), _PAYMENTS_AT_ONCE):
        part = payment_ids[start : start + _PAYMENTS_AT_ONCE]
        for row in conn.execute(f"{_SELECT} WHERE s.payment_id IN ({marks(part)}) ORDER BY s.id", part):
            yield _line(row)


def unmatched(conn: Connection, provider: str) -> Iterator[Line]:
    """The lines of payments and refunds of this provider that belong to no payment of ours, in the order they came."""
    sql = f"{_SELECT} WHERE s.payment_id IS NULL AND s.provider = ? AND s.kind IN ('payment', 'refund') ORDER BY s.id"
    for row in conn.execute(sql, (provider,)):
        yield _line(row)


def mark_reconciled(conn: Connection, line_ids: Sequence[int], *, reconciled: bool = True) -> None:
    """Say of these lines whether they were found to agree."""
    values = [(reconciled, line_id) for line_id in line_ids]
    conn.executemany("UPDATE settlements SET reconciled = ?1 WHERE id = ?2 AND reconciled != ?1", values)


def _day(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


def _line(row: Any) -> Line:
    facts = dict(row)
    facts["kind"] = Kind(facts["kind"])
    facts["settlement_date"] = date.fromisoformat(facts["settlement_date"])
    facts["is_settled"] = bool(facts["is_settled"])
    facts["transacted_at"] = from_text_or_none(facts["transacted_at"])
    facts["raw"] = json.loads(facts["raw"])
    facts["reconciled"] = bool(facts["reconciled"])
    return Line(**facts)
