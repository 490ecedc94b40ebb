"""Signing in: password or PIN, then the second factor where there is one; and proving it again before what matters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TypeVar

from qrisd.domain import throttle
from qrisd.domain.errors import RateLimited, SignInRefused
from qrisd.domain.passwords import is_readable
from qrisd.services import sessions, throttling
from qrisd.services.hashing import Hashing
from qrisd.services.people import account_key, canonical, code_key, home_key
from qrisd.services.second_factor import SecondFactor
from qrisd.services.sessions import Origin, SignedIn
from qrisd.store import audit_log, users
from qrisd.store import sessions as stored_sessions
from qrisd.store.audit_log import NOBODY, Actor
from qrisd.store.db import Connection, Database
from qrisd.store.users import User

T = TypeVar("T")

# One text for every reason: it must not tell who exists.
REFUSED = "The username or the password is wrong."
WRONG_CODE = "The code is wrong or was used already."


@dataclass(frozen=True, slots=True)
class Granted:
    """A session's token, to be kept in a cookie. `awaits_code`: the second factor comes next."""

    token: str
    user: User
    awaits_code: bool


@dataclass(frozen=True, slots=True)
class _Try:
    """One try with a password: for whom, if for anybody, and how it is counted."""

    user: User | None
    account: str

    @property
    def known(self) -> User | None:
        """Who it is for, if they may sign in at all."""
        return self.user if self.user is not None and self.user.disabled_at is None else None


class SignIn:
    """The ways to a session. Every try is counted before it is made."""

    def __init__(
        self, *, db: Database, hashing: Hashing, second_factor: SecondFactor, clock: Callable[[], datetime]
    ) -> None:
        self._db = db
        self._hashing = hashing
        self._second_factor = second_factor
        self._clock = clock

    async def with_secret(self, username: str, secret: str, origin: Origin) -> Granted:
        """A session for this password or PIN. Raises SignInRefused, the same for all reasons, and RateLimited."""
        now = self._clock()
        tried = await self._db.write(partial(_begin, username=canonical(username), source=origin.source, now=now))
        right = await self._is_right(tried, secret, origin.source)
        granted = await self._db.write(partial(_finish, tried=tried, right=right, origin=origin, now=now))
        if granted is None:
            raise SignInRefused(REFUSED)
        return granted

    async def _is_right(self, tried: _Try, secret: str, source: str) -> bool:
        """Whether this is their password or PIN. Raises RateLimited, and then the try does not count: none was made."""
        secret_hash = tried.known.secret_hash if tried.known is not None else None
        try:
            return is_readable(secret) and await self._hashing.verify(secret_hash, secret)
        except RateLimited:
            await self._db.write(partial(_take_back, tried=tried, source=source))
            raise

    async def awaiting(self, token: str) -> User | None:
        """Who has given the right password with this token and owes the second factor."""
        found = await self._db.read(lambda conn: sessions.live(conn, token, self._clock()))
        return found.user if found is not None and found.session.awaits_code else None

    async def with_code(self, token: str, code: str, source: str) -> Granted:
        """The whole session, under a new token, for a code of the second factor. Raises SignInRefused, RateLimited."""
        now = self._clock()
        await self._db.write(lambda conn: _count_code(conn, sessions.live(conn, token, now), now))
        granted = await self._db.write(lambda conn: self._try_code(conn, token, code, source, now))
        if granted is None:
            raise SignInRefused(WRONG_CODE)
        return granted

    def _try_code(self, conn: Connection, token: str, code: str, source: str, now: datetime) -> Granted | None:
        found = sessions.live(conn, token, now)
        if found is None or not found.session.awaits_code:
            return None
        by = Actor(found.user.id, source)
        proof = self._second_factor.accepts(conn, found.user, code, now)
        if proof is None:
            audit_log.add(conn, by, "sign_in.failed", now, what=found.user.id, why="second factor")
            return None
        throttling.forgive(conn, code_key(found.user.id))
        audit_log.add(conn, by, "sign_in", now, what=found.user.id, after={"second_factor": proof})
        return _granted(found.user, sessions.renew(conn, found.session, now))

    async def again(self, signed_in: SignedIn, secret: str, code: str, source: str) -> Granted:
        """The same session under a new token, for somebody who proves once more who they are. Raises as `prove`."""

        def renewed(conn: Connection, user: User) -> Granted | None:
            return _granted(user, sessions.renew(conn, signed_in.session, self._clock()))

        return await self._proven(signed_in.user.username, secret, code, source, "step_up", renewed)

    async def prove(self, username: str, secret: str, code: str, source: str) -> User:
        """Who proves who they are for one act, without a session: with their password, and their second factor where
        they have one. Raises SignInRefused and RateLimited."""
        return await self._proven(canonical(username), secret, code, source, "proof", lambda conn, user: user)

    async def _proven(
        self,
        username: str,
        secret: str,
        code: str,
        source: str,
        action: str,
        then: Callable[[Connection, User], T | None],
    ) -> T:
        now = self._clock()
        tried = await self._db.write(partial(_begin, username=username, source=source, now=now))
        user = tried.known
        right = await self._is_right(tried, secret, source)
        if right and user is not None and user.totp_secret is not None:
            await self._db.write(lambda conn: throttling.take(conn, {code_key(user.id): throttle.CODE}, now))

        def unit(conn: Connection) -> T | None:
            user = _unchanged(conn, tried) if right else None
            who = tried.user.id if tried.user is not None else None
            by = Actor(who or NOBODY, source)
            if user is None or not self._has_second_factor(conn, user, code, now):
                why = None if user is None else "second factor"
                audit_log.add(conn, by, f"{action}.failed", now, what=who, why=why)
                return None
            _forgive(conn, tried, source)
            throttling.forgive(conn, code_key(user.id))
            audit_log.add(conn, by, action, now, what=who)
            return then(conn, user)

        outcome = await self._db.write(unit)
        if outcome is None:
            raise SignInRefused(REFUSED)
        return outcome

    def _has_second_factor(self, conn: Connection, user: User, code: str, now: datetime) -> bool:
        return user.totp_secret is None or self._second_factor.accepts(conn, user, code, now) is not None


