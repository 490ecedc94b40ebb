"""People: made, changed, disabled, and the links by which they set their password. Commands and pages share these.

Each is a plain function of the connection, for one transaction together with its row in the audit log.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from uuid_utils.compat import uuid7

from qrisd.domain.errors import FieldError, Forbidden, Invalid, NotFound
from qrisd.domain.passwords import is_good, is_pin
from qrisd.domain.permissions import Outlets, Role, common, outlets_of
from qrisd.services import second_factor, throttling
from qrisd.services.tokens import hashed, new_token
from qrisd.store import audit_log, one_time_links, sessions, users
from qrisd.store.audit_log import NOBODY, Actor
from qrisd.store.db import Connection
from qrisd.store.one_time_links import Link, Purpose
from qrisd.store.users import User

RESET_WITHIN: Final = timedelta(minutes=30)
LONGEST_NAME: Final = 100
_OUTLET: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")  # as in schemas.py
_USERNAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{1,31}")


@dataclass(frozen=True, slots=True)
class Draft:
    """A person as somebody wants them made."""

    username: str
    name: str
    role: Role
    outlets: Outlets = None


@dataclass(frozen=True, slots=True)
class Chosen:
    """A password or PIN that may be stored: the hash, and which of the two it is."""

    secret_hash: str
    is_pin: bool


def canonical(username: str) -> str:
    """The one way a username is written: small letters, no space around."""
    return username.strip().lower()


def account_key(username: str) -> str:
    """How tries for an account are counted."""
    return f"account {username}"


def home_key(username: str, source: str) -> str:
    """How tries for an account are counted where its person has signed in before."""
    return f"{account_key(username)} at {source}"


def code_key(user_id: str) -> str:
    """How tries with somebody's second factor are counted."""
    return f"code of {user_id}"


def checked_outlets(names: Collection[str]) -> Outlets:
    """The limit these outlets mean; none named, no limit. Raises Invalid for what is no outlet's name."""
    if not all(_OUTLET.fullmatch(name) for name in names):
        text = "Name outlets with 1 to 64 letters, digits, dots, dashes or underscores."
        raise Invalid(FieldError("outlets", text))
    return outlets_of(names)


def role_named(name: str) -> Role:
    """The role. Raises Invalid naming those there are."""
    try:
        return Role(name)
    except ValueError:
        raise Invalid(FieldError("role", f"There is no such role; choose one of: {', '.join(Role)}.")) from None


def check_secret(text: str, role: Role) -> bool:
    """True for a PIN, False for a password. Raises Invalid when it may not be chosen."""
    if not is_good(text, role):
        kinds = " or a PIN of 4 to 8 digits that is no row" if role is Role.CASHIER else ""
        raise Invalid(FieldError("secret", f"Choose a password of 10 to 256 characters{kinds}."))
    return is_pin(text, role)


def seen_by(found: Collection[User], outlets: Outlets) -> list[User]:
    """Those of these people that somebody limited to `outlets` may know of: who works there, if only among others."""
    return [user for user in found if common(user.outlets, outlets) != frozenset()]


def create(conn: Connection, draft: Draft, by: Actor, now: datetime) -> tuple[User, str]:
    """A new person, and the token of the link where they set their password. Raises Invalid."""
    user = _add(conn, draft, None, now)
    audit_log.add(conn, by, "user.created", now, what=user.id, after=described(user))
    return user, _link(conn, user, Purpose.SETUP, now)


def owner_link(conn: Connection, now: datetime) -> str | None:
    """The token of a fresh link that makes the first owner; None for ever once there is one."""
    if users.has_owner(conn):
        return None
    token = new_token()
    one_time_links.add(conn, hashed(token), Link(Purpose.OWNER, None), now, None)
    return token


def link_of(conn: Connection, token: str, now: datetime) -> tuple[Link, User | None]:
    """What a link is for, and for whom. Raises NotFound when it cannot be used (any longer)."""
    link = one_time_links.find(conn, hashed(token), now)
    user = users.get(conn, link.user_id) if link is not None and link.user_id is not None else None
    closed = link is not None and link.purpose is Purpose.OWNER and users.has_owner(conn)
    if link is None or closed or (user is not None and user.disabled_at is not None):
        raise NotFound("This link was used already or is too old. Ask for a new one.")
    return link, user


