"""Importing a provider's settlement report: read, check, match, and then store all of it or nothing."""

from __future__ import annotations

import hashlib
import sqlite3
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import date, datetime
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from uuid_utils.compat import uuid7

from qrisd.domain import business_day
from qrisd.domain.errors import FieldError, Invalid, ReportKnown, StorageUnavailable
from qrisd.domain.settlement import File, Imported, Line, Sums, postings
from qrisd.reports.balance import read_balance
from qrisd.reports.layout import Found, find_layout, plain
from qrisd.reports.lines import Planned, Read, Skipped, Voided, read_lines
from qrisd.reports.sources import Source
from qrisd.reports.table import refusal, tables
from qrisd.store import audit_log, settlement_files, settlement_staging
from qrisd.store.audit_log import Actor
from qrisd.store.db import Connection, storage_error
from qrisd.store.settlement_staging import Contradiction, Staged

ERRORS_MAX: Final = 100
# Lines that are stored in one transaction, and what others who wait to write have between two of them.
PART_LINES: Final = 10_000
PAUSE_S: Final = 0.15
_AT_ONCE: Final = 1000
_CHUNK_BYTES: Final = 1 << 20
_BROUGHT: Final = ("new", "changed", "fee")
_NONE: Final = Sums()


@dataclass(slots=True)
class _Reading:
    """What has been read so far."""

    lines: int = 0
    wrong: int = 0
    errors: list[FieldError] = field(default_factory=list)
    planned: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    days: dict[date, datetime] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """One import under way."""

    source: Source
    sha256: str
    found: Found
    reading: _Reading
    by: Actor
    now: datetime


def import_report(conn: Connection, source: Source, by: Actor, now: datetime, *, dry_run: bool) -> Imported:
    """Import a report on a connection of its own, or see what that would come to.

    Raises Invalid naming row and column of what is wrong (nothing is stored then), ReportKnown when this very file was
    imported before, StorageBusy when the database was busy for too long, StorageUnavailable when it could not take all
    of it: then the same file can be imported again, and goes on."""
    sha256 = _sha256(source.path)
    _refuse_known(conn, sha256)
    found = find_layout(tables(source.path), source.layouts)
    task = _Task(source=source, sha256=sha256, found=found, reading=_Reading(), by=by, now=now)
    with _storage_errors():
        settlement_staging.begin(conn)
        try:
            _stage(conn, task)
            others = settlement_files.progress(conn)
            _compare(conn, task)
            done = _imported(conn, task, is_dry_run=dry_run)
            return done if dry_run else _store(conn, task, done, others)
        finally:
            settlement_staging.end(conn)


@contextmanager
def _storage_errors() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise storage_error(error) from error


@contextmanager
def _at_once(conn: Connection, how: str = "DEFERRED") -> Iterator[None]:
    """One transaction; a DEFERRED one that writes to temporary tables alone keeps nobody waiting."""
    conn.execute(f"BEGIN {how}")
    try:
        yield
    except BaseException:
        if conn.in_transaction:  # a full disk may have rolled back already
            conn.execute("ROLLBACK")
        raise
    conn.execute("COMMIT")


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _refuse_known(conn: Connection, sha256: str) -> None:
    known = settlement_files.by_sha256(conn, sha256)
    if known is not None:
        raise ReportKnown(
            f"This file was imported on {known.imported_at:%Y-%m-%d %H:%M:%S} UTC, as {known.name!r} of "
            f"{known.provider}. Nothing was stored.",
            known.id,
        )


def _stage(conn: Connection, task: _Task) -> None:
    """Read the file into the temporary table, and find what its lines are about."""
    source, reading, found = task.source, task.reading, task.found
    today = business_day.of(task.now, source.zone)
    read = (read_balance if "part" in found.places else read_lines)(found, source.provider, source.zone, today)
    with _at_once(conn):
        for batch in _batches(_lines(read, reading, source)):
            settlement_staging.add(conn, batch, reading.lines + 1)
            reading.lines += len(batch)
    _refuse(reading, settlement_staging.twice(conn, ERRORS_MAX), found)
    if not reading.lines and not reading.skipped:
        raise refusal("has a header and nothing below it")
    with _at_once(conn):
        settlement_staging.match(conn, source.provider, by_amount=source.by_amount)


def _compare(conn: Connection, task: _Task) -> None:
    settlement_staging.compare(conn)
    layout = task.found.layout
    days = {plain(name) for name in layout.columns.get("settlement_date", ())}
    found = settlement_staging.contradictions(conn, ERRORS_MAX, layout.name, lambda header: plain(header) in days)
    _refuse(task.reading, found, task.found)


def _store(conn: Connection, task: _Task, done: Imported, others: int) -> Imported:
    """In parts of at most PART_LINES, so that whoever else writes never waits for long; the file is known by its hash
    once the last is stored. What others imported, or a part of it, since `others` was all of it is looked at again."""
    for first in range(1, max(task.reading.lines, 1) + 1, PART_LINES):
        last = first + PART_LINES - 1
        time.sleep(PAUSE_S if first > 1 else 0)
        with _cut_off(task, first), _at_once(conn, "IMMEDIATE"):
            _refuse_known(conn, task.sha256)
            if settlement_files.progress(conn) != others:
                _compare(conn, task)
                done = _imported(conn, task, is_dry_run=False) if first == 1 else done
            if first == 1:
                settlement_files.add(conn, _unfinished(done.file))
            _store_part(conn, task, done.file, first, last)
            if last >= task.reading.lines:
                _finish(conn, task, done.file)
            others = settlement_files.progress(conn)
    return replace(done, file=settlement_files.by_sha256(conn, task.sha256) or done.file)


