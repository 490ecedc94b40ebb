"""The events table: what the outside is told, with its final body, gap-free and in commit order."""

from __future__ import annotations

from datetime import datetime

from qrisd.domain.times import to_text
from qrisd.store.db import Connection


def add(conn: Connection, payment_id: str, sequence: int, event_type: str, body: str, now: datetime) -> None:
    """Store one event. `sequence` counts per payment from 1; `body` is the JSON text that is sent."""
    conn.execute(
        "INSERT INTO events (payment_id, sequence, type, body, created_at) VALUES (?, ?, ?, ?, ?)",
        (payment_id, sequence, event_type, body, to_text(now)),
    )
