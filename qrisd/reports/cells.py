"""One row of a report, asked for by field: each answer names its column when it cannot be given."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

from qrisd.domain.errors import FieldError
from qrisd.reports.amounts import AmountReader
from qrisd.reports.layout import FIELDS, Found
from qrisd.reports.moments import MomentReader, zone_of
from qrisd.reports.table import Cells, refusal

_LONGEST: Final = 255
_AMOUNTS: Final = ("amount", "fee", "vat", "more_fees", "net_amount")
_MOMENTS: Final = ("settlement_date", "expected_date", "transacted_at")
# A row with a day or a word for what it is may be a line, whatever else is in it.
_OF_LINES: Final = (*_MOMENTS, "status", "settlement_status", "kind")
_SUM: Final = re.compile(r"(?:(?:grand|sub)[ -]?)?total\b|jumlah\b", re.IGNORECASE)
_LONGEST_NOTE: Final = 40
# What a spreadsheet makes of a long number: its last digits are lost.
_SCIENTIFIC: Final = re.compile(r"[0-9](?:[.,][0-9]+)?[eE]\+?[0-9]{2}")
_EXACT_MAX: Final = 10**15
# How a number is kept as text on its way through a spreadsheet: ="0123" or '0123.
_KEPT: Final = re.compile(r'="(.*)"|\'(.*)')
# Cells of nothing but these are empty; rows of them are a line that is drawn.
_RULES: Final = "-\u2010\u2012\u2013\u2014=_"


class WrongCell(Exception):
    """A cell that cannot be read; `error` names its row and column."""

    def __init__(self, row_number: int, column: str, what: str) -> None:
        super().__init__(what)
        self.error = FieldError(f"row {row_number}, {column}", what)


@dataclass(frozen=True, slots=True)
class Columns:
    """Where each field is, and how its cells are read."""

    headers: Sequence[str]
    places: Mapping[str, Sequence[int]]
    amounts: Mapping[int, AmountReader]
    moments: Mapping[int, MomentReader]

    @classmethod
    def of(cls, found: Found, ours: ZoneInfo) -> Columns:
        """The columns of a file. Raises Invalid where the layout leaves open what its amounts are."""
        layout, places = found.layout, found.places
        if layout.unit is None:
            raise refusal(
                f"is of the layout {layout.name}, whose amounts may be rupiah or cents: say it with a layout in the "
                f'settings that has like = "{layout.name}" and unit = "rupiah" or unit = "cents"'
            )
        zone: tzinfo = ours if layout.timezone is None else zone_of(layout.timezone)
        moments = MomentReader(zone, ours, layout.date_format)
        return cls(
            headers=found.headers,
            places=places,
            amounts={i: AmountReader(layout.unit, layout.mark) for name in _AMOUNTS for i in places.get(name, ())},
            moments={i: moments for name in _MOMENTS for i in places.get(name, ())},
        )

    def has(self, name: str) -> bool:
        return name in self.places


class Row:
    """One row. A field the file does not have, or whose cell is empty, is None."""

    __slots__ = ("_cells", "_columns", "number")

    def __init__(self, number: int, cells: Cells, columns: Columns) -> None:
        self.number = number
        self._cells = cells
        self._columns = columns

    def text(self, name: str) -> str | None:
        """A word, or an id. A number of a spreadsheet is its digits. Raises WrongCell."""
        place = self._place(name)
        if place is None:
            return None
        cell = _bare(self._cells[place])
        found = cell if isinstance(cell, str) else _digits(cell)
        if found is None or _SCIENTIFIC.fullmatch(found):
            raise self.wrong(name, "was turned into a number and has lost digits: make the column text and export anew")
        if len(found) > _LONGEST:
            raise self.wrong(name, f"is longer than {_LONGEST} characters")
        return found

    def amount(self, name: str) -> int | None:
        """Whole rupiah. Raises WrongCell."""
        place = self._place(name)
        return None if place is None else self._amount_at(place)

    def amounts(self, name: str) -> list[int]:
        """Whole rupiah of every column of the field that is filled in. Raises WrongCell."""
        return [self._amount_at(place) for place in self._columns.places.get(name, ()) if self._is_filled(place)]

    def _amount_at(self, place: int) -> int:
        try:
            return self._columns.amounts[place].read(_bare(self._cells[place]))
        except ValueError as error:
            raise self._wrong_at(place, str(error)) from None

    def day(self, name: str) -> date | None:
        """The business day. Raises WrongCell."""
        place = self._place(name)
        try:
            return None if place is None else self._moments(place).day(_bare(self._cells[place]), self._zone())
        except ValueError as error:
            raise self.wrong(name, str(error)) from None

    def moment(self, name: str) -> datetime | None:
        """The time in UTC. Raises WrongCell."""
        place = self._place(name)
        try:
            return None if place is None else self._moments(place).moment(_bare(self._cells[place]), self._zone())
        except ValueError as error:
            raise self.wrong(name, str(error)) from None

    def _moments(self, place: int) -> MomentReader:
        return self._columns.moments[place]

    def _zone(self) -> tzinfo | None:
        text = self.text("timezone")
        try:
            return None if text is None else zone_of(text)
        except ValueError as error:
            raise self.wrong("timezone", str(error)) from None

    def has(self, name: str) -> bool:
        """Whether the file has a column for the field."""
        return self._columns.has(name)

    def is_empty(self) -> bool:
        return self._first() is None

    def note(self, identity: str) -> str | None:
        """The words of a row that is no line, such as a sum below the lines or who printed them; None for every other.
        `identity` is the field that tells lines apart."""
        first = self._first()
        if first is None or any(self._place(name) is not None for name in _OF_LINES):
            return None
        words = _shown(self._cells[first])
        is_alone = not any(self._is_filled(place) for place in range(first + 1, len(self._cells)))
        # A word alone may be the id of a line that was cut off.
        is_remark = is_alone and (" " in words or first not in self._columns.places[identity])
        return words[:_LONGEST_NOTE] if is_remark or _SUM.match(words) else None

    def _first(self) -> int | None:
        """The first cell with something in it."""
        return next((place for place in range(len(self._cells)) if self._is_filled(place)), None)

    def raw(self) -> dict[str, str]:
        """The cells that were read, by their headers."""
        places = dict.fromkeys(place for name in FIELDS for place in self._columns.places.get(name, ()))
        return {self._columns.headers[place]: _shown(self._cells[place]) for place in places if self._is_filled(place)}

    def refuse_more_cells(self) -> None:
        """Raises WrongCell for more cells than headers: a mark inside a cell was taken for one between two."""
        last = len(self._columns.headers)
        if any(self._is_filled(place) for place in range(last, len(self._cells))):
            raise WrongCell(
                self.number, f"cell {last + 1}", "is beyond the last header; look for a broken quotation mark"
            )

    def wrong(self, name: str, what: str) -> WrongCell:
        """What is wrong with the cell of this field."""
        return self._wrong_at(self._columns.places[name][0], what)

    def _wrong_at(self, place: int, what: str) -> WrongCell:
        shown = _shown(self._cells[place])[:40] if place < len(self._cells) else ""
        return WrongCell(self.number, self._columns.headers[place], f"{shown!r} {what}" if shown else what)

    def _place(self, name: str) -> int | None:
        places = self._columns.places.get(name)
        return places[0] if places and self._is_filled(places[0]) else None

    def _is_filled(self, place: int) -> bool:
        if place >= len(self._cells):
            return False
        cell = self._cells[place]
        return not (cell is None or (isinstance(cell, str) and not cell.strip().strip(_RULES)))


def _bare(cell: object) -> object:
    """The cell without what keeps a spreadsheet from making a number of it, and without blanks around."""
    if not isinstance(cell, str):
        return cell
    text = cell.strip()
    if not text.startswith(("=", "'")):
        return text
    kept = _KEPT.fullmatch(text)
    return text if kept is None else (kept[1] or kept[2] or "").strip()


def _digits(cell: object) -> str | None:
    """A number as text; None when it is too large to have kept its last digits."""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell)) if abs(cell) < _EXACT_MAX else None
    return str(cell)


def _shown(cell: object) -> str:
    if isinstance(cell, datetime) and cell.tzinfo is not None:
        cell = cell.astimezone(UTC)
    return cell.strip() if isinstance(cell, str) else _digits(cell) or str(cell)
