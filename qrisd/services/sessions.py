"""Sessions: begun at sign-in, known by a cookie's token, ended here and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from uuid_utils.compat import uuid7

from qrisd.domain.errors import StorageBusy, StorageUnavailable
from qrisd.domain.permissions import Role
from qrisd.services.tokens import hashed, new_token
from qrisd.store import audit_log, sessions, users
from qrisd.store.audit_log import Actor
from qrisd.store.db import Connection, Database
from qrisd.store.sessions import Session
from qrisd.store.users import User

TOUCH_EVERY: Final = timedelta(seconds=60)
CODE_WITHIN: Final = timedelta(minutes=5)
RECENT_FOR: Final = timedelta(minutes=10)
MAX_BROWSER_CHARACTERS: Final = 200


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a session lives unused, and at all."""

    idle: timedelta
    whole: timedelta


OFFICE: Final = Limits(idle=timedelta(minutes=30), whole=timedelta(hours=12))
TILL: Final = Limits(idle=timedelta(hours=12), whole=timedelta(hours=16))  # a shift, with room before and after


def limits_of(role: Role) -> Limits:
    return TILL if role is Role.CASHIER else OFFICE


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Whose session a token is."""

    session: Session
    user: User

    def is_recent(self, now: datetime) -> bool:
        """Whether the password was typed within the last ten minutes."""
        return now - self.session.stepped_up_at < RECENT_FOR


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a browser signs in from: its address, and what it calls itself."""

    source: str
    browser: str


class Sessions:
    """Looks sessions up for pages."""

    def __init__(self, db: Database, clock: Callable[[], datetime]) -> None:
        self._db = db
        self._clock = clock

    async def find(self, token: str, *, is_used: bool = True) -> SignedIn | None:
        """Who holds this token, wholly signed in and within the limits of their role. Notes that they were here, unless
        `is_used` says that the browser asks by itself."""
        now = self._clock()
        found = await self._db.read(lambda conn: live(conn, token, now))
        if found is None or found.session.awaits_code:
            return None
        if is_used and now - found.session.last_seen_at >= TOUCH_EVERY:
            with suppress(StorageBusy, StorageUnavailable):  # what can still be read is shown, also on a full disk
                await self._db.write(lambda conn: sessions.touch(conn, found.session.id, now))
        return found

    async def was_left(self, token: str) -> bool:
        """Whether this token's session is over because nobody used it."""
        now = self._clock()
        return await self._db.read(lambda conn: _was_left(conn, token, now))

    async def end(self, signed_in: SignedIn, source: str) -> None:
        """Sign this browser out; `source` is its address."""
        session_id, user_id, now = signed_in.session.id, signed_in.user.id, self._clock()

        def unit(conn: Connection) -> None:
            if sessions.end(conn, session_id, user_id, now):
                audit_log.add(conn, Actor(user_id, source), "sign_out", now, what=user_id)

        await self._db.write(unit)


def live(conn: Connection, token: str, now: datetime) -> SignedIn | None:
    """The session of this token with its person, while both are good. `awaits_code` is for the caller to look at."""
    session = sessions.by_token(conn, hashed(token))
    user = users.get(conn, session.user_id) if session else None
    if session is None or user is None or user.disabled_at is not None or not is_within_limits(session, user.role, now):
        return None
    return SignedIn(session, user)


def _was_left(conn: Connection, token: str, now: datetime) -> bool:
    session = sessions.by_token(conn, hashed(token))
    user = users.get(conn, session.user_id) if session else None
    if session is None or user is None or session.awaits_code or user.disabled_at is not None:
        return False
    return now - session.last_seen_at >= limits_of(user.role).idle


def is_within_limits(session: Session, role: Role, now: datetime) -> bool:
    """Whether a session that has not been ended is still good."""
    if session.awaits_code:
        return now - session.created_at < CODE_WITHIN
    limits = limits_of(role)
    return now - session.last_seen_at < limits.idle and now - session.created_at < limits.whole


def begin(conn: Connection, user: User, origin: Origin, now: datetime) -> tuple[Session, str]:
    """A new session and its token. Where this person has a second factor the session is good for nothing before it."""
    session = Session(
        id=str(uuid7()),
        user_id=user.id,
        awaits_code=user.totp_secret is not None,
        source=origin.source,
        browser=origin.browser[:MAX_BROWSER_CHARACTERS],
        created_at=now,
        last_seen_at=now,
        stepped_up_at=now,
    )
    token = new_token()
    sessions.add(conn, session, hashed(token))
    return session, token


def renew(conn: Connection, session: Session, now: datetime) -> str | None:
    """A new token for a session whose person has just proven who they are; None when it has ended meanwhile."""
    token = new_token()
    return token if sessions.renew(conn, session.id, hashed(token), now) else None
