"""The api_keys table. Secrets are 256 random bits, so their SHA-256 is enough; they are never stored."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from qrisd.domain.permissions import Outlets
from qrisd.domain.times import from_text, from_text_or_none, to_text
from qrisd.store.db import Connection
from qrisd.store.rows import to_json


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One caller. It keeps its `id` when its secret is rotated; `hint` is the secret's last four characters. `user_id`
    is the person it acts for, if any: it may do no more than they may, and stops when they are disabled."""

    id: str
    name: str
    hint: str
    scopes: tuple[str, ...]
    created_at: datetime
    rotated_at: datetime | None
    revoked_at: datetime | None
    outlets: Outlets = None
    user_id: str | None = None


# A key is live until it is revoked, and while the person it acts for is not disabled.
_LIVE: Final = (
    "revoked_at IS NULL AND (user_id IS NULL OR EXISTS "
    "(SELECT 1 FROM users WHERE users.id = user_id AND disabled_at IS NULL))"
)


def add(conn: Connection, key: ApiKey, secret_hash: str) -> None:
    conn.execute(
        "INSERT INTO api_keys (id, name, secret_hash, hint, scopes, created_at, outlets, user_id) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            key.id,
            key.name,
            secret_hash,
            key.hint,
            to_json(key.scopes),
            to_text(key.created_at),
            None if key.outlets is None else to_json(sorted(key.outlets)),
            key.user_id,
        ),
    )


def by_hash(conn: Connection, secret_hash: str) -> ApiKey | None:
    """The live key with this secret."""
    row = conn.execute(f"SELECT * FROM api_keys WHERE secret_hash = ? AND {_LIVE}", (secret_hash,)).fetchone()
    return None if row is None else _key(row)


def get(conn: Connection, key_id: str) -> ApiKey | None:
    row = conn.execute("SELECT * FROM api_keys WHERE id = ?", (key_id,)).fetchone()
    return None if row is None else _key(row)


def is_live(conn: Connection, key_id: str) -> bool:
    row = conn.execute(f"SELECT 1 FROM api_keys WHERE id = ? AND {_LIVE}", (key_id,)).fetchone()
    return row is not None


def everything(conn: Connection) -> list[ApiKey]:
    return [_key(row) for row in conn.execute("SELECT * FROM api_keys ORDER BY created_at, id")]


def rotate(conn: Connection, key_id: str, secret_hash: str, hint: str, now: datetime) -> bool:
    """Replace the secret of a live key; False when there is no such live key."""
    return bool(
        conn.execute(
            "UPDATE api_keys SET secret_hash = ?, hint = ?, rotated_at = ? WHERE id = ? AND revoked_at IS NULL",
            (secret_hash, hint, to_text(now), key_id),
        ).rowcount
    )


def revoke(conn: Connection, key_id: str, now: datetime) -> bool:
    """End a live key; False when there is no such live key."""
    return bool(
        conn.execute(
            "UPDATE api_keys SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL", (to_text(now), key_id)
        ).rowcount
    )


def _key(row: Any) -> ApiKey:
    return ApiKey(
        id=row["id"],
        name=row["name"],
        hint=row["hint"],
        scopes=tuple(json.loads(row["scopes"])),
        created_at=from_text(row["created_at"]),
        rotated_at=from_text_or_none(row["rotated_at"]),
        revoked_at=from_text_or_none(row["revoked_at"]),
        outlets=None if row["outlets"] is None else frozenset(json.loads(row["outlets"])),
        user_id=row["user_id"],
    )
