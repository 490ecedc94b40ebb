"""What every command shares: its options, one clear line for an error, the settings, the database beside a server."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn
from zoneinfo import ZoneInfo

import typer

if TYPE_CHECKING:
    from qrisd.config import Settings
    from qrisd.domain.payment import Payment
    from qrisd.store.audit_log import Actor
    from qrisd.store.db import Connection
    from qrisd.store.users import User

# A running server notices within a fifth of a second; a command that ends something returns when it has.
NOTICED_AFTER_S = 0.6

Config = Annotated[Path | None, typer.Option("--config", help="Another settings file than qrisd.toml.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def fail(message: str) -> NoReturn:
    """Say on stderr what went wrong and what to do, and exit 1."""
    typer.echo(f"qrisd: {message}", err=True)
    raise typer.Exit(1)


def print_json(value: Any) -> None:
    typer.echo(json.dumps(value, ensure_ascii=False, default=str))


@contextmanager
def clear_errors() -> Iterator[None]:
    """Turn our own errors, and the database's, into one clear line and exit 1."""
    from qrisd.domain.errors import QrisdError

    try:
        yield
    except QrisdError as error:
        fail(str(error))
    except sqlite3.OperationalError as error:
        fail(f"The database cannot be used now: {error}. Try again in a moment.")


def read_settings(config: Path | None, flags: Mapping[str, Any] | None = None) -> Settings:
    """The settings; every problem with them is printed, and the exit code is 1."""
    from qrisd.config import load

    with clear_errors():
        return load(config, flags)


@contextmanager
def open_database(settings: Settings, *, read_only: bool = False) -> Iterator[Connection]:
    """The installation's database, beside a running server or without one."""
    from qrisd.data_dir import DataDir
    from qrisd.store.db import connect

    data_dir = DataDir(settings.data_dir)
    if not data_dir.database.exists():
        fail(f"There is no database in {settings.data_dir} yet. Start once with: qrisd serve")
    os.umask(0o077)
    with clear_errors(), closing(connect(data_dir.database, read_only=read_only, busy_timeout_s=10)) as conn:
        yield conn


def moment(text: str, zone: ZoneInfo) -> datetime:
    """The moment that `--since` names: the first of a business day, or a time in RFC 3339. Exits 1 for another text."""
    from qrisd.domain import business_day
    from qrisd.domain.times import from_rfc3339

    try:
        return business_day.bounds(date.fromisoformat(text), zone)[0] if len(text) == 10 else from_rfc3339(text)
    except (ValueError, OverflowError):
        fail("--since must be a business day like 2026-01-15, or a time like 2026-01-15T03:00:00Z")


def local_time(at: datetime, zone: ZoneInfo) -> str:
    """A moment as a clock in this zone shows it, with the zone's name."""
    return f"{at.astimezone(zone):%Y-%m-%d %H:%M:%S %Z}"


def by_command() -> Actor:
    """Who acts, for the audit log: whoever may run commands on this machine."""
    from qrisd.store.audit_log import COMMAND_LINE, Actor

    return Actor(COMMAND_LINE)


def note(conn: Connection, action: str, what: str, now: datetime, after: Mapping[str, Any] | None = None) -> None:
    """Write into the audit log what a command did."""
    from qrisd.store import audit_log

    audit_log.add(conn, by_command(), action, now, what=what, after=after)


def found_user(conn: Connection, username: str) -> User:
    """The person with this username; exits 1 when there is none."""
    from qrisd.services.people import canonical
    from qrisd.store import users

    user = users.by_username(conn, canonical(username))
    if user is None:
        fail("there is nobody with this username; see `qrisd users list`")
    return user


def found_payment(conn: Connection, named: str) -> Payment:
    """The payment with this id or order id; exits 1 when there is none."""
    from qrisd.store import payments

    payment = payments.get(conn, named) or payments.by_order_id(conn, named)
    if payment is None:
        fail(f"there is no payment with the id or order_id {named!r}")
    return payment


def wait_for_server(settings: Settings) -> None:
    """Return when a running server has noticed what was just stored."""
    from qrisd.data_dir import DataDir

    if DataDir(settings.data_dir).is_served():
        time.sleep(NOTICED_AFTER_S)


@contextmanager
def transaction(conn: Connection) -> Iterator[Connection]:
    """Everything inside is stored, or nothing."""
    conn.execute("BEGIN IMMEDIATE")
    try:
        yield conn
    except BaseException:
        conn.execute("ROLLBACK")
        raise
    conn.execute("COMMIT")
