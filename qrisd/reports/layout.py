"""Layouts: which column of a provider's report says what, found by its header and never by its place."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from qrisd.domain.errors import FieldError, Invalid
from qrisd.domain.settlement import Kind
from qrisd.reports.amounts import Mark, Unit
from qrisd.reports.table import Cells, Table, refusal

HEADER_WITHIN_ROWS: Final = 20
_NEAREST: Final = 3
_LONGEST_NAME: Final = 60
_MOST_NAMES: Final = 60

# What a column can say. `line_id` is the provider's own id of the line; `fee` with `vat` and `more_fees` is what was
# kept; `settlement_date` is when it was paid out, `expected_date` when it will be; `channel` is how the payer paid.
FIELDS: Final = (
    "line_id",
    "reference",
    "provider_trx_id",
    "provider_ref_no",
    "order_id",
    "amount",
    "fee",
    "vat",
    "more_fees",
    "net_amount",
    "settlement_date",
    "expected_date",
    "transacted_at",
    "kind",
    "status",
    "settlement_status",
    "channel",
    "batch",
    "currency",
    "timezone",
    "part",
    "direction",
    "group",
)
# Where the layout names no column for line_id, the first of these that the file has is it.
IDENTITIES: Final = ("line_id", "provider_trx_id", "reference", "provider_ref_no", "order_id")
# Only `more_fees` may be several columns at once; of any other field's columns the first that is there counts.
_SEVERAL: Final = "more_fees"


class Standing(StrEnum):
    """What a word of the report's status columns means."""

    SETTLED = "settled"  # paid out, or in the merchant's balance there
    WAITING = "waiting"  # will be paid out
    SKIPPED = "skipped"  # no money moved
    VOID = "void"  # it was to move, and will not


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How one kind of report is read. `provider` is the type of provider it is of; `columns` the names each field may
    have; of every group in `needs` one field must be there. `statuses`, `settlement_statuses` and `kinds` explain
    words; `channels` are parts of words, one of which must be in a row's channel. `unit` None is not known and must be
    said. `timezone` None is the merchant's own. `is_settled_by_date` where a row is settled once its settlement_date is
    filled in."""

    name: str
    provider: str
    columns: Mapping[str, Sequence[str]]
    needs: Sequence[Sequence[str]] = (("amount",),)
    unit: Unit | None = "rupiah"
    mark: Mark | None = None
    timezone: str | None = None
    date_format: str | None = None
    statuses: Mapping[str, Standing] = field(default_factory=dict)
    settlement_statuses: Mapping[str, Standing] = field(default_factory=dict)
    kinds: Mapping[str, Kind | None] = field(default_factory=dict)
    channels: Sequence[str] = ()
    is_settled_by_date: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A layout that fits a file: the table to read, its header row, and where each field's columns are in it."""

    layout: Layout
    table: Table
    header_row: int
    headers: Sequence[str]
    places: Mapping[str, Sequence[int]]


def plain(name: str) -> str:
    """A header or a word of the report as it is compared: letters and digits, in small letters."""
    return re.sub(r"[\W_]+", "", name).casefold()


def find_layout(tables: Sequence[Table], layouts: Sequence[Layout]) -> Found:
    """The layout that fits, the first of those that find the most columns. Raises Invalid naming the headers that were
    seen and what the nearest layouts would need."""
    fits: list[Found] = []
    widest: list[str] = []
    for table in tables:
        for number, cells in _first_rows(table):
            headers = [_name(cell) for cell in cells]
            widest = max(widest, headers, key=_filled)
            fits += [_found(layout, table, number, headers) for layout in layouts if not _missing(layout, headers)]
    if not fits:
        raise _unknown(widest, layouts)
    best = max(fits, key=lambda one: len(one.places))
    _refuse_twice(best)
    _refuse_sheets([one for one in fits if one.layout is best.layout and _has_lines(one)])
    return best


def _first_rows(table: Table) -> list[tuple[int, Cells]]:
    found: list[tuple[int, Cells]] = []
    try:
        for row in table.rows():
            found.append(row)
            if len(found) == HEADER_WITHIN_ROWS:
                break
    except Invalid:  # with another delimiter it may be readable; if not, the headers say what was seen
        pass
    return found


def _name(cell: object) -> str:
    return cell.strip() if isinstance(cell, str) else ""


def _filled(headers: Sequence[str]) -> int:
    return sum(header != "" for header in headers)


def _places(layout: Layout, headers: Sequence[str]) -> dict[str, list[int]]:
    plains = [plain(header) for header in headers]
    found: dict[str, list[int]] = {}
    for name, columns in layout.columns.items():
        there = [plains.index(plain(column)) for column in columns if plain(column) in plains]
        if there:
            found[name] = there if name == _SEVERAL else there[:1]
    return found


def _missing(layout: Layout, headers: Sequence[str]) -> list[Sequence[str]]:
    """The groups of fields of which none is there."""
    there = _places(layout, headers)
    return [group for group in layout.needs if not any(name in there for name in group)]


def _found(layout: Layout, table: Table, row: int, headers: Sequence[str]) -> Found:
    return Found(layout=layout, table=table, header_row=row, headers=headers, places=_places(layout, headers))


def _refuse_twice(found: Found) -> None:
    plains = [plain(header) for header in found.headers]
    for places in found.places.values():
        for place in places:
            if plains.count(plains[place]) > 1:
                raise Invalid(FieldError(f"row {found.header_row}", f"has two columns {found.headers[place]!r}."))


def _has_lines(found: Found) -> bool:
    rows = ((number, cells) for number, cells in found.table.rows() if number > found.header_row)
    return bool(found.table.sheet) and any(cell not in (None, "") for _, cells in rows for cell in cells)


def _refuse_sheets(found: Sequence[Found]) -> None:
    """Of several sheets with lines none is passed over in silence."""
    names = list(dict.fromkeys(one.table.sheet for one in found))
    if len(names) > 1:
        raise refusal(f"has lines on the sheets {' and '.join(map(repr, names))}: save each as a file of its own")


def _unknown(headers: Sequence[str], layouts: Sequence[Layout]) -> Invalid:
    seen = ", ".join(repr(header[:_LONGEST_NAME]) for header in headers[:_MOST_NAMES] if header) or "none"
    nearest = sorted(layouts, key=lambda layout: len(_missing(layout, headers)) - len(_places(layout, headers)) / 100)
    wants = [f"{one.name} needs {_wish(one, headers)}" for one in nearest[:_NEAREST]]
    known = "; ".join(wants) or "there is none for this provider"
    return Invalid(
        FieldError("file", f"has no known layout. Its headers: {seen}."),
        FieldError("layouts", f"{known}. Describe another one under settlements.layouts in the settings."),
    )


def _wish(layout: Layout, headers: Sequence[str]) -> str:
    wishes = []
    for group in _missing(layout, headers):
        names = [repr(layout.columns[name][0]) for name in group if layout.columns.get(name)]
        wishes.append(" or ".join(names))
    return ", ".join(wishes)
