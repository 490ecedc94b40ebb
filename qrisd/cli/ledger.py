"""`qrisd ledger`: where every rupiah is."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer

from qrisd.cli.common import (
    AsJson,
    Config,
    clear_errors,
    found_payment,
    local_time,
    open_database,
    print_json,
    read_settings,
    transaction,
)
from qrisd.cli.person import Username, proven

if TYPE_CHECKING:
    from qrisd.domain.ledger import Entry

app = typer.Typer(no_args_is_help=True, help="The ledger: its accounts, the entries of a payment, corrections.")


@app.command()
def accounts(as_json: AsJson = False, config: Config = None) -> None:
    """Every account with its balance."""
    from qrisd.domain.money import rupiah
    from qrisd.store import ledger

    with open_database(read_settings(config), read_only=True) as conn:
        found = ledger.balances(conn)
    if as_json:
        print_json({"data": [{"account": account, "balance": balance} for account, balance in found.items()]})
        return
    for account, balance in found.items():
        typer.echo(f"{account:<32} {rupiah(balance):>18}")
    if not found:
        typer.echo("Nothing is posted yet: the first paid payment is the first entry.")


@app.command()
def show(
    payment: Annotated[str, typer.Argument(metavar="PAYMENT", help="Its id or order_id.")],
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """What one payment has posted, oldest first."""
    from qrisd.schemas import entry_resource
    from qrisd.store import ledger

    settings = read_settings(config)
    with open_database(settings, read_only=True) as conn:
        entries = ledger.of_payment(conn, found_payment(conn, payment).id)
    if as_json:
        print_json({"data": [entry_resource(entry) for entry in entries]})
    else:
        _print(entries, settings.zones.merchant)


@app.command()
def adjust(
    debit: Annotated[str, typer.Option("--debit", help="The account that is debited.")],
    credit: Annotated[str, typer.Option("--credit", help="The account that is credited.")],
    amount: Annotated[int, typer.Option("--amount", help="Whole rupiah.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; it stays in the books and in the audit log.")],
    username: Username,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Put the books right with a further entry. Nothing that stands in them is changed."""
    from qrisd.schemas import entry_resource
    from qrisd.services import adjusting

    settings = read_settings(config)
    user, now = proven(settings, username), datetime.now(UTC)
    with open_database(settings) as conn, clear_errors(), transaction(conn):
        entry = adjusting.adjust(conn, user, debit=debit, credit=credit, amount=amount, reason=reason, now=now)
    if as_json:
        print_json(entry_resource(entry))
    else:
        _print([entry], settings.zones.merchant)


def _print(entries: list[Entry], zone: ZoneInfo) -> None:
    from qrisd.domain.money import rupiah

    for entry in entries:
        line = f"{local_time(entry.happened_at, zone)} {entry.kind.value:<16} {rupiah(entry.amount):>14}"
        typer.echo(f"{line}  {entry.debit} <- {entry.credit}{f'  ({entry.reason})' if entry.reason else ''}")
    if not entries:
        typer.echo("Nothing is posted: no money has come.")