def _begin(conn: Connection, *, username: str, source: str, now: datetime) -> _Try:
    """Count the try. Somebody who has signed in from here before is counted apart, so that strangers who guess cannot
    keep them out."""
    user = users.by_username(conn, username)
    at_home = user is not None and stored_sessions.was_here(conn, user.id, source)
    account = home_key(username, source) if at_home else account_key(username)
    throttling.take(conn, {account: throttle.ACCOUNT, _source_key(source): throttle.SOURCE}, now)
    return _Try(user, account)


def _finish(conn: Connection, *, tried: _Try, right: bool, origin: Origin, now: datetime) -> Granted | None:
    user = _unchanged(conn, tried) if right else None
    if user is None:
        what = tried.user.id if tried.user is not None else None
        audit_log.add(conn, Actor(NOBODY, origin.source), "sign_in.failed", now, what=what)
        return None
    _forgive(conn, tried, origin.source)
    session, token = sessions.begin(conn, user, origin, now)
    if not session.awaits_code:
        audit_log.add(conn, Actor(user.id, origin.source), "sign_in", now, what=user.id)
    return Granted(token, user, session.awaits_code)


def _unchanged(conn: Connection, tried: _Try) -> User | None:
    """Who tried, as they are now; None when they may not sign in, or not with this secret, any more."""
    user = users.get(conn, tried.user.id) if tried.user is not None else None
    if user is None or tried.user is None or user.disabled_at is not None:
        return None
    return user if user.secret_hash == tried.user.secret_hash else None


def _count_code(conn: Connection, found: SignedIn | None, now: datetime) -> None:
    if found is not None:
        throttling.take(conn, {code_key(found.user.id): throttle.CODE}, now)


def _take_back(conn: Connection, *, tried: _Try, source: str) -> None:
    throttling.give_back(conn, tried.account, throttle.ACCOUNT)
    throttling.give_back(conn, _source_key(source), throttle.SOURCE)


def _forgive(conn: Connection, tried: _Try, source: str) -> None:
    throttling.forgive(conn, tried.account)
    throttling.give_back(conn, _source_key(source), throttle.SOURCE)


def _granted(user: User, token: str | None) -> Granted | None:
    return None if token is None else Granted(token, user, awaits_code=False)


def _source_key(source: str) -> str:
    return f"source {source}"
