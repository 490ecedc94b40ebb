"""The callback_endpoints table: the receivers that are in trouble, failing or switched off."""

from __future__ import annotations

from typing import Any

from qrisd.domain.callback import Endpoint
from qrisd.domain.times import from_text_or_none, to_text_or_none
from qrisd.store.db import Connection


def get(conn: Connection, url: str) -> Endpoint:
    """How a receiver stands; one without trouble when nothing is stored of it."""
    row = conn.execute("SELECT * FROM callback_endpoints WHERE url = ?", (url,)).fetchone()
    return Endpoint(url=url) if row is None else _endpoint(row)


def in_trouble(conn: Connection, limit: int) -> list[Endpoint]:
    """The receivers that fail or are switched off, those that are off first."""
    rows = conn.execute("SELECT * FROM callback_endpoints ORDER BY off_since IS NULL, url LIMIT ?", (limit,))
    return [_endpoint(row) for row in rows]


def switched_off(conn: Connection) -> dict[str, str]:
    """Why each receiver that is switched off is so, by its URL."""
    rows = conn.execute("SELECT url, reason FROM callback_endpoints WHERE off_since IS NOT NULL")
    return {row["url"]: row["reason"] for row in rows}


def save(conn: Connection, endpoint: Endpoint) -> None:
    """Store how a receiver stands; one without trouble leaves no row."""
    if endpoint == Endpoint(url=endpoint.url):
        conn.execute("DELETE FROM callback_endpoints WHERE url = ?", (endpoint.url,))
        return
    conn.execute(
        "INSERT OR REPLACE INTO callback_endpoints (url, failing_since, last_failed_at, off_since, reason) "
        "VALUES (?, ?, ?, ?, ?)",
        (
            endpoint.url,
            to_text_or_none(endpoint.failing_since),
            to_text_or_none(endpoint.last_failed_at),
            to_text_or_none(endpoint.off_since),
            endpoint.reason,
        ),
    )


def _endpoint(row: Any) -> Endpoint:
    facts = dict(row)
    facts["failing_since"] = from_text_or_none(facts["failing_since"])
    facts["last_failed_at"] = from_text_or_none(facts["last_failed_at"])
    facts["off_since"] = from_text_or_none(facts["off_since"])
    return Endpoint(**facts)
