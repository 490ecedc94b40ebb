"""`qrisd export`: a table of some business days as a file for a spreadsheet or another program."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

from qrisd.cli.common import Config, by_command, clear_errors, fail, open_database, read_settings, transaction

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qrisd.config import Settings
    from qrisd.services.exporting import Format, Made, Wanted


def export(
    table: Annotated[str, typer.Argument(metavar="TABLE", help="payments, refunds, settlements or ledger.")],
    first: Annotated[str, typer.Option("--from", metavar="DATE", help="The first business day.")],
    last: Annotated[str, typer.Option("--to", metavar="DATE", help="The last business day, itself included.")],
    outlet: Annotated[str | None, typer.Option("--outlet", help="Only this outlet.")] = None,
    provider: Annotated[str | None, typer.Option("--provider", help="Only this provider.")] = None,
    form: Annotated[str, typer.Option("--format", help="csv or xlsx.")] = "csv",
    out: Annotated[
        Path | None, typer.Option("--out", help="A new file; CSV goes to standard output when left out.")
    ] = None,
    totals: Annotated[bool, typer.Option("--totals", help="End with a line of totals.")] = False,
    bom: Annotated[bool, typer.Option("--bom", help="Begin CSV with the mark by which Excel knows UTF-8.")] = False,
    config: Config = None,
) -> None:
    """Payments, refunds, settlement lines or the ledger as CSV or XLSX. Amounts are whole rupiah."""
    from qrisd.data_dir import DataDir
    from qrisd.services import exporting

    settings, kind = read_settings(config), _format(form)
    if kind == "xlsx" and out is None:
        fail("an XLSX file needs a name: --out FILE.xlsx")
    if out is not None and out.exists():
        fail(f"{out} exists already and is not overwritten; give the name of a new file.")
    with clear_errors():
        wanted = _wanted(table, first, last, outlet, provider)
        database = DataDir(settings.data_dir).database
        with open_database(settings, read_only=True):
            pass
        with exporting.make(database, wanted, settings.zones, kind, totals=totals, bom=bom) as made:
            _note(settings, wanted, made)
            with _target(out) as file:
                file.writelines(made.chunks)
    sums = ", ".join(f"{name} {amount}" for name, amount in made.sums.items())
    typer.echo(f"{made.count} rows; {sums}.", err=True)


def _format(text: str) -> Format:
    from qrisd.services.exporting import Format

    if text not in list(Format):
        fail(f"there is no format {text!r}; use {' or '.join(Format)}")
    return Format(text)


def _wanted(table: str, first: str, last: str, outlet: str | None, provider: str | None) -> Wanted:
    from qrisd.services.exporting import Wanted
    from qrisd.store.export_tables import TABLES

    if table not in TABLES:
        fail(f"there is no table {table!r}; use {', '.join(TABLES)}")
    return Wanted(table=TABLES[table], first=_day(first), last=_day(last), outlet=outlet, provider=provider)


def _day(text: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = date.min
    if len(text) != 10 or not date(2000, 1, 1) <= day <= date(2200, 1, 1):
        fail(f"{text} is no business day; write it like 2026-01-15")
    return day


def _note(settings: Settings, wanted: Wanted, made: Made) -> None:
    from qrisd.services import exporting

    with open_database(settings) as conn, transaction(conn):
        exporting.note(conn, wanted, made, by_command(), datetime.now(UTC))


@contextmanager
def _target(out: Path | None) -> Iterator[IO[bytes]]:
    if out is None:
        yield sys.stdout.buffer
        return
    try:
        with out.open("wb") as file:
            yield file
    except BaseException:
        out.unlink(missing_ok=True)
        raise
