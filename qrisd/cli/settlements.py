"""`qrisd settlements`: bring in the providers' reports, read their lines, see where too much was kept."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qrisd.cli.common import AsJson, Config, by_command, clear_errors, fail, open_database, print_json, read_settings

if TYPE_CHECKING:
    from qrisd.config import Settings
    from qrisd.domain.settlement import File, Imported, Line
    from qrisd.services.overcharges import Overcharge
    from qrisd.store.db import Connection
    from qrisd.store.settlements import Filter

app = typer.Typer(no_args_is_help=True, help="Settlement reports: import, list, files, overcharges.")
Provider = Annotated[str | None, typer.Option("--provider", help="Only this provider.")]
Limit = Annotated[int, typer.Option("--limit", min=1, max=100_000, help="How many, newest first.")]


@app.command(name="import")
def import_file(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV, XLSX or XLS.")],
    provider: Annotated[str, typer.Option("--provider", help="Whose report it is.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check and count everything, store nothing.")] = False,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Import a settlement report: all of it, or nothing when a row is wrong. The same file is taken only once."""
    from qrisd.schemas import import_resource

    if not file.is_file():
        fail(f"there is no file {file}")
    settings = read_settings(config)
    with open_database(settings) as conn:
        done = _import(conn, settings, file, provider, dry_run)
    if as_json:
        print_json(import_resource(done))
    else:
        _print_imported(done)


@app.command(name="list")
def list_lines(
    day: Annotated[str | None, typer.Option("--date", help="Only what is paid out on this business day.")] = None,
    provider: Provider = None,
    unmatched: Annotated[bool, typer.Option("--unmatched", help="Only lines that are about no payment here.")] = False,
    limit: Limit = 20,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """The lines of the reports, newest first."""
    from qrisd.schemas import settlement_resource
    from qrisd.store import settlements
    from qrisd.store.settlements import Filter

    on = _day(day, "--date")
    wanted = Filter(since=on, until=on, provider=provider, is_matched=False if unmatched else None)
    with open_database(read_settings(config), read_only=True) as conn, clear_errors():
        found = settlements.find(conn, wanted, limit)
    if as_json:
        print_json({"settlements": [settlement_resource(line) for line in found]})
    else:
        _print_lines(found)


@app.command()
def files(provider: Provider = None, limit: Limit = 20, as_json: AsJson = False, config: Config = None) -> None:
    """The reports that were imported, newest first."""
    from qrisd.schemas import settlement_file_resource
    from qrisd.store import settlement_files

    with open_database(read_settings(config), read_only=True) as conn, clear_errors():
        found = settlement_files.find(conn, limit, provider=provider)
    if as_json:
        print_json({"files": [settlement_file_resource(file) for file in found]})
    else:
        _print_files(found)


@app.command()
def overcharges(
    first: Annotated[str | None, typer.Option("--from", help="The first business day it was paid out on.")] = None,
    last: Annotated[str | None, typer.Option("--to", help="The last such day, itself included.")] = None,
    provider: Provider = None,
    limit: Limit = 100,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Payments of which the provider kept more than the MDR allows. Exit 2 when there are any."""
    from qrisd.schemas import overcharge_resource
    from qrisd.store.settlements import Filter

    settings = read_settings(config)
    wanted = Filter(since=_day(first, "--from"), until=_day(last, "--to"), provider=provider)
    with open_database(settings, read_only=True) as conn, clear_errors():
        found = _overcharges(conn, settings, wanted, limit)
    if as_json:
        print_json({"overcharges": [overcharge_resource(one.line, one.criteria, one.expected_fee) for one in found]})
    else:
        _print_overcharges(found)
    if found:
        raise typer.Exit(2)


def _import(conn: Connection, settings: Settings, file: Path, provider: str, dry_run: bool) -> Imported:
    from qrisd.domain.errors import Invalid
    from qrisd.services.settlements import import_report

    with clear_errors():
        try:
            source = settings.reports.source(file, file.name, provider)
            return import_report(conn, source, by_command(), datetime.now(UTC), dry_run=dry_run)
        except Invalid as error:
            wrong = "\n".join(f"  {one.field}: {one.message}" for one in error.errors)
            fail(f"{file.name} was not imported, nothing was stored:\n{wrong}")


def _overcharges(conn: Connection, settings: Settings, wanted: Filter, limit: int) -> list[Overcharge]:
    from dataclasses import replace

    from qrisd.services.overcharges import page

    zones, mdr = settings.zones, settings.mdr.table
    found: list[Overcharge] = []
    while len(found) < limit:
        more, before = page(conn, wanted, mdr, zones, limit - len(found))
        found += more
        if before is None:
            break
        wanted = replace(wanted, before=before)
    return found


def _day(text: str | None, option: str) -> date | None:
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        fail(f"{option} must be a business day like 2026-01-15")


def _print_imported(done: Imported) -> None:
    from qrisd.domain.money import rupiah

    file, total = done.file, done.total
    typer.echo(f"{file.name}: {file.layout}, {total.lines} lines of {file.provider}")
    typer.echo(f"  amount {rupiah(total.amount)}, fee {rupiah(total.fee)}, net {rupiah(total.net_amount)}")
    typer.echo(f"  {done.new} new, {done.changed} changed, {file.repeated} known already")
    if done.planned:
        again = "import the same file again from that day on"
        typer.echo(f"  {done.planned} are to be paid out on a day to come: {again}")
    if done.unmatched:
        typer.echo(f"  {done.unmatched} are about no payment here: `qrisd settlements list --unmatched`")
    for why, count in done.skipped.items():
        typer.echo(f"  {count} rows left out ({why})")
    if not done.has_fees:
        typer.echo("  It has no fees: its lines count as paid out in full until a report says what was kept.")
    typer.echo("Checked only; nothing was stored." if done.is_dry_run else f"Imported as {file.id}.")


def _print_lines(found: list[Line]) -> None:
    from qrisd.domain.money import rupiah

    for line in found:
        settled = "" if line.is_settled else " (expected)"
        typer.echo(
            f"{line.settlement_date}{settled}  {line.provider}  {line.kind:10} {rupiah(line.amount):>14} "
            f"fee {rupiah(line.fee):>9} net {rupiah(line.net_amount):>14}  {line.name}"
        )
        typer.echo(f"{'':12}payment {line.payment_id or 'unknown'}, row {line.row_number} of {line.file_id}")
    if not found:
        typer.echo("No such lines.")


def _print_files(found: list[File]) -> None:
    from qrisd.domain.money import rupiah

    for file in found:
        typer.echo(f"{file.imported_at:%Y-%m-%d %H:%M:%S} UTC  {file.provider}  {file.name}")
        typer.echo(f"  {file.id}  {file.lines} lines, net {rupiah(file.net_amount)}, layout {file.layout}")
    if not found:
        typer.echo("No report was imported yet.")


def _print_overcharges(found: list[Overcharge]) -> None:
    from qrisd.domain.money import rupiah

    for one in found:
        typer.echo(
            f"{one.line.settlement_date}  {one.line.provider}  {one.line.name}: of {rupiah(one.line.amount)} kept "
            f"{rupiah(one.line.fee)}, {one.criteria} allows {rupiah(one.expected_fee)}: {rupiah(one.over)} too much"
        )
    total = sum(one.over for one in found)
    typer.echo(f"{len(found)} payments, {rupiah(total)} too much." if found else "Nothing too much was kept.")
