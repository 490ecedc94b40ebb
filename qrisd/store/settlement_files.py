"""The settlement_files table: which reports were imported."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Final

from qrisd.domain.settlement import File
from qrisd.domain.times import from_text, to_text
from qrisd.store.db import Connection

_COLUMNS: Final = (
    "id, provider, name, sha256, layout, lines, repeated, skipped, amount, fee, net_amount, imported_at, imported_by"
)
_NAMES: Final = tuple(_COLUMNS.split(", "))


def add(conn: Connection, file: File) -> None:
    """Store the file; its lines name it, so it comes before them."""
    values = asdict(file) | {"imported_at": to_text(file.imported_at)}
    conn.execute(
        f"INSERT INTO settlement_files ({_COLUMNS}) VALUES ({', '.join(f':{name}' for name in _NAMES)})", values
    )


def bring(conn: Connection, file_id: str, *, lines: int, amount: int, fee: int, net_amount: int) -> None:
    """Count lines to the file that it brought."""
    conn.execute(
        "UPDATE settlement_files SET lines = lines + ?, amount = amount + ?, fee = fee + ?, "
        "net_amount = net_amount + ? WHERE id = ?",
        (lines, amount, fee, net_amount, file_id),
    )


def finish(conn: Connection, file_id: str, sha256: str) -> None:
    """All of the file is here: from now on it is known by its hash."""
    conn.execute("UPDATE settlement_files SET sha256 = ? WHERE id = ?", (sha256, file_id))


def by_sha256(conn: Connection, sha256: str) -> File | None:
    row = conn.execute(f"SELECT {_COLUMNS} FROM settlement_files WHERE sha256 = ?", (sha256,)).fetchone()
    return None if row is None else _file(row)


def progress(conn: Connection) -> int:
    """How much was imported so far: a number that grows with every file, and with every part of one that brings
    something."""
    found: int = conn.execute("SELECT count(*) + coalesce(sum(lines), 0) FROM settlement_files").fetchone()[0]
    return found


def find(conn: Connection, limit: int, *, provider: str | None = None, before: str | None = None) -> list[File]:
    """At most `limit` files, the newest first; `before` is the id of the last one of the page before. Ids sort by
    time."""
    parts = [("provider = ?", provider), ("id < ?", before)]
    clauses = [clause for clause, value in parts if value is not None]
    values = [value for _, value in parts if value is not None]
    where = f"WHERE {' AND '.join(clauses)}" if clauses else ""
    sql = f"SELECT {_COLUMNS} FROM settlement_files {where} ORDER BY id DESC LIMIT ?"
    return [_file(row) for row in conn.execute(sql, (*values, limit))]


def _file(row: Any) -> File:
    return File(**{**dict(row), "imported_at": from_text(row["imported_at"])})
