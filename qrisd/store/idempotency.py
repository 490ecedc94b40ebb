"""The idempotency_keys table. A row is written in the transaction of the payment it belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from qrisd.domain.times import to_text
from qrisd.store.db import Connection


@dataclass(frozen=True, slots=True)
class Entry:
    """What is remembered of a keyed request; `status_code` and `body` are None until it has a final answer."""

    request_hash: str
    payment_id: str
    status_code: int | None
    body: str | None


def find(conn: Connection, api_key_id: str, key: str) -> Entry | None:
    row = conn.execute(
        "SELECT request_hash, payment_id, status_code, body FROM idempotency_keys WHERE api_key_id = ? AND key = ?",
        (api_key_id, key),
    ).fetchone()
    return None if row is None else Entry(*row)


def add(conn: Connection, api_key_id: str, key: str, request_hash: str, payment_id: str, now: datetime) -> None:
    conn.execute(
        "INSERT INTO idempotency_keys (api_key_id, key, request_hash, payment_id, created_at) VALUES (?, ?, ?, ?, ?)",
        (api_key_id, key, request_hash, payment_id, to_text(now)),
    )


def finish(conn: Connection, api_key_id: str, key: str, status_code: int, body: str) -> None:
    """Remember the final answer, unless there is one."""
    conn.execute(
        "UPDATE idempotency_keys SET status_code = ?, body = ? "
        "WHERE api_key_id = ? AND key = ? AND status_code IS NULL",
        (status_code, body, api_key_id, key),
    )


def forget_before(conn: Connection, moment: datetime, limit: int) -> int:
    """Drop at most `limit` keys stored before `moment`; returns how many."""
    return conn.execute(
        "DELETE FROM idempotency_keys WHERE (api_key_id, key) IN "
        "(SELECT api_key_id, key FROM idempotency_keys WHERE created_at < ? LIMIT ?)",
        (to_text(moment), limit),
    ).rowcount
