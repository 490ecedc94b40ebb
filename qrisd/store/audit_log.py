"""The audit_log table: who did what to whom. Rows are only ever added; the table refuses everything else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from qrisd.domain.times import from_text, to_text
from qrisd.store.db import Connection
from qrisd.store.rows import to_json

COMMAND_LINE: Final = "command line"
NOBODY: Final = "nobody"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts, and from where: a user's id or COMMAND_LINE or NOBODY, and the address the request came from."""

    who: str
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One row. `before` and `after` hold the fields that changed; never a secret."""

    at: datetime
    who: str
    action: str
    what: str | None
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    why: str | None
    source: str | None


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
    """Store what `by` did, in the transaction of what it tells of. `what` is the id of the thing it was done to."""
    conn.execute(
        "INSERT INTO audit_log (at, who, action, what, before, after, why, source) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (to_text(now), by.who, action, what, _text(before), _text(after), why, by.source),
    )


def newest(conn: Connection, limit: int) -> list[Entry]:
    """At most `limit` rows, newest first."""
    rows = conn.execute("SELECT * FROM audit_log ORDER BY id DESC LIMIT ?", (limit,))
    return [_entry(row) for row in rows]


def _text(fields: Mapping[str, Any] | None) -> str | None:
    return None if fields is None else to_json(fields)


def _entry(row: Any) -> Entry:
    return Entry(
        at=from_text(row["at"]),
        who=row["who"],
        action=row["action"],
        what=row["what"],
        before=row["before"] and json.loads(row["before"]),
        after=row["after"] and json.loads(row["after"]),
        why=row["why"],
        source=row["source"],
    )
