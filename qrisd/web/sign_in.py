"""Signing in and out, the second factor, proving it again, and the links that set a password."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from qrisd.domain.errors import Invalid, SignInRefused
from qrisd.domain.permissions import ROUTES, Role, may
from qrisd.services import people, sessions
from qrisd.services.hashing import Hashing
from qrisd.services.people import Chosen
from qrisd.services.sessions import Origin
from qrisd.services.sign_in import Granted, SignIn
from qrisd.store.db import Connection, Database
from qrisd.store.one_time_links import Purpose
from qrisd.store.users import User
from qrisd.web.forms import own_path, read_form
from qrisd.web.guard import Guard, Person, Visitor, signed_in, source_of
from qrisd.web.pages import Pages

TILL = "/pos"
ACCOUNT = "/me"


def start_of(role: Role) -> str:
    """Where people of this role begin their day."""
    has_till = ("GET", TILL) in ROUTES and may(role, ROUTES["GET", TILL])
    return TILL if has_till else ACCOUNT


class SignInPages:
    """The handlers of /sign-in, /sign-out and /step-up."""

    def __init__(self, *, pages: Pages, guard: Guard, sign_in: SignIn) -> None:
        self._pages = pages
        self._guard = guard
        self._sign_in = sign_in

    async def home(self, request: Request, person: Person) -> Response:
        return self._guard.redirect(start_of(person.role))

    async def ask(self, request: Request, visitor: Visitor) -> Response:
        notice = "left" if await self._guard.was_left(request) else None
        return self._drawn(request, visitor, own_path(request.query_params.get("next")), notice=notice)

    async def sign_in(self, request: Request, visitor: Visitor) -> Response:
        form = await read_form(request, "username", "secret", "next")
        onward = own_path(form["next"])
        try:
            granted = await self._sign_in.with_secret(form["username"], form["secret"], origin_of(request))
        except SignInRefused:
            return self._drawn(request, visitor, onward, 401, username=form["username"][:64], notice="refused")
        await self._guard.end_session(request)
        return arrived(self._guard, granted, onward)

    async def ask_code(self, request: Request, visitor: Visitor) -> Response:
        token = self._guard.session_token(request)
        if token is None or await self._sign_in.awaiting(token) is None:
            return self._guard.redirect("/sign-in")
        return self._code_drawn(request, visitor, own_path(request.query_params.get("next")))

    async def give_code(self, request: Request, visitor: Visitor) -> Response:
        form = await read_form(request, "code", "next")
        token, onward = self._guard.session_token(request), own_path(form["next"])
        if token is None or await self._sign_in.awaiting(token) is None:
            return self._guard.redirect("/sign-in")
        try:
            granted = await self._sign_in.with_code(token, form["code"], source_of(request))
        except SignInRefused:
            return self._code_drawn(request, visitor, onward, 401, notice="refused")
        return arrived(self._guard, granted, onward)

    async def sign_out(self, request: Request, person: Person) -> Response:
        await self._guard.end_session(request)
        return self._guard.let_out(self._guard.redirect("/sign-in"))

    async def ask_again(self, request: Request, person: Person) -> Response:
        return self._again_drawn(request, person, own_path(request.query_params.get("next")))

    async def prove(self, request: Request, person: Person) -> Response:
        form = await read_form(request, "secret", "code", "next")
        onward = own_path(form["next"])
        try:
            granted = await self._sign_in.again(signed_in(request), form["secret"], form["code"], source_of(request))
        except SignInRefused:
            return self._again_drawn(request, person, onward, 401, notice="refused")
        return arrived(self._guard, granted, onward)

    def _drawn(
        self,
        request: Request,
        visitor: Visitor,
        onward: str | None,
        status: int = 200,
        username: str = "",
        notice: str | None = None,
    ) -> Response:
        facts = {"csrf": visitor.csrf, "next": onward, "username": username, "notice": notice, "path": "/sign-in"}
        return self._pages.draw(request, "account/sign_in.html", status, **facts)

    def _code_drawn(
        self, request: Request, visitor: Visitor, onward: str | None, status: int = 200, notice: str | None = None
    ) -> Response:
        facts = {"csrf": visitor.csrf, "next": onward, "notice": notice}
        return self._pages.draw(request, "account/code.html", status, **facts)

    def _again_drawn(
        self, request: Request, person: Person, onward: str | None, status: int = 200, notice: str | None = None
    ) -> Response:
        needs_code = signed_in(request).user.totp_secret is not None
        facts = {"person": person, "next": onward, "notice": notice, "needs_code": needs_code}
        return self._pages.draw(request, "account/step_up.html", status, **facts)


class SetupPages:
    """The handlers of /setup/{token}: the first owner, a first password, a new one."""

    def __init__(
        self, *, pages: Pages, guard: Guard, db: Database, hashing: Hashing, clock: Callable[[], datetime]
    ) -> None:
        self._pages = pages
        self._guard = guard
        self._db = db
        self._hashing = hashing
        self._clock = clock

    async def ask(self, request: Request, visitor: Visitor) -> Response:
        asked = await self._asked(request)
        return self._drawn(request, visitor, asked)

    async def save(self, request: Request, visitor: Visitor) -> Response:
        asked = await self._asked(request)
        form = await read_form(request, *(("username", "name", "secret") if asked.is_first else ("secret",)))
        try:
            chosen = await chosen_secret(self._hashing, form["secret"], asked.role)
            origin, now = origin_of(request), self._clock()
            make = partial(_set_up, asked=asked, form=form, chosen=chosen, origin=origin, now=now)
            granted = await self._db.write(make)
        except Invalid as error:
            wrong = {one.field for one in error.errors}
            return self._drawn(request, visitor, asked, 422, wrong=wrong, given=form)
        await self._guard.end_session(request)
        return arrived(self._guard, granted, None)

    async def _asked(self, request: Request) -> _Asked:
        token = request.path_params["token"]
        link, user = await self._db.read(lambda conn: people.link_of(conn, token, self._clock()))
        return _Asked(token, link.purpose, user)

    def _drawn(
        self,
        request: Request,
        visitor: Visitor,
        asked: _Asked,
        status: int = 200,
        wrong: set[str] | None = None,
        given: Mapping[str, str] | None = None,
    ) -> Response:
        facts = {"csrf": visitor.csrf, "asked": asked, "wrong": wrong or set(), "given": given or {}}
        return self._pages.draw(request, "account/setup.html", status, **facts)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a link asks for. `user` is None where it makes the first owner."""

    token: str
    purpose: Purpose
    user: User | None

    @property
    def is_first(self) -> bool:
        return self.user is None

    @property
    def role(self) -> Role:
        return self.user.role if self.user is not None else Role.OWNER


