"""The recovery_codes table: what opens the door when the phone with the second factor is lost, once each."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from qrisd.domain.times import to_text
from qrisd.store.db import Connection


def replace(conn: Connection, user_id: str, code_hashes: Iterable[str]) -> None:
    """These are the codes of this person from now on."""
    conn.execute("DELETE FROM recovery_codes WHERE user_id = ?", (user_id,))
    conn.executemany(
        "INSERT INTO recovery_codes (user_id, code_hash) VALUES (?, ?)", [(user_id, one) for one in code_hashes]
    )


def use(conn: Connection, user_id: str, code_hash: str, now: datetime) -> bool:
    """Spend a code; False when this person has no such code left."""
    return bool(
        conn.execute(
            "UPDATE recovery_codes SET used_at = ? WHERE user_id = ? AND code_hash = ? AND used_at IS NULL",
            (to_text(now), user_id, code_hash),
        ).rowcount
    )


def left(conn: Connection, user_id: str) -> int:
    """How many codes this person has left."""
    found = conn.execute("SELECT count(*) FROM recovery_codes WHERE user_id = ? AND used_at IS NULL", (user_id,))
    number: int = found.fetchone()[0]
    return number
