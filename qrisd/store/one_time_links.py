"""The one_time_links table: links that set a password, once. Only the SHA-256 of their token is stored."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from qrisd.domain.times import to_text, to_text_or_none
from qrisd.store.db import Connection


class Purpose(StrEnum):
    """What a link is for."""

    OWNER = "owner"  # makes the first owner
    SETUP = "setup"  # a new person sets their first password
    RESET = "reset"  # somebody who cannot sign in sets a new one


@dataclass(frozen=True, slots=True)
class Link:
    """One link that can still be used."""

    purpose: Purpose
    user_id: str | None


def add(conn: Connection, token_hash: str, link: Link, now: datetime, expires_at: datetime | None) -> None:
    """Store a link; every earlier one for the same person, or for the first owner, ends."""
    conn.execute("DELETE FROM one_time_links WHERE user_id IS ?", (link.user_id,))
    conn.execute(
        "INSERT INTO one_time_links (token_hash, purpose, user_id, created_at, expires_at) VALUES (?, ?, ?, ?, ?)",
        (token_hash, link.purpose, link.user_id, to_text(now), to_text_or_none(expires_at)),
    )


def find(conn: Connection, token_hash: str, now: datetime) -> Link | None:
    """The link with this token, unless it was used or its time is over."""
    row = conn.execute(
        "SELECT purpose, user_id FROM one_time_links WHERE token_hash = ? AND used_at IS NULL "
        "AND (expires_at IS NULL OR expires_at > ?)",
        (token_hash, to_text(now)),
    ).fetchone()
    return None if row is None else Link(Purpose(row["purpose"]), row["user_id"])


def use(conn: Connection, token_hash: str, now: datetime) -> None:
    conn.execute("UPDATE one_time_links SET used_at = ? WHERE token_hash = ?", (to_text(now), token_hash))


def drop(conn: Connection, user_id: str) -> None:
    """Whoever has a link for this person can no longer use it."""
    conn.execute("DELETE FROM one_time_links WHERE user_id = ?", (user_id,))
