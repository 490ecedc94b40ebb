"""The shifts table."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from pydantic import TypeAdapter

from qrisd.domain.permissions import Outlets
from qrisd.domain.shift import Matching, Shift
from qrisd.domain.times import from_text, from_text_or_none, to_text
from qrisd.store.db import Connection
from qrisd.store.rows import marks

_MATCHING: Final = TypeAdapter(Matching)


def add(conn: Connection, shift: Shift) -> None:
    """Store an open shift. The table refuses a second one of the same person."""
    sql = "INSERT INTO shifts (id, user_id, outlet, opened_at) VALUES (?, ?, ?, ?)"
    conn.execute(sql, (shift.id, shift.user_id, shift.outlet, to_text(shift.opened_at)))


def get(conn: Connection, shift_id: str) -> Shift | None:
    row = conn.execute("SELECT * FROM shifts WHERE id = ?", (shift_id,)).fetchone()
    return None if row is None else _shift(row)


def open_of(conn: Connection, user_id: str) -> Shift | None:
    """The shift this person is in."""
    row = conn.execute("SELECT * FROM shifts WHERE user_id = ? AND closed_at IS NULL", (user_id,)).fetchone()
    return None if row is None else _shift(row)


def close(conn: Connection, shift_id: str, closed_by: str, now: datetime) -> bool:
    """End an open shift; False when it has ended already."""
    sql = "UPDATE shifts SET closed_at = ?, closed_by = ? WHERE id = ? AND closed_at IS NULL"
    return conn.execute(sql, (to_text(now), closed_by, shift_id)).rowcount == 1


def save_matching(conn: Connection, shift_id: str, matching: Matching) -> None:
    text = _MATCHING.dump_json(matching).decode()
    conn.execute("UPDATE shifts SET matching = ? WHERE id = ?", (text, shift_id))


def newest(conn: Connection, outlets: Outlets, limit: int) -> list[Shift]:
    """At most `limit` shifts at these outlets, newest first."""
    where = "" if outlets is None else f"WHERE outlet IN ({marks(outlets)})"
    sql = f"SELECT * FROM shifts {where} ORDER BY opened_at DESC, id DESC LIMIT ?"
    return [_shift(row) for row in conn.execute(sql, (*(outlets or ()), limit))]


def _shift(row: Any) -> Shift:
    return Shift(
        id=row["id"],
        user_id=row["user_id"],
        outlet=row["outlet"],
        opened_at=from_text(row["opened_at"]),
        closed_at=from_text_or_none(row["closed_at"]),
        closed_by=row["closed_by"],
        matching=row["matching"] and _MATCHING.validate_json(row["matching"]),
    )
