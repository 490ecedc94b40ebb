"""The heartbeat table: a write so small that its success means the database takes writes."""

from __future__ import annotations

from datetime import datetime

from qrisd.domain.times import to_text
from qrisd.store.db import Connection


def beat(conn: Connection, now: datetime) -> None:
    conn.execute(
        "INSERT INTO heartbeat (id, beat_at) VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET beat_at = excluded.beat_at",
        (to_text(now),),
    )