def make_first_owner(
    conn: Connection, token: str, username: str, name: str, chosen: Chosen, source: str, now: datetime
) -> User:
    """The first owner, by the link that the server printed; of two who race one gets NotFound. Raises Invalid."""
    link, _ = link_of(conn, token, now)
    if link.purpose is not Purpose.OWNER:
        raise NotFound("This link is for somebody else.")
    user = _add(conn, Draft(username, name, Role.OWNER), chosen, now)
    one_time_links.use(conn, hashed(token), now)
    audit_log.add(conn, Actor(user.id, source), "user.created", now, what=user.id, after=described(user))
    return user


def set_secret_by_link(conn: Connection, token: str, chosen: Chosen, source: str, now: datetime) -> User:
    """Set a password or PIN by a link, which is used up; every session of the person ends. The second factor stays.
    Raises NotFound."""
    link, user = link_of(conn, token, now)
    if user is None or (chosen.is_pin and user.role is not Role.CASHIER):
        raise NotFound("This link is for somebody else.")
    one_time_links.use(conn, hashed(token), now)
    return _set_secret(conn, user, chosen, Actor(NOBODY, source), now, why=f"{link.purpose} link")


def change_secret(
    conn: Connection, user_id: str, chosen: Chosen, by: Actor, now: datetime, *, keep_session: str
) -> User:
    """A new password or PIN for somebody who is signed in; all their other sessions end, and every link to set one."""
    one_time_links.drop(conn, user_id)
    return _set_secret(conn, _get(conn, user_id), chosen, by, now, keep_session=keep_session)


def _set_secret(
    conn: Connection,
    user: User,
    chosen: Chosen,
    by: Actor,
    now: datetime,
    *,
    why: str | None = None,
    keep_session: str | None = None,
) -> User:
    password, pin = (None, chosen.secret_hash) if chosen.is_pin else (chosen.secret_hash, None)
    users.save_secret(conn, user.id, password_hash=password, pin_hash=pin)
    sessions.end_all(conn, user.id, now, but=keep_session)
    kind = {"kind": "pin" if chosen.is_pin else "password"}
    audit_log.add(conn, by, "user.secret_changed", now, what=user.id, after=kind, why=why)
    return replace(user, password_hash=password, pin_hash=pin)


def reset(conn: Connection, user_id: str, by: Actor, now: datetime) -> str:
    """The token of a link that sets a new password within half an hour, or the first one at any time. Until it is used
    the old one goes on working. Raises NotFound, and Forbidden for somebody who is disabled."""
    user = _get(conn, user_id)
    if user.disabled_at is not None:
        raise Forbidden(f"{user.username} is disabled. Enable them first.")
    purpose = Purpose.SETUP if user.secret_hash is None else Purpose.RESET
    audit_log.add(conn, by, "user.link_made", now, what=user.id, after={"purpose": purpose})
    return _link(conn, user, purpose, now)


def remove_second_factor(conn: Connection, user_id: str, by: Actor, now: datetime) -> None:
    """For somebody who lost the phone and the recovery codes; their sessions end. Raises NotFound."""
    user = _get(conn, user_id)
    second_factor.switch_off(conn, user)
    sessions.end_all(conn, user.id, now)
    audit_log.add(conn, by, "user.second_factor_removed", now, what=user.id)


def let_try_again(conn: Connection, user: User) -> None:
    """Somebody who stands before the machine vouches for them: their tries in vain are forgotten."""
    at_home = [home_key(user.username, source) for source in sessions.sources(conn, user.id)]
    for who in (account_key(user.username), *at_home, code_key(user.id)):
        throttling.forgive(conn, who)


