"""The payment_logs table: what happened to a payment, in order. Rows are only ever added."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from qrisd.domain.times import to_text
from qrisd.store.db import Connection
from qrisd.store.rows import to_json


def add(conn: Connection, payment_id: str, event: str, payload: Mapping[str, Any], now: datetime) -> None:
    conn.execute(
        "INSERT INTO payment_logs (payment_id, event, payload, created_at) VALUES (?, ?, ?, ?)",
        (payment_id, event, to_json(payload), to_text(now)),
    )


def of_payment(conn: Connection, payment_id: str, limit: int) -> list[dict[str, Any]]:
    """The first `limit` rows of a payment, oldest first: id, event, payload, created_at (text)."""
    rows = conn.execute(
        "SELECT id, event, payload, created_at FROM payment_logs WHERE payment_id = ? ORDER BY id LIMIT ?",
        (payment_id, limit),
    )
    return [{**dict(row), "payload": json.loads(row["payload"])} for row in rows]
