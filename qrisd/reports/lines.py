"""The rows of a report as lines of a settlement.

What is to be paid out on a day to come is planned: it is expected only, whatever the report calls it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from qrisd.domain.errors import FieldError
from qrisd.domain.settlement import Kind, Line
from qrisd.reports.cells import Columns, Row, WrongCell
from qrisd.reports.layout import IDENTITIES, Found, Standing, plain
from qrisd.reports.money import read_money
from qrisd.reports.table import Cells

CURRENCY: Final = "IDR"
# Payouts are planned over the longest holidays of the banks, about two weeks; what is further off is a slip.
PLANNED_AT_MOST: Final = timedelta(days=14)


@dataclass(frozen=True, slots=True)
class Skipped:
    """A row about no money of a QRIS; `why` is the column that says so and its word."""

    why: str


@dataclass(frozen=True, slots=True)
class Voided:
    """A row that says its money will not move after all."""

    kind: Kind
    line_id: str
    row_number: int
    status: str | None


@dataclass(frozen=True, slots=True)
class Planned:
    """A line that the report calls paid out, on a day that is still to come; `line` is not settled."""

    line: Line


Read = Line | Planned | Voided | Skipped | FieldError


def read_rows(found: Found, columns: Columns) -> Iterator[Row]:
    """The rows below the header that have something in them; the header again, on every printed page, is nothing."""
    for number, cells in found.table.rows():
        row = Row(number, cells, columns)
        if number > found.header_row and not row.is_empty() and not _is_header(cells, found):
            yield row


def _is_header(cells: Cells, found: Found) -> bool:
    pairs = zip(cells, found.headers, strict=False)
    return len(cells) >= len(found.headers) and all(isinstance(one, str) and one.strip() == name for one, name in pairs)


def read_lines(found: Found, provider: str, ours: ZoneInfo, today: date) -> Iterator[Read]:
    """Every row as what it is, in the file's order; a row that cannot be read as its FieldError. `ours` is the
    merchant's zone, `today` the business day there. Raises Invalid when the whole file cannot be read."""
    reader = LineReader(found, provider, ours, today)
    for row in read_rows(found, reader.columns):
        try:
            yield reader.read(row)
        except WrongCell as wrong:
            yield wrong.error


