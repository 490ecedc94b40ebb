"""The audit_log table: who did what to whom. Rows are only ever added, each chained to the one before it by its hash;
the table refuses everything else."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from qrisd.domain import audit_chain
from qrisd.domain.audit_chain import Entry
from qrisd.domain.times import from_text, to_text, to_text_or_none
from qrisd.store.db import Connection
from qrisd.store.rows import marks, to_json

COMMAND_LINE: Final = "command line"
NOBODY: Final = "nobody"

_COLUMNS: Final = "id, at, who, action, what, before, after, why, source, hash"
_NAMES: Final = tuple(_COLUMNS.split(", "))
_SELECT: Final = (
    "SELECT a.*, coalesce(u.username, k.name) AS name FROM audit_log a LEFT JOIN users u ON u.id = a.who "
    "LEFT JOIN api_keys k ON k.id = substr(a.who, 9) AND a.who GLOB 'api_key:*'"
)


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts, and from where: a user's id, the `api_key:<id>` of a machine, COMMAND_LINE or NOBODY; the address the
    request came from, with the key after it when a person used one."""

    who: str
    source: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which rows to list; None leaves a field open. `who` is what the row says or a username, `action` may end in `*`,
    and `before` is the id of the last row of the page before."""

    since: datetime | None = None
    who: str | None = None
    action: str | None = None
    what: str | None = None
    before: int | None = None


def add(
    conn: Connection,
    by: Actor,
    action: str,
    now: datetime,
    *,
    what: str | None = None,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    why: str | None = None,
) -> None:
    """Store what `by` did, in the transaction of what it tells of. `what` is the id of the thing it was done to.

    The row's id is said: of two writers without a transaction one fails, and the chain never forks."""
    log_id, hash_before = conn.execute("SELECT log_id, hash FROM audit_head").fetchone()
    content = (to_text(now), by.who, action, what, _text(before), _text(after), why, by.source)
    hash_now = audit_chain.link(hash_before, log_id + 1, *content)
    conn.execute(f"INSERT INTO audit_log ({_COLUMNS}) VALUES ({marks(_NAMES)})", (log_id + 1, *content, hash_now))


def find(conn: Connection, wanted: Filter, limit: int) -> list[Entry]:
    """At most `limit` rows, newest first."""
    given = {
        "a.at >= :since": to_text_or_none(wanted.since),
        "a.who IN (:who, (SELECT id FROM users WHERE username = :who))": wanted.who,
        "a.action GLOB :action": wanted.action,
        "a.what = :what": wanted.what,
        "a.id < :before": wanted.before,
    }
    conditions = " AND ".join(["TRUE", *(condition for condition, value in given.items() if value is not None)])
    values = {**asdict(wanted), "since": to_text_or_none(wanted.since), "limit": limit}
    rows = conn.execute(f"{_SELECT} WHERE {conditions} ORDER BY a.id DESC LIMIT :limit", values)
    return [_entry(row) for row in rows]


def first_bad(conn: Connection) -> Iterator[str]:
    """The first row that is not as it was written, or is missing, and nothing when every row is; reads each row once,
    whatever their number."""
    row_id, hash_before = 0, audit_chain.BEGINNING
    try:
        for row in conn.execute(f"SELECT {_COLUMNS} FROM audit_log ORDER BY id"):
            row_id += 1
            if row["id"] != row_id:
                yield f"row {row_id} is missing"
                return
            hash_before = audit_chain.link(hash_before, *row[:-1])
            if row["hash"] != hash_before:
                yield f"row {row_id} is not what was written after row {row_id - 1}"
                return
    except sqlite3.OperationalError as error:
        yield f"row {row_id + 1} cannot be read: {error}"
        return
    yield from _bad_end(conn, row_id, hash_before)


def _bad_end(conn: Connection, last_id: int, last_hash: str) -> Iterator[str]:
    head = conn.execute("SELECT log_id, hash FROM audit_head").fetchone()
    if head is None or head["log_id"] < last_id:
        yield f"row {last_id} is newer than audit_head, which was changed"
    elif head["log_id"] > last_id:
        yield f"row {last_id + 1} is missing, and all up to row {head['log_id']}"
    elif head["hash"] != last_hash:
        yield f"row {last_id} is not what audit_head says was written last"


def _text(fields: Mapping[str, Any] | None) -> str | None:
    return None if fields is None else to_json(fields)


def _entry(row: Any) -> Entry:
    return Entry(
        id=row["id"],
        at=from_text(row["at"]),
        who=row["who"],
        name=row["name"],
        action=row["action"],
        what=row["what"],
        before=row["before"] and json.loads(row["before"]),
        after=row["after"] and json.loads(row["after"]),
        why=row["why"],
        source=row["source"],
        hash=row["hash"],
    )
