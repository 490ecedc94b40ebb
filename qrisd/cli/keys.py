"""`qrisd keys`: who may call the API."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qrisd.cli.common import (
    AsJson,
    Config,
    clear_errors,
    fail,
    found_user,
    note,
    open_database,
    print_json,
    read_settings,
    transaction,
    wait_for_server,
)

if TYPE_CHECKING:
    from qrisd.store.api_keys import ApiKey

app = typer.Typer(no_args_is_help=True, help="API keys: create, list, rotate, revoke.")
KeyId = Annotated[str, typer.Argument(metavar="ID", help="The key's id, from `qrisd keys list`.")]


@app.command()
def create(
    name: Annotated[str, typer.Option("--name", help="Whose key it is, such as: kasir-1.")],
    scope: Annotated[
        list[str] | None, typer.Option("--scope", help="What it may do; everything when left out.")
    ] = None,
    outlet: Annotated[
        list[str] | None, typer.Option("--outlet", help="Where it may take payments; everywhere when left out.")
    ] = None,
    user: Annotated[
        str | None, typer.Option("--user", help="The username of the person it acts for; it may do no more than they.")
    ] = None,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Make an API key. Its secret is shown now and never again."""
    from qrisd.services import api_keys, people

    settings, now = read_settings(config), datetime.now(UTC)
    if not 1 <= len(name.strip()) <= 100 or not name.isprintable():
        fail("give the key a name of 1 to 100 visible characters")
    with open_database(settings) as conn, clear_errors(), transaction(conn):
        outlets, user_id = people.checked_outlets(outlet or ()), found_user(conn, user).id if user else None
        key, secret = api_keys.create(
            conn, name.strip(), scope or (), settings.environment, now, outlets=outlets, user_id=user_id
        )
        note(conn, "api_key.created", key.id, now, _limits(key))
    _show_secret(key, secret, as_json)


@app.command(name="list")
def list_keys(as_json: AsJson = False, config: Config = None) -> None:
    """Every API key, with what it may do and whether it still may."""
    from qrisd.store import api_keys

    with open_database(read_settings(config), read_only=True) as conn:
        keys = api_keys.everything(conn)
    if as_json:
        print_json([_described(key) for key in keys])
    else:
        _print_table(keys)


@app.command()
def rotate(key_id: KeyId, as_json: AsJson = False, config: Config = None) -> None:
    """Give a key a new secret. It stays the same caller; the old secret ends at once."""
    from qrisd.services import api_keys

    settings, now = read_settings(config), datetime.now(UTC)
    with open_database(settings) as conn, clear_errors(), transaction(conn):
        key, secret = api_keys.rotate(conn, key_id, settings.environment, now)
        note(conn, "api_key.rotated", key.id, now)
    wait_for_server(settings)
    _show_secret(key, secret, as_json)


@app.command()
def revoke(key_id: KeyId, as_json: AsJson = False, config: Config = None) -> None:
    """End a key for good."""
    from qrisd.store import api_keys

    settings, now = read_settings(config), datetime.now(UTC)
    with open_database(settings) as conn, transaction(conn):
        ended = api_keys.revoke(conn, key_id, now)
        if ended:
            note(conn, "api_key.revoked", key_id, now)
    if not ended:
        fail("there is no live API key with this id; see `qrisd keys list`")
    wait_for_server(settings)
    if as_json:
        print_json({"id": key_id, "revoked": True})
    else:
        typer.echo(f"Revoked {key_id}.")


def _show_secret(key: ApiKey, secret: str, as_json: bool) -> None:
    if as_json:
        print_json({"id": key.id, "name": key.name, "key": secret})
        return
    typer.echo(f"API key {key.name} ({key.id})\n\n  {secret}\n\nKeep it now: it is not shown again.")


def _limits(key: ApiKey) -> dict[str, Any]:
    outlets = None if key.outlets is None else sorted(key.outlets)
    return {"scopes": key.scopes, "outlets": outlets, "user_id": key.user_id}


def _described(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "hint": key.hint,
        **_limits(key),
        "created_at": key.created_at.isoformat(),
        "rotated_at": key.rotated_at and key.rotated_at.isoformat(),
        "revoked_at": key.revoked_at and key.revoked_at.isoformat(),
    }


def _print_table(keys: list[ApiKey]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("id", "name", "secret", "scopes", "outlets", "created", "state")
    for key in keys:
        state = f"revoked {key.revoked_at:%Y-%m-%d}" if key.revoked_at else "live"
        outlets = "all" if key.outlets is None else " ".join(sorted(key.outlets))
        made = f"{key.created_at:%Y-%m-%d}"
        table.add_row(key.id, key.name, f"…{key.hint}", " ".join(key.scopes), outlets, made, state)
    Console().print(table)
