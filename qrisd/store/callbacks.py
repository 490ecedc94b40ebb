"""The callbacks table: what the merchant's servers are told, and how far that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from qrisd.domain.callback import LONGEST_SILENCE, Callback, CallbackStatus, endpoint_of, origin_of
from qrisd.domain.permissions import Outlets
from qrisd.domain.times import from_text, from_text_or_none, to_text, to_text_or_none
from qrisd.store.db import Connection
from qrisd.store.rows import marks

_SELECT: Final = (
    "SELECT c.id, c.event_id, c.payment_id, e.type, e.sequence, e.body, c.url, c.endpoint, c.origin, c.status, "
    "c.tries, c.next_try_at, c.reason, c.created_at, c.delivered_at FROM callbacks c JOIN events e ON e.id = c.event_id"
)
# The servers for which something waits, each found by one step in the index.
_ORIGINS: Final = """WITH RECURSIVE origins (name) AS (
    SELECT min(origin) FROM callbacks WHERE status = 'WAITING'
    UNION ALL
    SELECT (SELECT min(origin) FROM callbacks WHERE status = 'WAITING' AND origin > name) FROM origins
    WHERE name IS NOT NULL)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which callbacks to list or replay; what is None does not matter. `since` is when the event happened, `before` an
    event id, `outlets` those the asker is limited to."""

    status: CallbackStatus | None = None
    endpoint: str | None = None
    payment_id: str | None = None
    since: datetime | None = None
    before: int | None = None
    outlets: Outlets = None


def add(conn: Connection, *, id: str, event_id: int, payment_id: str, url: str, now: datetime) -> None:
    """Store a callback that is due at once."""
    conn.execute(
        "INSERT INTO callbacks (id, event_id, payment_id, url, endpoint, origin, status, tries, next_try_at, "
        "created_at) VALUES (?, ?, ?, ?, ?, ?, 'WAITING', 0, ?, ?)",
        (id, event_id, payment_id, url, endpoint_of(url), origin_of(url), to_text(now), to_text(now)),
    )


def save(conn: Connection, callback: Callback) -> None:
    """Store what can change about a callback."""
    conn.execute(
        "UPDATE callbacks SET status = ?, tries = ?, next_try_at = ?, reason = ?, delivered_at = ? WHERE id = ?",
        (
            callback.status,
            callback.tries,
            to_text_or_none(callback.next_try_at),
            callback.reason,
            to_text_or_none(callback.delivered_at),
            callback.id,
        ),
    )


def get(conn: Connection, callback_id: str) -> Callback | None:
    row = conn.execute(f"{_SELECT} WHERE c.id = ?", (callback_id,)).fetchone()
    return None if row is None else _callback(row)


def due(conn: Connection, now: datetime, limit: int) -> list[Callback]:
    """The callbacks that are to be tried by now: for every server at most `limit`, the longest waiting first. One that
    waits for a day beyond every pause waits because the clock was wrong, and is due too."""
    rows = conn.execute(
        f"{_ORIGINS} {_SELECT} WHERE c.id IN (SELECT d.id FROM origins JOIN callbacks d ON d.id IN ("
        "SELECT id FROM callbacks WHERE status = 'WAITING' AND origin = name "
        "AND (next_try_at <= ? OR next_try_at > ?) ORDER BY next_try_at, event_id LIMIT ?)) "
        "ORDER BY c.next_try_at, c.event_id",
        (to_text(now), to_text(now + LONGEST_SILENCE), limit),
    )
    return [_callback(row) for row in rows]


def find(conn: Connection, wanted: Filter, limit: int) -> list[Callback]:
    """At most `limit` callbacks, newest first."""
    # What waits or is dead is little and has indexes of its own: the plus keeps SQLite from walking past all the rest.
    number = "c.event_id" if wanted.status in (None, CallbackStatus.DELIVERED) else "+c.event_id"
    given = {
        "c.endpoint = ?": wanted.endpoint,
        "c.payment_id = ?": wanted.payment_id,
        "c.created_at >= ?": to_text_or_none(wanted.since),
        f"{number} < ?": wanted.before,
    }
    used = {condition: value for condition, value in given.items() if value is not None}
    status = "1" if wanted.status is None else f"c.status = '{wanted.status}'"
    outlets = wanted.outlets or ()
    limited = f"c.payment_id IN (SELECT id FROM payments WHERE outlet IN ({marks(outlets)}))"
    conditions = " AND ".join([status, *used, *([] if wanted.outlets is None else [limited])])
    values = (*used.values(), *outlets, limit)
    rows = conn.execute(f"{_SELECT} WHERE {conditions} ORDER BY {number} DESC LIMIT ?", values)
    return [_callback(row) for row in rows]


def replay(conn: Connection, callback_ids: Sequence[str], now: datetime) -> None:
    """Make these callbacks due now, under their old ids and with all tries before them."""
    conn.executemany(
        "UPDATE callbacks SET status = 'WAITING', tries = 0, next_try_at = ?, delivered_at = NULL WHERE id = ?",
        [(to_text(now), callback_id) for callback_id in callback_ids],
    )


def counts(conn: Connection, endpoint: str) -> tuple[int, int]:
    """How many callbacks wait for an endpoint, and how many were given up."""
    waiting = "SELECT count(*) FROM callbacks WHERE status = 'WAITING' AND origin = ? AND endpoint = ?"
    dead = "SELECT count(*) FROM callbacks WHERE status = 'DEAD' AND endpoint = ?"
    return (
        conn.execute(waiting, (origin_of(endpoint), endpoint)).fetchone()[0],
        conn.execute(dead, (endpoint,)).fetchone()[0],
    )


def count_waiting(conn: Connection) -> int:
    found: int = conn.execute("SELECT count(*) FROM callbacks WHERE status = 'WAITING'").fetchone()[0]
    return found


def count_dead(conn: Connection, since: datetime) -> int:
    """How many callbacks of events since then were given up."""
    dead = "SELECT count(*) FROM callbacks WHERE status = 'DEAD' AND created_at >= ?"
    found: int = conn.execute(dead, (to_text(since),)).fetchone()[0]
    return found


def bury(conn: Connection, endpoint: str, reason: str) -> int:
    """Give up everything that waits for an endpoint; answers how many."""
    done = conn.execute(
        "UPDATE callbacks SET status = 'DEAD', next_try_at = NULL, reason = ? "
        "WHERE status = 'WAITING' AND origin = ? AND endpoint = ?",
        (reason, origin_of(endpoint), endpoint),
    )
    return done.rowcount


def _callback(row: Any) -> Callback:
    facts = dict(row)
    facts["status"] = CallbackStatus(facts["status"])
    facts["created_at"] = from_text(facts["created_at"])
    facts["next_try_at"] = from_text_or_none(facts["next_try_at"])
    facts["delivered_at"] = from_text_or_none(facts["delivered_at"])
    return Callback(**facts)
