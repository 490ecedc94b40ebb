"""What every command shares: its options, one clear line for an error, the settings, the database beside a server."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from qrisd.config import Settings
    from qrisd.store.db import Connection

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