def _unfinished(file: File) -> File:
    return replace(file, sha256=f"unfinished {file.id}", lines=0, amount=0, fee=0, net_amount=0)


def _store_part(conn: Connection, task: _Task, file: File, first: int, last: int) -> None:
    sums = settlement_staging.brought(conn, first, last)
    settlement_files.bring(conn, file.id, **asdict(sums))
    settlement_staging.move(conn, file.id, first, last, task.now)


def _finish(conn: Connection, task: _Task, file: File) -> None:
    # What is planned is not here yet: the file stays unknown by its hash, so that it can be imported on that day.
    if not task.reading.planned:
        settlement_files.finish(conn, file.id, task.sha256)
    told = {"provider": file.provider, "name": file.name, "net_amount": file.net_amount}
    audit_log.add(conn, task.by, "settlement.imported", task.now, what=file.id, after=told)


@contextmanager
def _cut_off(task: _Task, first: int) -> Iterator[None]:
    """Says of a part that cannot be stored what to do about the parts before it."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if first == 1:
            raise
        raise StorageUnavailable(
            f"The database cannot take writes now ({error}): {first - 1} of {task.reading.lines} lines are stored. "
            "Import the same file again; it goes on from there."
        ) from error


def _imported(conn: Connection, task: _Task, *, is_dry_run: bool) -> Imported:
    sums = settlement_staging.sums(conn)
    skipped = task.reading.skipped + Counter({"void": sums.get("gone", _NONE).lines})
    brought = [sums.get(change, _NONE) for change in _BROUGHT]
    file = File(
        id=str(uuid7()),
        provider=task.source.provider,
        name=task.source.name,
        sha256=task.sha256,
        layout=task.found.layout.name,
        lines=sum(one.lines for one in brought),
        repeated=sums.get("repeated", _NONE).lines,
        skipped=skipped.total(),
        amount=sum(one.amount for one in brought),
        fee=sum(one.fee for one in brought),
        net_amount=sum(one.net_amount for one in brought),
        imported_at=task.now,
        imported_by=task.by.who,
    )
    return Imported(
        file=file,
        is_dry_run=is_dry_run,
        total=sums.get("all", _NONE),
        new=brought[0].lines,
        changed=brought[1].lines + brought[2].lines,
        planned=task.reading.planned,
        unmatched=sums.get("unmatched", _NONE).lines,
        skipped={why: count for why, count in skipped.most_common() if count},
        has_fees=any(name in task.found.places for name in ("fee", "net_amount", "part")),
    )


def _lines(read: Iterable[Read], reading: _Reading, source: Source) -> Iterator[Staged]:
    provider, zone = source.provider, source.zone
    for one in read:
        if isinstance(one, Line):
            yield Staged(one, postings(one, _start_of(one.settlement_date, reading, zone)))
        elif isinstance(one, Planned):
            reading.planned += 1
            yield Staged(one.line, is_planned=True)
        elif isinstance(one, Voided):
            yield Staged(_void(one, provider), is_void=True)
        elif isinstance(one, Skipped):
            reading.skipped[one.why] += 1
        else:
            reading.wrong += 1
            if len(reading.errors) < ERRORS_MAX:
                reading.errors.append(one)


def _start_of(day: date, reading: _Reading, zone: ZoneInfo) -> datetime:
    if day not in reading.days:
        reading.days[day] = business_day.bounds(day, zone)[0]
    return reading.days[day]


def _void(row: Voided, provider: str) -> Line:
    return Line(
        provider=provider,
        kind=row.kind,
        line_id=row.line_id,
        amount=0,
        fee=0,
        net_amount=0,
        settlement_date=date.min,
        is_settled=False,
        row_number=row.row_number,
        status=row.status,
    )


def _batches(lines: Iterator[Staged]) -> Iterator[list[Staged]]:
    batch: list[Staged] = []
    for line in lines:
        batch.append(line)
        if len(batch) == _AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch


def _refuse(reading: _Reading, found: Sequence[Contradiction], layout: Found) -> None:
    """Raises Invalid with everything that is wrong so far, the first of it in full."""
    errors = [*reading.errors, *(_error(one, layout) for one in found)][:ERRORS_MAX]
    if not errors:
        return
    more = max(reading.wrong, len(reading.errors)) + len(found) - len(errors)
    if more > 0:
        errors.append(FieldError("file", f"has {more} more rows that are wrong"))
    raise Invalid(*errors)


def _error(found: Contradiction, layout: Found) -> FieldError:
    places = layout.places.get(found.column or "line_id", ())
    column = f", {layout.headers[places[0]]}" if places else ""
    return FieldError(f"row {found.row_number}{column}", found.what)
