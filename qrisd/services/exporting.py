"""Exports: a table of some business days, as it stood at one moment, in memory that does not grow with it.

The rows are copied out of the database in one read transaction, raw, into a temporary file; all that takes time (zones,
CSV, XLSX, a slow receiver) comes after the transaction has ended. So every row of a file and its totals are of the same
moment, and writers are never kept waiting, nor the write-ahead log from being emptied, for longer than the copying.
"""

from __future__ import annotations

import marshal
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from itertools import islice
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, Final
from zoneinfo import ZoneInfo

from qrisd.domain.business_day import Zones
from qrisd.domain.errors import FieldError, Invalid, StorageBusy, StorageUnavailable
from qrisd.domain.permissions import Outlets
from qrisd.domain.times import from_text, to_text
from qrisd.exports import writers
from qrisd.exports.cells import Cell
from qrisd.store import audit_log, export_tables
from qrisd.store.audit_log import Actor
from qrisd.store.db import Connection, connect, storage_error
from qrisd.store.export_tables import Choice, Kind, Row, Table

LONGEST_COPY_S: Final = 20.0
MOST_DAYS: Final = 366
AT_A_TIME: Final = 500
PIECE_BYTES: Final = 64 * 1024
TOTAL: Final = "total"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What to export: the business days from `first` to `last`, both included; None leaves a condition out. `outlets`
    are those the asker is limited to."""

    table: Table
    first: date
    last: date
    outlet: str | None = None
    provider: str | None = None
    outlets: Outlets = None

    def __post_init__(self) -> None:
        """Raises Invalid for days that are none or too many."""
        if self.last < self.first:
            raise Invalid(FieldError("to", "The last day is before the first."))
        if self.last - self.first >= timedelta(days=MOST_DAYS):
            raise Invalid(FieldError("to", f"Export at most {MOST_DAYS} days at a time."))

    @property
    def described(self) -> dict[str, Any]:
        """The conditions, for the audit log."""
        outlets = None if self.outlets is None else sorted(self.outlets)
        given = {"outlet": self.outlet, "provider": self.provider, "outlets": outlets}
        days = {"from": self.first.isoformat(), "to": self.last.isoformat()}
        return {**days, **{name: value for name, value in given.items() if value is not None}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """The rows as they stood when they were copied: how many, and the sums of the amounts, in whole rupiah. `file` has
    them, raw."""

    table: Table
    zones: Zones
    count: int
    sums: Mapping[str, int]
    file: IO[bytes]

    def lines(self, *, totals: bool = False) -> Iterator[Sequence[Cell]]:
        """The headings, every row, and at the end the line of totals when it is wanted."""
        yield self.table.headings
        for raw in _read_back(self.file):
            yield _line(self.table, raw, self.zones)
        if totals:
            known: Mapping[str, Cell] = {"business_day": TOTAL, **self.sums}
            yield [known.get(name) for name in self.table.headings]


@contextmanager
def copied(database: Path, wanted: Wanted, zones: Zones) -> Iterator[Copy]:
    """The wanted rows, copied; the copy is gone when this is over. Raises StorageBusy when copying takes too long."""
    with TemporaryFile(dir=database.parent) as file:
        with closing(connect(database, read_only=True)) as conn:
            count, sums = _copy(_in_range(_selected(conn, wanted, zones), wanted, zones), wanted.table, file)
        yield Copy(table=wanted.table, zones=zones, count=count, sums=sums, file=file)


class Format(StrEnum):
    """How a file is written; also the ending of its name."""

    CSV = "csv"
    XLSX = "xlsx"


@dataclass(frozen=True, slots=True)
class Made:
    """A file that is ready to be sent: its bytes in pieces, the number of its rows, and the sums of its amounts."""

    chunks: Iterator[bytes]
    count: int
    sums: Mapping[str, int]


@contextmanager
def make(
    database: Path, wanted: Wanted, zones: Zones, form: Format, *, totals: bool = False, bom: bool = False
) -> Iterator[Made]:
    """The file; what it is made of lies on the disk until this is over. Raises Invalid for more rows than a sheet has,
    StorageBusy, and StorageUnavailable when the disk is full."""
    try:
        with copied(database, wanted, zones) as copy, TemporaryFile(dir=database.parent) as file:
            lines = copy.lines(totals=totals)
            if form is Format.XLSX:
                writers.check_xlsx(copy.count + 2)
                writers.write_xlsx(lines, file, sheet=wanted.table.name, folder=str(database.parent))
                chunks = _pieces(file)
            else:
                chunks = writers.csv_chunks(lines, bom=bom)
            yield Made(chunks, copy.count, copy.sums)
    except OSError as error:
        raise StorageUnavailable(f"The export cannot be written: {error.strerror}.") from None
    except sqlite3.Error as error:
        raise storage_error(error) from None


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    file.seek(0)
    while piece := file.read(PIECE_BYTES):
        yield piece


def note(conn: Connection, wanted: Wanted, made: Made, by: Actor, now: datetime) -> None:
    """Write into the audit log who took what away."""
    after = {**wanted.described, "rows": made.count, **made.sums}
    audit_log.add(conn, by, "export.made", now, what=wanted.table.name, after=after)


def _selected(conn: Connection, wanted: Wanted, zones: Zones) -> Iterator[Row]:
    """The rows of every moment that may be in the wanted days."""
    start, end = _span(wanted, zones)
    choice = Choice(start=start, end=end, outlet=wanted.outlet, provider=wanted.provider, outlets=wanted.outlets)
    return export_tables.rows(conn, wanted.table, choice)


def _span(wanted: Wanted, zones: Zones) -> tuple[str, str]:
    if wanted.table.is_dated:
        return wanted.first.isoformat(), (wanted.last + timedelta(days=1)).isoformat()
    return to_text(zones.reach(wanted.first)[0]), to_text(zones.reach(wanted.last)[1])


def _in_range(rows: Iterator[Row], wanted: Wanted, zones: Zones) -> Iterator[Row]:
    if wanted.table.is_dated or not zones.of_outlet:
        return rows
    first, last = wanted.first.isoformat(), wanted.last.isoformat()
    return (row for row in rows if first <= _local(row[0], _zone(zones, row[1]))[:10] <= last)


def _copy(rows: Iterator[Row], table: Table, file: IO[bytes]) -> tuple[int, dict[str, int]]:
    """Write the rows into `file`; answers their number and the sums."""
    places = {name: table.places[name] for name in table.sums}
    count, sums, until = 0, dict.fromkeys(places, 0), time.monotonic() + LONGEST_COPY_S
    while chunk := list(islice(rows, AT_A_TIME)):
        count += len(chunk)
        for name, place in places.items():
            sums[name] += sum(row[place] for row in chunk)
        marshal.dump(chunk, file)
        if time.monotonic() > until:
            raise StorageBusy("Copying these rows takes too long beside the service. Export fewer days at a time.")
    return count, sums


def _read_back(file: IO[bytes]) -> Iterator[Row]:
    file.seek(0)
    while True:
        try:
            chunk = marshal.load(file)
        except EOFError:
            return
        yield from chunk


def _line(table: Table, raw: Row, zones: Zones) -> list[Cell]:
    zone = _zone(zones, raw[1])
    cells = [
        _local(cell, zone) if cell is not None and column.kind is Kind.TIME else cell
        for column, cell in zip(table.columns, raw[2:], strict=True)
    ]
    return [raw[0] if table.is_dated else _local(raw[0], zone)[:10], *cells, zone.key]


def _zone(zones: Zones, outlet: str | None) -> ZoneInfo:
    return zones.of_outlet.get(outlet or "", zones.merchant)


@lru_cache(maxsize=1024)
def _local(moment: str, zone: ZoneInfo) -> str:
    """`2026-01-15 10:00:00`, as a clock in the zone showed it. Remembered: a row has the same moment several times."""
    return from_text(moment).astimezone(zone).isoformat(" ", "seconds")[:19]