def change_role(conn: Connection, user_id: str, role: Role, outlets: Outlets, by: Actor, now: datetime) -> User:
    """Another role or other outlets; their sessions end. Raises NotFound, Forbidden for oneself, Invalid for the last
    owner and for an owner of some outlets only."""
    user = _get(conn, user_id)
    _refuse_self(user, by)
    _check_limit(role, outlets)
    if role is not Role.OWNER:
        _keep_an_owner(conn, user)
    changed = replace(user, role=role, outlets=outlets)
    users.save_role(conn, user.id, role, outlets)
    sessions.end_all(conn, user.id, now)
    audit_log.add(conn, by, "user.changed", now, what=user.id, before=described(user), after=described(changed))
    return changed


def disable(conn: Connection, user_id: str, by: Actor, now: datetime) -> User:
    """They can no longer sign in, their sessions and links end, their API keys stop. Raises NotFound, Forbidden for
    oneself, Invalid for the last owner."""
    user = _get(conn, user_id)
    _refuse_self(user, by)
    _keep_an_owner(conn, user)
    users.save_disabled(conn, user.id, now)
    sessions.end_all(conn, user.id, now)
    one_time_links.drop(conn, user.id)
    audit_log.add(conn, by, "user.disabled", now, what=user.id)
    return replace(user, disabled_at=now)


def enable(conn: Connection, user_id: str, by: Actor, now: datetime) -> User:
    """They may sign in again, with the password they had. Raises NotFound, and Forbidden for oneself."""
    user = _get(conn, user_id)
    _refuse_self(user, by)
    users.save_disabled(conn, user.id, None)
    audit_log.add(conn, by, "user.enabled", now, what=user.id)
    return replace(user, disabled_at=None)


def described(user: User) -> dict[str, Any]:
    """A person without their secrets."""
    return {
        "username": user.username,
        "name": user.name,
        "role": user.role,
        "outlets": None if user.outlets is None else sorted(user.outlets),
    }


def _add(conn: Connection, draft: Draft, chosen: Chosen | None, now: datetime) -> User:
    _check_limit(draft.role, draft.outlets)
    user = User(
        id=str(uuid7()),
        username=canonical(draft.username),
        name=draft.name.strip(),
        role=draft.role,
        outlets=draft.outlets,
        password_hash=chosen.secret_hash if chosen else None,
        created_at=now,
    )
    problems = _problems(user)
    if problems:
        raise Invalid(*problems)
    if not users.add(conn, user):
        raise Invalid(FieldError("username", "Somebody has this username; choose another one."))
    return user


def _check_limit(role: Role, outlets: Outlets) -> None:
    """An owner adds people everywhere: a limit would keep them from nothing. Raises Invalid."""
    if role is Role.OWNER and outlets is not None:
        raise Invalid(FieldError("owner_outlets", "An owner is not limited to outlets; name none, or another role."))


def _problems(user: User) -> list[FieldError]:
    problems = []
    if not _USERNAME.fullmatch(user.username):
        text = "Use 2 to 32 small letters, digits, dots, dashes or underscores, a letter or digit first."
        problems.append(FieldError("username", text))
    if not 1 <= len(user.name) <= LONGEST_NAME or not user.name.isprintable():
        problems.append(FieldError("name", "Give a name of 1 to 100 visible characters."))
    return problems


def _link(conn: Connection, user: User, purpose: Purpose, now: datetime) -> str:
    token = new_token()
    expires_at = now + RESET_WITHIN if purpose is Purpose.RESET else None
    one_time_links.add(conn, hashed(token), Link(purpose, user.id), now, expires_at)
    return token


def _get(conn: Connection, user_id: str) -> User:
    user = users.get(conn, user_id)
    if user is None:
        raise NotFound("There is no such person.")
    return user


def _refuse_self(user: User, by: Actor) -> None:
    if user.id == by.who:
        raise Forbidden("Nobody changes their own role or outlets, or disables themselves.")


def _keep_an_owner(conn: Connection, user: User) -> None:
    if user.role is Role.OWNER and not users.has_other_owner(conn, user.id):
        raise Invalid(FieldError("role", "This is the last owner who can sign in; make another one first."))
