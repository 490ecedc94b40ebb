"""The sign_in_failures table: how often somebody has tried in vain, and until when they must wait."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from qrisd.domain.times import from_text, to_text
from qrisd.store.db import Connection


@dataclass(frozen=True, slots=True)
class Failures:
    """The tries of one account, source or second factor."""

    count: int
    blocked_until: datetime
    last_at: datetime


def get(conn: Connection, who: str) -> Failures | None:
    row = conn.execute("SELECT * FROM sign_in_failures WHERE who = ?", (who,)).fetchone()
    if row is None:
        return None
    return Failures(row["failures"], from_text(row["blocked_until"]), from_text(row["last_at"]))


def put(conn: Connection, who: str, failures: Failures) -> None:
    conn.execute(
        "INSERT OR REPLACE INTO sign_in_failures (who, failures, blocked_until, last_at) VALUES (?, ?, ?, ?)",
        (who, failures.count, to_text(failures.blocked_until), to_text(failures.last_at)),
    )


def drop(conn: Connection, who: str) -> None:
    conn.execute("DELETE FROM sign_in_failures WHERE who = ?", (who,))


def forget_before(conn: Connection, moment: datetime, limit: int) -> int:
    """Drop at most `limit` rows without a try since `moment`; answers how many."""
    dropped = conn.execute(
        "DELETE FROM sign_in_failures WHERE who IN (SELECT who FROM sign_in_failures WHERE last_at < ? LIMIT ?)",
        (to_text(moment), limit),
    )
    return dropped.rowcount
