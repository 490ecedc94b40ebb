"""The callback_tries table: every request to a merchant's server, and what came of it. Rows are only ever added."""

from __future__ import annotations

from typing import Any

from qrisd.domain.callback import Try
from qrisd.domain.times import from_text, to_text
from qrisd.store.db import Connection


def add(conn: Connection, callback_id: str, tried: Try) -> None:
    conn.execute(
        "INSERT INTO callback_tries (callback_id, tried_at, latency_ms, status_code, address, answer, error) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            callback_id,
            to_text(tried.at),
            tried.latency_ms,
            tried.status_code,
            tried.address,
            tried.answer,
            tried.error,
        ),
    )


def of_callback(conn: Connection, callback_id: str, limit: int) -> list[Try]:
    """The newest `limit` tries of a callback, oldest first."""
    rows = conn.execute(
        "SELECT tried_at, latency_ms, status_code, address, answer, error FROM callback_tries "
        "WHERE callback_id = ? ORDER BY id DESC LIMIT ?",
        (callback_id, limit),
    )
    return [_try(row) for row in reversed(rows.fetchall())]


def _try(row: Any) -> Try:
    facts = dict(row)
    return Try(at=from_text(facts.pop("tried_at")), **facts)
