"""The receipt_prints table: who printed which receipt, when and how."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from qrisd.domain.times import from_text, to_text
from qrisd.store.db import Connection

How = Literal["browser", "printer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Print:
    """One print of a payment's receipt; the first has number 1. `name` is that of the person who made it."""

    number: int
    how: How
    name: str
    printed_at: datetime

    @property
    def is_copy(self) -> bool:
        return self.number > 1


def add(conn: Connection, payment_id: str, how: How, user_id: str, now: datetime) -> Print:
    """Store one more print of this payment's receipt; it is the original when there is none yet."""
    number, printed_at = count(conn, payment_id) + 1, to_text(now)
    conn.execute(
        "INSERT INTO receipt_prints (payment_id, number, how, user_id, printed_at) VALUES (?, ?, ?, ?, ?)",
        (payment_id, number, how, user_id, printed_at),
    )
    row = conn.execute("SELECT name FROM users WHERE id = ?", (user_id,)).fetchone()
    return Print(number=number, how=how, name=row[0], printed_at=now)


def count(conn: Connection, payment_id: str) -> int:
    """How often this payment's receipt was printed."""
    row = conn.execute("SELECT count(*) FROM receipt_prints WHERE payment_id = ?", (payment_id,)).fetchone()
    return int(row[0])


def of_payment(conn: Connection, payment_id: str) -> list[Print]:
    """Every print of this payment's receipt, oldest first."""
    sql = (
        "SELECT r.number, r.how, u.name, r.printed_at FROM receipt_prints r JOIN users u ON u.id = r.user_id "
        "WHERE r.payment_id = ? ORDER BY r.number"
    )
    return [_print(row) for row in conn.execute(sql, (payment_id,))]


def _print(row: Any) -> Print:
    return Print(number=row["number"], how=row["how"], name=row["name"], printed_at=from_text(row["printed_at"]))
