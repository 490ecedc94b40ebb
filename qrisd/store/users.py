"""The users table: the people who sign in."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from qrisd.domain.permissions import Outlets, Role
from qrisd.domain.times import from_text, from_text_or_none, to_text, to_text_or_none
from qrisd.store.db import Connection
from qrisd.store.rows import to_json


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """One person. At most one of the two hashes is set: a cashier may have a PIN in the place of a password.
    `totp_secret` is the sealed second factor, `totp_pending` one that has not been tried yet."""

    id: str
    username: str
    name: str
    role: Role
    outlets: Outlets
    password_hash: str | None = None
    pin_hash: str | None = None
    totp_secret: str | None = None
    totp_pending: str | None = None
    created_at: datetime
    disabled_at: datetime | None = None

    @property
    def secret_hash(self) -> str | None:
        """The hash that signs this person in. A PIN is enough for a cashier only, also after a change of role."""
        return self.pin_hash if self.role is Role.CASHIER and self.pin_hash else self.password_hash


def add(conn: Connection, user: User) -> bool:
    """Store a new person; False when the username is taken."""
    stored = conn.execute(
        "INSERT INTO users (id, username, name, role, outlets, password_hash, created_at) VALUES (?, ?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (username) DO NOTHING",
        (
            user.id,
            user.username,
            user.name,
            user.role,
            _outlets_text(user.outlets),
            user.password_hash,
            to_text(user.created_at),
        ),
    )
    return stored.rowcount == 1


def get(conn: Connection, user_id: str) -> User | None:
    row = conn.execute("SELECT * FROM users WHERE id = ?", (user_id,)).fetchone()
    return None if row is None else _user(row)


def by_username(conn: Connection, username: str) -> User | None:
    row = conn.execute("SELECT * FROM users WHERE username = ?", (username,)).fetchone()
    return None if row is None else _user(row)


def everybody(conn: Connection) -> list[User]:
    return [_user(row) for row in conn.execute("SELECT * FROM users ORDER BY disabled_at IS NOT NULL, name, id")]


def has_owner(conn: Connection) -> bool:
    """True once there has been an owner, whether they may still sign in or not."""
    return conn.execute("SELECT 1 FROM users WHERE role = 'owner'").fetchone() is not None


def has_other_owner(conn: Connection, user_id: str) -> bool:
    """True when somebody else than this person is an owner who can sign in."""
    found = conn.execute(
        "SELECT 1 FROM users WHERE role = 'owner' AND id <> ? AND disabled_at IS NULL AND password_hash IS NOT NULL",
        (user_id,),
    )
    return found.fetchone() is not None


def save_role(conn: Connection, user_id: str, role: Role, outlets: Outlets) -> None:
    conn.execute("UPDATE users SET role = ?, outlets = ? WHERE id = ?", (role, _outlets_text(outlets), user_id))


def save_disabled(conn: Connection, user_id: str, disabled_at: datetime | None) -> None:
    conn.execute("UPDATE users SET disabled_at = ? WHERE id = ?", (to_text_or_none(disabled_at), user_id))


def save_secret(conn: Connection, user_id: str, *, password_hash: str | None, pin_hash: str | None) -> None:
    conn.execute("UPDATE users SET password_hash = ?, pin_hash = ? WHERE id = ?", (password_hash, pin_hash, user_id))


def save_second_factor(conn: Connection, user_id: str, *, secret: str | None, pending: str | None) -> None:
    """Store both sealed secrets. The newest step stays: a code that was used is used for every secret."""
    conn.execute("UPDATE users SET totp_secret = ?, totp_pending = ? WHERE id = ?", (secret, pending, user_id))


def use_step(conn: Connection, user_id: str, step: int) -> bool:
    """Note that the code of this time step was used; False when it, or a later one, was used before."""
    return bool(
        conn.execute(
            "UPDATE users SET totp_step = ? WHERE id = ? AND (totp_step IS NULL OR totp_step < ?)",
            (step, user_id, step),
        ).rowcount
    )


def _outlets_text(outlets: Outlets) -> str | None:
    return None if outlets is None else to_json(sorted(outlets))


def _user(row: Any) -> User:
    return User(
        id=row["id"],
        username=row["username"],
        name=row["name"],
        role=Role(row["role"]),
        outlets=None if row["outlets"] is None else frozenset(json.loads(row["outlets"])),
        password_hash=row["password_hash"],
        pin_hash=row["pin_hash"],
        totp_secret=row["totp_secret"],
        totp_pending=row["totp_pending"],
        created_at=from_text(row["created_at"]),
        disabled_at=from_text_or_none(row["disabled_at"]),
    )
