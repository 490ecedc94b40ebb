"""`qrisd reconcile`: a business day compared with the providers, their reports and the bank."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from qrisd.cli.common import (
    AsJson,
    Config,
    by_command,
    clear_errors,
    fail,
    open_database,
    print_json,
    read_settings,
    transaction,
)

if TYPE_CHECKING:
    from qrisd.config import Settings
    from qrisd.domain.reconciliation_report import Report
    from qrisd.services.findings import Act
    from qrisd.services.reconciling import Progress

app = typer.Typer(invoke_without_command=True, help="Reconcile a business day; note what was done about differences.")
Language = Annotated[str, typer.Option("--lang", help="Of --csv and --html: id or en.")]
ExceptionId = Annotated[str, typer.Argument(metavar="ID", help="The exception's id, as the report shows it.")]
Reason = Annotated[str, typer.Option("--reason", help="Why, for whoever reads it later.")]
Owner = Annotated[str | None, typer.Option("--owner", help="Who looks after it.")]


@app.callback()
def reconcile(
    context: typer.Context,
    day: Annotated[str, typer.Option("--date", metavar="DATE", help="YYYY-MM-DD, today or yesterday.")] = "",
    provider: Annotated[str | None, typer.Option("--provider", help="Only this provider.")] = None,
    csv_file: Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Write every difference.")] = None,
    html_file: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write a page to print.")] = None,
    language: Language = "id",
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Compare a business day with the providers, their reports and the bank. Exit 0 clean, 2 exceptions remain, 1 when
    none does but a provider gave no answer."""
    if context.invoked_subcommand is not None:
        return
    if not day:
        fail("say which day: --date YYYY-MM-DD, --date today or --date yesterday")
    if language not in ("id", "en"):
        fail("--lang is id or en")
    settings = read_settings(config)
    with open_database(settings, read_only=True):
        pass
    with clear_errors(), _shown_progress() as told:
        report = asyncio.run(_reconcile(settings, _day(day, settings), provider, told))
    _write(report, csv_file, html_file, language)
    _print(report, as_json=as_json)
    unasked = report.summary.unasked
    if unasked:
        typer.echo(f"qrisd: {unasked} QRs could not be asked about. Run it again: it goes on with those.", err=True)
    if report.open or unasked:
        raise typer.Exit(2 if report.open else 1)


async def _reconcile(settings: Settings, day: date, provider: str | None, told: Callable[[Progress], None]) -> Report:
    from qrisd import log
    from qrisd.app import reconciling_alone

    log.configure(logging.WARNING)
    async with reconciling_alone(settings) as reconciling:
        return await reconciling.run(day, provider, by=by_command(), told=told)


def _day(text: str, settings: Settings) -> date:
    from qrisd.domain import business_day

    today = business_day.of(datetime.now(UTC), settings.zones.merchant)
    if text in ("today", "yesterday"):
        return today if text == "today" else today - timedelta(days=1)
    try:
        if len(text) == 10:
            return date.fromisoformat(text)
    except ValueError:
        pass
    fail(f"{text!r} is no day; write it like 2026-01-15, today or yesterday")


@contextmanager
def _shown_progress() -> Iterator[Callable[[Progress], None]]:
    """What shows how far it is, on a terminal."""
    if not sys.stderr.isatty():
        yield lambda progress: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("waiting for another run", total=None)
        yield lambda now: bar.update(task, description=now.stage, completed=now.done, total=now.total)


def _write(report: Report, csv_file: Path | None, html_file: Path | None, language: str) -> None:
    from qrisd.day_report import drawing, spreadsheet

    chosen: Literal["id", "en"] = "en" if language == "en" else "id"
    try:
        if csv_file is not None:
            csv_file.write_text("".join(spreadsheet.chunks(report, chosen)), "utf-8", newline="")
        if html_file is not None:
            html_file.write_text(drawing.page(report, chosen, is_file=True), "utf-8")
    except OSError as error:
        fail(f"{error.filename} cannot be written: {error.strerror}")


def _print(report: Report, *, as_json: bool) -> None:
    from qrisd.day_report import resource, text

    if as_json:
        print_json(resource.resource(report))
    else:
        for line in text.lines(report):
            typer.echo(line)


@app.command()
def payout(
    provider: Annotated[str, typer.Argument(metavar="PROVIDER", help="Who paid out.")],
    day: Annotated[str, typer.Argument(metavar="DATE", help="The business day of the payout.")],
    amount: Annotated[int, typer.Argument(metavar="AMOUNT", help="Whole rupiah, as the bank statement says.")],
    reason: Annotated[
        str | None, typer.Option("--reason", help="Why; needed when another amount was entered before.")
    ] = None,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Enter what arrived at the bank; the next reconciliation of that day compares it with the report."""
    from qrisd.services import findings

    settings = read_settings(config)
    chosen = _day(day, settings)
    if amount < 0:
        fail("AMOUNT is whole rupiah, 0 or more")
    if provider not in {*settings.provider_settings()}:
        fail(f"there is no provider {provider!r}; there are {', '.join(settings.provider_settings())}")
    with open_database(settings) as conn, clear_errors(), transaction(conn):
        findings.enter_payout(conn, provider, chosen, amount, by_command(), datetime.now(UTC), why=reason)
    if as_json:
        print_json({"provider": provider, "date": chosen.isoformat(), "amount": amount})
    else:
        typer.echo(f"Entered. Compare it with: qrisd reconcile --date {chosen}")


@app.command()
def note(
    finding_id: ExceptionId,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What is known about it.")],
    owner: Owner = None,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Note something about an exception, or say who looks after it."""
    from qrisd.services.findings import Act

    _act(config, finding_id, Act(note=text, owner=owner), as_json=as_json)


@app.command()
def resolve(
    finding_id: ExceptionId, reason: Reason, owner: Owner = None, as_json: AsJson = False, config: Config = None
) -> None:
    """Say that an exception needs nobody any longer. It opens again by itself when its facts change."""
    from qrisd.services.findings import Act

    _act(config, finding_id, Act(action="resolve", reason=reason, owner=owner), as_json=as_json)


@app.command()
def reopen(
    finding_id: ExceptionId, reason: Reason, owner: Owner = None, as_json: AsJson = False, config: Config = None
) -> None:
    """Open an exception again."""
    from qrisd.services.findings import Act

    _act(config, finding_id, Act(action="reopen", reason=reason, owner=owner), as_json=as_json)


def _act(config: Path | None, finding_id: str, what: Act, *, as_json: bool) -> None:
    from qrisd.day_report.resource import finding_resource
    from qrisd.services import findings

    with open_database(read_settings(config)) as conn, clear_errors(), transaction(conn):
        after = findings.act(conn, finding_id, what, by_command(), datetime.now(UTC))
    if as_json:
        print_json(finding_resource(after))
    else:
        typer.echo(f"{after.difference.kind} {after.difference.name}: {after.status.lower()}")
