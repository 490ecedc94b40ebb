"""The events table: what the outside is told, with its final body, gap-free and in commit order."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from qrisd.domain.permissions import Outlets
from qrisd.domain.times import to_text
from qrisd.store.db import Connection
from qrisd.store.rows import marks


def add(conn: Connection, payment_id: str, sequence: int, event_type: str, body: str, now: datetime) -> int:
    """Store one event; answers its id. `sequence` counts per payment from 1; `body` is the JSON text that is sent."""
    stored = conn.execute(
        "INSERT INTO events (payment_id, sequence, type, body, created_at) VALUES (?, ?, ?, ?, ?)",
        (payment_id, sequence, event_type, body, to_text(now)),
    )
    assert stored.lastrowid is not None
    return stored.lastrowid


@dataclass(frozen=True, slots=True)
class Event:
    """One event as it was stored.

    Ids are given inside the one write transaction there can be at a time, so they rise in the order of the commits:
    whoever reads an event can read all before it."""

    id: int
    body: str


def after(conn: Connection, event_id: int, limit: int, outlets: Outlets = None) -> list[Event]:
    """At most `limit` events behind this one, oldest first; of payments of `outlets` only, where there is a limit."""
    of_outlets = f"AND payment_id IN (SELECT id FROM payments WHERE outlet IN ({marks(outlets or ())}))"
    rows = conn.execute(
        f"SELECT id, body FROM events WHERE id > ? {'' if outlets is None else of_outlets} ORDER BY id LIMIT ?",
        (event_id, *(outlets or ()), limit),
    )
    return [Event(row["id"], row["body"]) for row in rows]


def newest(conn: Connection) -> int:
    """The id of the newest event, 0 when there is none."""
    found: int = conn.execute("SELECT coalesce(max(id), 0) FROM events").fetchone()[0]
    return found
