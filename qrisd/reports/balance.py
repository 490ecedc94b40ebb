"""Balance reports: what came, the fee and the tax on it are rows of their own, put together here into one line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final
from zoneinfo import ZoneInfo

from qrisd.domain.settlement import Kind, Line
from qrisd.reports.cells import Row, WrongCell
from qrisd.reports.layout import Found, plain
from qrisd.reports.lines import LineReader, Read, Skipped, read_rows

_REVERSAL: Final = "reversal"
_PARTS: Final = ("transaction", "fee", "vat")
_SIGNS: Final = {"credit": 1, "debit": -1}


@dataclass(slots=True)
class _Parts:
    """What was read of one line so far. `line_id` is that of the transaction, else of the first row."""

    line_id: str
    kind: Kind
    row_number: int
    day: date
    reference: str | None
    provider_trx_id: str | None
    provider_ref_no: str | None
    transacted_at: datetime | None
    raw: dict[str, str]
    has_transaction: bool = False
    amount: int = 0
    fee: int = 0
    vat: int = 0


def read_balance(found: Found, provider: str, ours: ZoneInfo, today: date) -> Iterator[Read]:
    """The lines of a balance report: rows that cannot be read first, then the lines in the order they began. `ours` is
    the merchant's zone, `today` the business day there. Raises Invalid when the whole file cannot be read."""
    reader = LineReader(found, provider, ours, today)
    lines: dict[tuple[Kind, str], _Parts] = {}
    for row in read_rows(found, reader.columns):
        try:
            skipped = _add(lines, row, reader)
        except WrongCell as wrong:
            yield wrong.error
        else:
            if skipped is not None:
                yield skipped
    while lines:
        yield reader.planned(_line(lines.pop(next(iter(lines))), provider))


def _add(lines: dict[tuple[Kind, str], _Parts], row: Row, reader: LineReader) -> Skipped | None:
    row.refuse_more_cells()
    skipped = reader.skipped(row)
    kind = reader.kind(row)
    if skipped is not None or isinstance(kind, Skipped):
        return skipped or (kind if isinstance(kind, Skipped) else None)
    part, amount = _part(row), _signed(row)
    group = row.text("group") or reader.line_id(row)
    line_id, day = reader.line_id(row), reader.day(row, is_settled=True)
    parts = lines.setdefault((kind, group), _begun(row, kind, line_id, day))
    if part == "transaction":
        _take_transaction(parts, row, line_id, day, amount)
    else:
        parts.fee -= amount
        parts.vat -= amount if part == "vat" else 0
    return None


def _take_transaction(parts: _Parts, row: Row, line_id: str, day: date, amount: int) -> None:
    if not parts.has_transaction:
        parts.line_id, parts.row_number, parts.raw = line_id, row.number, row.raw()
        parts.day, parts.has_transaction = day, True
    parts.amount += amount


def _begun(row: Row, kind: Kind, line_id: str, day: date) -> _Parts:
    return _Parts(
        line_id=line_id,
        kind=kind,
        row_number=row.number,
        day=day,
        reference=row.text("reference"),
        provider_trx_id=row.text("provider_trx_id"),
        provider_ref_no=row.text("provider_ref_no"),
        transacted_at=row.moment("transacted_at"),
        raw=row.raw(),
    )


def _part(row: Row) -> str:
    word = plain(row.text("part") or "").removesuffix(_REVERSAL)
    if word not in _PARTS:
        raise row.wrong("part", f"is none of the known line types: {', '.join(_PARTS)}, and each with REVERSAL")
    return word


def _signed(row: Row) -> int:
    amount, word = row.amount("amount"), plain(row.text("direction") or "")
    if amount is None:
        raise row.wrong("amount", "is empty")
    if word not in _SIGNS:
        raise row.wrong("direction", "is neither debit nor credit")
    return abs(amount) * _SIGNS[word]


def _line(parts: _Parts, provider: str) -> Line:
    """A fee whose transaction is in another report is a line of its own."""
    kind = parts.kind if parts.has_transaction else Kind.FEE
    if kind is Kind.FEE:
        parts.amount, parts.fee = 0, parts.fee - parts.amount
    return Line(
        provider=provider,
        kind=kind,
        line_id=parts.line_id,
        amount=parts.amount,
        fee=parts.fee,
        vat=parts.vat,
        net_amount=parts.amount - parts.fee,
        settlement_date=parts.day,
        is_settled=True,
        row_number=parts.row_number,
        reference=parts.reference,
        provider_trx_id=parts.provider_trx_id,
        provider_ref_no=parts.provider_ref_no,
        transacted_at=parts.transacted_at,
        status="SETTLED",
        raw=parts.raw,
    )
