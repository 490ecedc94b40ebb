"""What people saw arrive at the bank, by provider and day."""

from __future__ import annotations

from datetime import date, datetime

from qrisd.domain.times import to_text
from qrisd.store.db import Connection


def save(conn: Connection, provider: str, day: date, amount: int, by: str, now: datetime) -> None:
    """Store what arrived, in place of what was entered before."""
    conn.execute(
        "INSERT OR REPLACE INTO payouts (provider, day, amount, entered_by, entered_at) VALUES (?, ?, ?, ?, ?)",
        (provider, day.isoformat(), amount, by, to_text(now)),
    )


def of_day(conn: Connection, day: date) -> dict[str, int]:
    """What arrived on this day, by provider."""
    rows = conn.execute("SELECT provider, amount FROM payouts WHERE day = ?", (day.isoformat(),))
    return {row[0]: int(row[1]) for row in rows}
