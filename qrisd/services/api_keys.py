"""API keys: made, rotated, revoked, and recognised."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from uuid_utils.compat import uuid7

from qrisd.domain.errors import FieldError, Invalid, NotFound, Unauthorized
from qrisd.domain.permissions import Outlets, common, permissions_of, reaches
from qrisd.store import api_keys, users
from qrisd.store.api_keys import ApiKey
from qrisd.store.audit_log import Actor
from qrisd.store.db import Connection, Database

EVERYTHING: Final = "*"
SCOPES: Final = (
    "payments:read",
    "payments:write",
    "payments:confirm",
    "events:read",
    "refunds:read",
    "refunds:request",
    "refunds:approve",
    "ledger:read",
    "callbacks:read",
    "callbacks:write",
    "providers:read",
    "settlements:read",
    "settlements:write",
    "reconciliations:read",
    "reconciliations:write",
    "exports:read",
    "audit:read",
)
MAX_REMEMBERED: Final = 1000


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is calling: an API key, what it may do, the outlets it is limited to, and the person it acts for."""

    id: str
    name: str
    scopes: frozenset[str]
    outlets: Outlets = None
    user_id: str | None = None

    def may(self, scope: str) -> bool:
        return EVERYTHING in self.scopes or scope in self.scopes

    def reaches(self, outlet: str) -> bool:
        """Whether this key may know of what belongs to this outlet."""
        return reaches(self.outlets, outlet)

    def acting(self, source: str) -> Actor:
        """Who does what this key asks for, as the audit log names them: its person, or the machine's key itself.
        `source` is the address the request comes from."""
        key = f"api_key:{self.id}"
        return Actor(key, source) if self.user_id is None else Actor(self.user_id, f"{source} {key}")


def create(
    conn: Connection,
    name: str,
    scopes: Iterable[str],
    environment: str,
    now: datetime,
    *,
    outlets: Outlets = None,
    user_id: str | None = None,
) -> tuple[ApiKey, str]:
    """Store a new key; returns it with its secret, which is nowhere else. Raises Invalid for an unknown scope."""
    wanted = tuple(dict.fromkeys(scopes)) or (EVERYTHING,)
    unknown = [scope for scope in wanted if scope not in (*SCOPES, EVERYTHING)]
    if unknown:
        raise Invalid(FieldError("scope", f"There is no scope {unknown[0]!r}; choose from {', '.join(SCOPES)}."))
    secret = new_secret(environment)
    key = ApiKey(str(uuid7()), name, secret[-4:], wanted, now, None, None, outlets, user_id)
    api_keys.add(conn, key, hashed(secret))
    return key, secret


def rotate(conn: Connection, key_id: str, environment: str, now: datetime) -> tuple[ApiKey, str]:
    """Give a live key a new secret; the old one ends at once. Raises NotFound."""
    secret = new_secret(environment)
    if not api_keys.rotate(conn, key_id, hashed(secret), secret[-4:], now):
        raise NotFound("There is no live API key with this id.")
    key = api_keys.get(conn, key_id)
    assert key is not None
    return key, secret


def new_secret(environment: str) -> str:
    """256 random bits, and in front what it is for, so that a leaked key is recognised."""
    return f"qrisd_{environment}_{secrets.token_urlsafe(32)}"


def hashed(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


class Keyring:
    """Recognises API keys. Known ones are remembered until something else changes the database."""

    def __init__(self, db: Database, environment: str) -> None:
        self._db = db
        self._prefix = f"qrisd_{environment}_"
        self._known: dict[str, Caller] = {}

    async def recognise(self, secret: str) -> Caller:
        """The caller with this secret. Raises Unauthorized when there is none."""
        digest = hashed(secret)
        caller = self._known.get(digest)
        if caller is not None:
            return caller
        known = self._known
        caller = await self._db.read(lambda conn: _caller(conn, digest)) if self._is_ours(secret) else None
        if caller is None:
            raise Unauthorized("The API key is unknown, revoked or for another environment.")
        if len(known) >= MAX_REMEMBERED:
            known.clear()
        known[digest] = caller  # not in what replaced it meanwhile: the key may have been ended after it was read
        return caller

    async def still(self, secret: str, caller: Caller) -> bool:
        """Whether this secret still makes this very caller, for those who were let in and have waited since."""
        try:
            return await self.recognise(secret) == caller
        except Unauthorized:
            return False

    def _is_ours(self, secret: str) -> bool:
        return secret.startswith(self._prefix) and len(secret) < 128

    def forget(self) -> None:
        """A key may have been revoked or rotated, or its person changed: look each up again."""
        self._known = {}


def _caller(conn: Connection, secret_hash: str) -> Caller | None:
    """Who has this key; one that acts for a person may do what both may, where both may."""
    key = api_keys.by_hash(conn, secret_hash)
    if key is None:
        return None
    user = users.get(conn, key.user_id) if key.user_id is not None else None
    if user is None:
        return Caller(key.id, key.name, frozenset(key.scopes), key.outlets)
    may = permissions_of(user.role)
    scopes = may if EVERYTHING in key.scopes else may.intersection(key.scopes)
    return Caller(key.id, key.name, scopes, common(key.outlets, user.outlets), user.id)
