"""`qrisd users`: the people who sign in."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qrisd.cli.common import (
    AsJson,
    Config,
    by_command,
    clear_errors,
    found_user,
    open_database,
    print_json,
    read_settings,
    transaction,
    wait_for_server,
)

if TYPE_CHECKING:
    from qrisd.config import Settings
    from qrisd.store.users import User

app = typer.Typer(no_args_is_help=True, help="People: create, list, disable, reset their password.")
Username = Annotated[str, typer.Argument(metavar="USERNAME", help="Who, as `qrisd users list` shows them.")]


@app.command()
def create(
    username: Annotated[str, typer.Option("--username", help="What they type to sign in, such as: budi.")],
    name: Annotated[str, typer.Option("--name", help="What they are called.")],
    role: Annotated[
        str,
        typer.Option("--role", help="owner, finance, supervisor, cashier, marketing, technician or auditor."),
    ],
    outlet: Annotated[
        list[str] | None, typer.Option("--outlet", help="Where they work; everywhere when left out.")
    ] = None,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Add somebody. Prints a link where they set their password or PIN, once."""
    from qrisd.services import people
    from qrisd.services.people import Draft

    settings = read_settings(config)
    with open_database(settings) as conn, clear_errors(), transaction(conn):
        draft = Draft(username, name, people.role_named(role), people.checked_outlets(outlet or ()))
        user, token = people.create(conn, draft, by_command(), datetime.now(UTC))
    _show_link(settings, user, token, as_json)


@app.command(name="list")
def list_users(as_json: AsJson = False, config: Config = None) -> None:
    """Everybody, with their role and whether they may still sign in."""
    from qrisd.store import users

    with open_database(read_settings(config), read_only=True) as conn:
        found = users.everybody(conn)
    if as_json:
        print_json([_described(user) for user in found])
    else:
        _print_table(found)


@app.command()
def disable(username: Username, as_json: AsJson = False, config: Config = None) -> None:
    """Let somebody no longer sign in; their sessions end and their API keys stop."""
    from qrisd.services import people

    settings = read_settings(config)
    with open_database(settings) as conn, clear_errors(), transaction(conn):
        user = people.disable(conn, found_user(conn, username).id, by_command(), datetime.now(UTC))
    wait_for_server(settings)
    if as_json:
        print_json(_described(user))
    else:
        typer.echo(f"Disabled {user.username}.")


@app.command()
def reset(
    username: Username,
    remove_second_factor: Annotated[
        bool,
        typer.Option("--remove-second-factor", help="For somebody who lost the phone and the recovery codes."),
    ] = False,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Print a link where somebody sets a new password or PIN, once, within 30 minutes."""
    from qrisd.services import people

    settings, now = read_settings(config), datetime.now(UTC)
    with open_database(settings) as conn, clear_errors(), transaction(conn):
        user = found_user(conn, username)
        token = people.reset(conn, user.id, by_command(), now)
        people.let_try_again(conn, user)
        if remove_second_factor:
            people.remove_second_factor(conn, user.id, by_command(), now)
    _show_link(settings, user, token, as_json)


def _show_link(settings: Settings, user: User, token: str, as_json: bool) -> None:
    from qrisd.data_dir import DataDir

    address = settings.base_url or DataDir(settings.data_dir).server_url() or settings.address
    link = f"{address}/setup/{token}"
    if as_json:
        print_json({**_described(user), "link": link})
        return
    typer.echo(f"{user.name} ({user.username}, {user.role}) sets the password here, once:\n\n  {link}\n")
    if user.secret_hash is not None:
        typer.echo("The link works for 30 minutes. Until it is used the old password goes on working.")


def _described(user: User) -> dict[str, Any]:
    from qrisd.services.people import described

    return {
        "id": user.id,
        **described(user),
        "has_password": user.secret_hash is not None,
        "second_factor": user.totp_secret is not None,
        "created_at": user.created_at.isoformat(),
        "disabled_at": user.disabled_at and user.disabled_at.isoformat(),
    }


def _print_table(found: list[User]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("username", "name", "role", "outlets", "second step", "state")
    for user in found:
        state = "ready" if user.secret_hash else "has no password yet"
        if user.disabled_at:
            state = f"disabled {user.disabled_at:%Y-%m-%d}"
        outlets = "all" if user.outlets is None else " ".join(sorted(user.outlets))
        table.add_row(user.username, user.name, user.role, outlets, "on" if user.totp_secret else "off", state)
    Console().print(table)