def _set_up(
    conn: Connection, *, asked: _Asked, form: Mapping[str, str], chosen: Chosen, origin: Origin, now: datetime
) -> Granted:
    """Set the password and sign in. A second factor is owed here like anywhere."""
    if asked.is_first:
        user = people.make_first_owner(conn, asked.token, form["username"], form["name"], chosen, origin.source, now)
    else:
        user = people.set_secret_by_link(conn, asked.token, chosen, origin.source, now)
    session, token = sessions.begin(conn, user, origin, now)
    return Granted(token, user, session.awaits_code)


async def chosen_secret(hashing: Hashing, text: str, role: Role) -> Chosen:
    """A password or PIN as it is stored. Raises Invalid when it may not be chosen, before anything is hashed."""
    is_pin = people.check_secret(text, role)
    return Chosen(await hashing.hash(text), is_pin)


def arrived(guard: Guard, granted: Granted, onward: str | None) -> Response:
    """On to where they wanted, with their session; by way of the second factor where it is owed."""
    if granted.awaits_code:
        path = f"/sign-in/code?next={quote(onward, safe='/')}" if onward else "/sign-in/code"
    else:
        path = onward or start_of(granted.user.role)
    return guard.let_in(guard.redirect(path), granted)


def origin_of(request: Request) -> Origin:
    return Origin(source_of(request), request.headers.get("user-agent", "-"))
