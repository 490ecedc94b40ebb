"""The sessions table: the browsers that are signed in. Tokens are 256 random bits; only their SHA-256 is stored."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from qrisd.domain.times import from_text, from_text_or_none, to_text
from qrisd.store.db import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One browser. `awaits_code`: the second factor is still owed. `source` is the address it signed in from."""

    id: str
    user_id: str
    awaits_code: bool
    source: str
    browser: str
    created_at: datetime
    last_seen_at: datetime
    stepped_up_at: datetime
    ended_at: datetime | None = None


def add(conn: Connection, session: Session, token_hash: str) -> None:
    conn.execute(
        "INSERT INTO sessions (id, token_hash, user_id, awaits_code, source, browser, created_at, last_seen_at, "
        "stepped_up_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            session.id,
            token_hash,
            session.user_id,
            session.awaits_code,
            session.source,
            session.browser,
            to_text(session.created_at),
            to_text(session.last_seen_at),
            to_text(session.stepped_up_at),
        ),
    )


def by_token(conn: Connection, token_hash: str) -> Session | None:
    """The session with this token, unless it has ended."""
    row = conn.execute("SELECT * FROM sessions WHERE token_hash = ? AND ended_at IS NULL", (token_hash,)).fetchone()
    return None if row is None else _session(row)


def of_user(conn: Connection, user_id: str) -> list[Session]:
    """The sessions of a person that have not been ended, newest first."""
    rows = conn.execute(
        "SELECT * FROM sessions WHERE user_id = ? AND ended_at IS NULL ORDER BY created_at DESC, id DESC", (user_id,)
    )
    return [_session(row) for row in rows]


def was_here(conn: Connection, user_id: str, source: str) -> bool:
    """True when this person has signed in from there, wholly, as far as is remembered."""
    found = conn.execute(
        "SELECT 1 FROM sessions WHERE user_id = ? AND source = ? AND awaits_code = 0", (user_id, source)
    )
    return found.fetchone() is not None


def sources(conn: Connection, user_id: str) -> list[str]:
    """The addresses this person has signed in from, as far as is remembered."""
    return [row[0] for row in conn.execute("SELECT DISTINCT source FROM sessions WHERE user_id = ?", (user_id,))]


def renew(conn: Connection, session_id: str, token_hash: str, now: datetime) -> bool:
    """Give a session that has not ended a new token, and note that its person has just proven who they are."""
    return bool(
        conn.execute(
            "UPDATE sessions SET token_hash = ?, awaits_code = 0, stepped_up_at = ?, last_seen_at = ? "
            "WHERE id = ? AND ended_at IS NULL",
            (token_hash, to_text(now), to_text(now), session_id),
        ).rowcount
    )


def touch(conn: Connection, session_id: str, now: datetime) -> None:
    """Note that the session was used."""
    conn.execute("UPDATE sessions SET last_seen_at = ? WHERE id = ?", (to_text(now), session_id))


def end(conn: Connection, session_id: str, user_id: str, now: datetime) -> bool:
    """End a session of this person; False when they have no such session."""
    return bool(
        conn.execute(
            "UPDATE sessions SET ended_at = ? WHERE id = ? AND user_id = ? AND ended_at IS NULL",
            (to_text(now), session_id, user_id),
        ).rowcount
    )


def end_all(conn: Connection, user_id: str, now: datetime, *, but: str | None = None) -> None:
    """End every session of this person, except the one with the id `but`."""
    conn.execute(
        "UPDATE sessions SET ended_at = ? WHERE user_id = ? AND ended_at IS NULL AND id IS NOT ?",
        (to_text(now), user_id, but),
    )


def forget_before(conn: Connection, moment: datetime, limit: int) -> int:
    """Drop at most `limit` sessions that were last used before `moment`; answers how many."""
    dropped = conn.execute(
        "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE last_seen_at < ? LIMIT ?)",
        (to_text(moment), limit),
    )
    return dropped.rowcount


def _session(row: Any) -> Session:
    return Session(
        id=row["id"],
        user_id=row["user_id"],
        awaits_code=bool(row["awaits_code"]),
        source=row["source"],
        browser=row["browser"],
        created_at=from_text(row["created_at"]),
        last_seen_at=from_text(row["last_seen_at"]),
        stepped_up_at=from_text(row["stepped_up_at"]),
        ended_at=from_text_or_none(row["ended_at"]),
    )