class LineReader:
    """Reads rows in which one row is one line."""

    def __init__(self, found: Found, provider: str, ours: ZoneInfo, today: date) -> None:
        self.columns = Columns.of(found, ours)
        self._provider = provider
        self._today = today
        layout = found.layout
        self._channels = [plain(word) for word in layout.channels]
        self._kinds = {plain(word): kind for word, kind in layout.kinds.items()}
        self._statuses = {plain(word): standing for word, standing in layout.statuses.items()}
        self._settlement_statuses = {plain(word): standing for word, standing in layout.settlement_statuses.items()}
        self._is_settled_by_date = layout.is_settled_by_date
        self._identity = next(name for name in IDENTITIES if self.columns.has(name))

    def read(self, row: Row) -> Line | Planned | Voided | Skipped:
        """What the row is. Raises WrongCell."""
        row.refuse_more_cells()
        skipped = self.skipped(row)
        if skipped is not None:
            return skipped
        kind = self.kind(row)
        if isinstance(kind, Skipped):
            return kind
        standing = self._standing(row, kind)
        status = row.text("settlement_status") or row.text("status")
        if standing is Standing.SKIPPED:
            return Skipped(self._said(row, "status"))
        if standing is Standing.VOID:
            return Voided(kind, self.line_id(row), row.number, status)
        return self._line(row, kind, standing is Standing.SETTLED, status)

    def skipped(self, row: Row) -> Skipped | None:
        """Why the row is about no QRIS, if so: no line, another channel, or another money."""
        note = row.note(self._identity)
        if note is not None:
            return Skipped(f"no line: {note!r}")
        channel = row.text("channel")
        if channel is not None and self._channels and not any(word in plain(channel) for word in self._channels):
            return Skipped(self._said(row, "channel"))
        currency = row.text("currency")
        return None if currency is None or currency.upper() == CURRENCY else Skipped(self._said(row, "currency"))

    def kind(self, row: Row) -> Kind | Skipped:
        """What the row is about. Without a word for it, money that goes is a refund. Raises WrongCell."""
        word = row.text("kind")
        if word is None:
            return Kind.REFUND if (row.amount("amount") or 0) < 0 else Kind.PAYMENT
        if plain(word) not in self._kinds:
            raise row.wrong("kind", f"is none of the known kinds: {', '.join(self._kinds) or 'none'}")
        return self._kinds[plain(word)] or Skipped(self._said(row, "kind"))

    def line_id(self, row: Row) -> str:
        """What tells this line from every other. Raises WrongCell."""
        found = row.text(self._identity)
        if found is None:
            raise row.wrong(self._identity, "is empty; it is what tells the lines apart")
        return found

    def _standing(self, row: Row, kind: Kind) -> Standing:
        """Status first; what is to be paid out may have been already."""
        standing = self._word(row, "status")
        if standing is None and self.columns.has("status") and not self._is_settled_by_date:
            raise row.wrong("status", "is empty; it says whether the line is settled")
        if standing is None:
            standing = Standing.SKIPPED if self._is_settled_by_date else Standing.SETTLED
        elif standing is not Standing.WAITING:
            return standing
        settled_on = row.text("settlement_date")
        if self.columns.has("settlement_status"):
            said = self._word(row, "settlement_status")
            # Only payments wait to be paid out; what goes is taken from the balance at once.
            return said or (Standing.SETTLED if settled_on or kind is not Kind.PAYMENT else Standing.WAITING)
        return Standing.SETTLED if self._is_settled_by_date and settled_on else standing

    def _word(self, row: Row, name: str) -> Standing | None:
        word = row.text(name)
        known = self._statuses if name == "status" else self._settlement_statuses
        if word is None:
            return None
        if plain(word) not in known:
            raise row.wrong(name, f"is none of the known words: {', '.join(known) or 'none'}")
        return known[plain(word)]

    def _line(self, row: Row, kind: Kind, is_settled: bool, status: str | None) -> Line | Planned | Skipped:
        money = read_money(row, kind)
        if money is None:
            return Skipped(self._said(row, "amount"))
        line = Line(
            provider=self._provider,
            kind=kind,
            line_id=self.line_id(row),
            amount=money.amount,
            fee=money.fee,
            vat=money.vat,
            net_amount=money.net_amount,
            settlement_date=self.day(row, is_settled=is_settled),
            is_settled=is_settled,
            row_number=row.number,
            reference=row.text("reference"),
            provider_trx_id=row.text("provider_trx_id"),
            provider_ref_no=row.text("provider_ref_no"),
            order_id=row.text("order_id"),
            transacted_at=row.moment("transacted_at"),
            batch=row.text("batch"),
            status=status,
            raw=row.raw(),
        )
        return self.planned(line)

    def planned(self, line: Line) -> Line | Planned:
        """The line, or what it is until its day has come."""
        is_early = line.is_settled and line.settlement_date > self._today
        return Planned(replace(line, is_settled=False)) if is_early else line

    def day(self, row: Row, *, is_settled: bool) -> date:
        """The business day it is paid out, or expected to be. Raises WrongCell."""
        names = ["settlement_date", "expected_date", "transacted_at"]
        for name in names if is_settled else [names[1], names[0], names[2]]:
            day = row.day(name)
            if day is not None and is_settled and day > self._today + PLANNED_AT_MOST:
                raise row.wrong(name, f"is more than {PLANNED_AT_MOST.days} days after today, {self._today}")
            if day is not None:
                return day
        raise WrongCell(row.number, "date", "has no day on which it is paid out, and no time of the transaction")

    def _said(self, row: Row, name: str) -> str:
        """A column's header and the row's word in it."""
        if not self.columns.has(name):
            return "not settled"
        return f"{self.columns.headers[self.columns.places[name][0]]}: {row.text(name)}"
