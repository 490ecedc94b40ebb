"""Bringing a database file to the present schema: numbered SQL files, `PRAGMA user_version`, a backup first."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib import resources
from typing import Final

from qrisd.domain import audit_chain
from qrisd.domain.errors import DatabaseUnusable
from qrisd.store.db import Connection

APPLICATION_ID: Final = 0x51524953  # "QRIS": tells our file from another application's


def migrations() -> list[tuple[int, str]]:
    """(version, SQL) of every migration, oldest first; the version is the number its file name begins with."""
    folder = resources.files("qrisd.store") / "migrations"
    files = [item for item in folder.iterdir() if item.name.endswith(".sql")]
    return sorted((int(item.name.split("_", 1)[0]), item.read_text("utf-8")) for item in files)


def newest() -> int:
    """The schema version this program works with."""
    return migrations()[-1][0]


def version_of(conn: Connection) -> int:
    """The schema version of an open database; 0 when it is empty."""
    return int(conn.execute("PRAGMA user_version").fetchone()[0])


def migrate(conn: Connection) -> list[int]:
    """Run what is new, each migration in a transaction of its own. Returns the versions that were run.

    Raises DatabaseUnusable when the database is newer than this program, and when rows in it contradict each other."""
    refuse_newer(conn)
    present = version_of(conn)
    todo = [(version, sql) for version, sql in migrations() if version > present]
    conn.create_function("audit_link", -1, audit_chain.link, deterministic=True)
    with _tables_may_move(conn):
        for version, sql in todo:
            _bring_to(conn, version, sql)
    return [version for version, _ in todo]


def _bring_to(conn: Connection, version: int, sql: str) -> None:
    """Raises DatabaseUnusable for rows that only a hand, or damage, can have left side by side."""
    try:
        _run(conn, version, sql)
    except sqlite3.IntegrityError as error:
        raise DatabaseUnusable(
            f"The database cannot be brought to schema {version}: {error}. No qrisd writes such rows; it is left as it "
            "was. Restore a backup, or look at it with `qrisd verify` of the version before."
        ) from error


@contextmanager
def _tables_may_move(conn: Connection) -> Iterator[None]:
    """Foreign keys are off meanwhile, as SQLite asks of whoever rebuilds a table; it hears that outside of a
    transaction only. What they say has to hold is for `qrisd verify` to name."""
    (enforced,) = conn.execute("PRAGMA foreign_keys").fetchone()
    conn.execute("PRAGMA foreign_keys = OFF")
    try:
        yield
    finally:
        conn.execute(f"PRAGMA foreign_keys = {enforced}")


def guards(version: int) -> dict[str, str]:
    """The SQL of every trigger and index of a database with this schema version, by its name."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as conn:
        conn.create_function("audit_link", -1, audit_chain.link, deterministic=True)
        for number, sql in migrations():
            if number <= version:
                _run(conn, number, sql)
        return guards_of(conn)


def guards_of(conn: Connection) -> dict[str, str]:
    """The SQL of every trigger and index that this database has, by its name."""
    rows = conn.execute("SELECT name, sql FROM sqlite_master WHERE type IN ('trigger', 'index') AND sql IS NOT NULL")
    return {row[0]: row[1] for row in rows}


def refuse_newer(conn: Connection) -> None:
    """Raises DatabaseUnusable when the database was used by a newer program than this."""
    present = version_of(conn)
    if present > newest():
        raise DatabaseUnusable(
            f"The database has schema {present}, this qrisd knows {newest()}: it was used by a newer qrisd. "
            "Install that version again, or restore a backup made before the upgrade."
        )


def _run(conn: Connection, version: int, sql: str) -> None:
    conn.execute("BEGIN IMMEDIATE")
    try:
        for statement in statements(sql):
            conn.execute(statement)
        conn.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        conn.execute(f"PRAGMA user_version = {version}")
        conn.execute("COMMIT")
    except BaseException:
        if conn.in_transaction:  # a full disk may have rolled back already
            conn.execute("ROLLBACK")
        raise


def statements(sql: str) -> Iterator[str]:
    """The single statements of a script. (`executescript` would commit the transaction they must share.)"""
    pending = ""
    for line in sql.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""
    if pending.strip():
        yield pending
