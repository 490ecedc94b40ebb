"""Thousands of payments whose callbacks wait, made from one by SQL."""

from __future__ import annotations

from qrisd.store.db import Connection


def multiply_payment(conn: Connection, copies: int) -> None:
    """Store the one payment there is, which has one event and a callback_url, so many times more, with callbacks that
    wait."""
    new = {
        "payments": ("id", "order_id"),
        "attempts": ("id", "payment_id", "reference", "provider_trx_id"),
        "payment_logs": ("payment_id",),
        "events": ("payment_id",),
    }
    conn.execute("BEGIN IMMEDIATE")
    for table, changed in new.items():
        _copy(conn, table, {name: f"{name} || '-' || n" for name in changed}, copies)
    conn.execute(
        "INSERT INTO callbacks (id, event_id, payment_id, url, endpoint, origin, status, tries, next_try_at, "
        "created_at) SELECT 'msg_' || e.id, e.id, e.payment_id, c.url, c.endpoint, c.origin, 'WAITING', 0, "
        "c.created_at, c.created_at FROM events e, callbacks c WHERE e.id != c.event_id"
    )
    conn.execute("COMMIT")


def _copy(conn: Connection, table: str, changed: dict[str, str], copies: int) -> None:
    columns = conn.execute(f"PRAGMA table_info({table})").fetchall()
    names = [row["name"] for row in columns if not (row["pk"] and row["type"] == "INTEGER")]
    conn.execute(
        f"WITH RECURSIVE copy (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM copy WHERE n < {copies}) "
        f"INSERT INTO {table} ({', '.join(names)}) SELECT {', '.join(changed.get(name, name) for name in names)} "
        f"FROM (SELECT * FROM {table} LIMIT 1), copy"
    )
