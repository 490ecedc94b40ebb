"""The webhook_events table: what providers sent us, once per (provider, event_id)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from qrisd.domain.times import to_text, to_text_or_none
from qrisd.store.db import Connection
from qrisd.store.rows import to_json


def add(
    conn: Connection,
    *,
    id: str,
    provider: str,
    event_id: str,
    attempt_id: str | None,
    payload: Mapping[str, Any],
    status: str,
    error_message: str | None,
    now: datetime,
) -> None:
    """Store one event. `status` is OK, ERROR (a person must look) or PENDING (the provider has yet to confirm it)."""
    processed_at = None if status == "PENDING" else now
    conn.execute(
        "INSERT INTO webhook_events (id, provider, event_id, attempt_id, payload, received_at, processed_at, status, "
        "error_message) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            id,
            provider,
            event_id,
            attempt_id,
            to_json(payload),
            to_text(now),
            to_text_or_none(processed_at),
            status,
            error_message,
        ),
    )


def exists(conn: Connection, provider: str, event_id: str) -> bool:
    sql = "SELECT 1 FROM webhook_events WHERE provider = ? AND event_id = ?"
    return conn.execute(sql, (provider, event_id)).fetchone() is not None


def settle(conn: Connection, attempt_id: str, *, received_before: datetime, problem: str | None, now: datetime) -> None:
    """The provider has been asked: mark the waiting events of this attempt as done, or as in error with `problem`."""
    conn.execute(
        "UPDATE webhook_events SET status = ?, error_message = ?, processed_at = ? "
        "WHERE attempt_id = ? AND status = 'PENDING' AND received_at <= ?",
        ("ERROR" if problem else "OK", problem, to_text(now), attempt_id, to_text(received_before)),
    )
