"""Who may see a page, and whether a form was sent from one of ours."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from qrisd.domain import permissions
from qrisd.domain.errors import Forbidden, NotFound, RateLimited
from qrisd.domain.permissions import RECENT, Outlets, Role
from qrisd.services.sessions import Sessions, SignedIn, limits_of
from qrisd.services.sign_in import Granted
from qrisd.services.tokens import new_token
from qrisd.store import audit_log
from qrisd.store.audit_log import Actor
from qrisd.store.db import Database
from qrisd.web.cookies import Cookie, form_token, is_form_token
from qrisd.web.forms import given_token
from qrisd.web.limits import Limit
from qrisd.web.origin import is_same_origin
from qrisd.web.pages import READING, Pages, page_of

FORM_LIVES: Final = timedelta(hours=12)
# So a page says that it asks by itself, while nobody has done anything: its script in a header, else in the query.
BY_ITSELF: Final = "by-itself"
# The audit log keeps its rows for ever: no stranger may fill it.
NOTED_OF_STRANGERS: Final = "10/hour"


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Who is signed in, as a page needs to know them. `csrf` goes into every form, or into the header X-CSRF-Token."""

    id: str
    username: str
    name: str
    role: Role
    outlets: Outlets
    csrf: str
    session_id: str

    def may(self, permission: str) -> bool:
        return permissions.may(self.role, permission)

    def reaches(self, outlet: str) -> bool:
        """Whether this person may know of what belongs to this outlet."""
        return permissions.reaches(self.outlets, outlet)


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody who is not signed in yet, with what their forms need."""

    csrf: str


Shown = Callable[[Request, Person], Awaitable[Response]]
ShownToAnybody = Callable[[Request, Visitor], Awaitable[Response]]
Endpoint = Callable[[Request], Awaitable[Response]]


class Guard:
    """Guards pages. `address` is how we name ourselves, without a final slash."""

    def __init__(
        self,
        *,
        pages: Pages,
        sessions: Sessions,
        db: Database,
        clock: Callable[[], datetime],
        address: str,
    ) -> None:
        self._pages = pages
        self._sessions = sessions
        self._db = db
        self._clock = clock
        self._address = address
        is_secure = address.startswith("https://")
        self._session = Cookie("session", is_secure=is_secure)
        self._visit = Cookie("visit", is_secure=is_secure)
        self._noted_of_strangers = Limit(NOTED_OF_STRANGERS)

    def needs(self, permission: str, handler: Shown, *, is_used: bool = True) -> Endpoint:
        """An endpoint that calls `handler(request, person)` for somebody signed in who has this permission, and for
        what is sensitive has typed their password lately. Whatever is sent must come from a form of their session.
        `is_used` False: pages ask for it by themselves, so that the session grows old meanwhile."""

        async def endpoint(request: Request) -> Response:
            token = self._session.read(request)
            found = await self._sessions.find(token, is_used=is_used and _is_by_hand(request)) if token else None
            if token is None or found is None:
                return self._sent_to("/sign-in", request)
            person = _person(found, token)
            try:
                await self._check_form(request, token)
                if not person.may(permission):
                    raise Forbidden(f"This needs the permission {permission}.")
                if permission in RECENT and not found.is_recent(self._clock()):
                    return self._sent_to("/step-up", request)
                request.state.signed_in = found
                return await handler(request, person)
            except Forbidden as error:
                await self._note(request, person.id, str(error))
                return self.refused(request, 403, "denied")
            except RateLimited as error:
                return self.refused(request, 429, "wait", error.retry_after_s)

        return self._as_page(endpoint)

    def visitor(self, handler: ShownToAnybody) -> Endpoint:
        """An endpoint that calls `handler(request, visitor)` for anybody; what is sent must come from a form that was
        handed to the same browser."""

        async def endpoint(request: Request) -> Response:
            cookie, is_ours = self._visit.read(request), False
            try:
                await self._check_form(request, cookie)
                cookie, is_ours = cookie or new_token(), True
                response = await handler(request, Visitor(form_token(cookie)))
            except Forbidden as error:
                if is_ours:
                    await self._note_stranger(request, str(error))
                return self.refused(request, 403, "form")
            except NotFound:
                return self.refused(request, 404, "link")
            except RateLimited as error:
                return self.refused(request, 429, "wait", error.retry_after_s)
            self._visit.put(response, cookie, FORM_LIVES)
            return response

        return self._as_page(endpoint)

    def _as_page(self, endpoint: Endpoint) -> Endpoint:
        page = self._pages.page(endpoint)

        async def shown(request: Request) -> Response:
            response = await page(request)
            for name, value in self._pages.headers.items():
                response.headers.setdefault(name, value)
            return response

        return shown

    async def _check_form(self, request: Request, cookie: str | None) -> None:
        """Raises Forbidden when something is sent that no page of ours has sent for this browser."""
        if request.method in READING:
            return
        if not is_same_origin(request, self._address):
            raise Forbidden("The form was sent by another site.")
        if cookie is None or not is_form_token(await given_token(request), cookie):
            raise Forbidden("The form is not of this session.")

    async def _note_stranger(self, request: Request, why: str) -> None:
        with suppress(RateLimited):
            self._noted_of_strangers.count(source_of(request))
            await self._note(request, audit_log.NOBODY, why)

    async def _note(self, request: Request, who: str, why: str) -> None:
        if request.method in READING:
            return
        by, asked = Actor(who, source_of(request)), {"method": request.method, "route": request.scope["route"].path}
        note = partial(audit_log.add, by=by, action="denied", now=self._clock(), after=asked, why=why)
        await self._db.write(note)

    def refused(self, request: Request, status: int, kind: str, retry_after_s: int | None = None) -> Response:
        """A page that says no: `kind` is denied, form, link or wait."""
        response = self._pages.draw(request, "account/refused.html", status, kind=kind, wait_s=retry_after_s)
        if retry_after_s is not None:
            response.headers["Retry-After"] = str(retry_after_s)
        return response

    def _sent_to(self, page: str, request: Request) -> Response:
        """To the page that asks who they are, and from there back; a script is told 401."""
        if request.headers.get("sec-fetch-dest") == "empty":
            return Response("Sign in again.", 401, media_type="text/plain")
        # What was sent cannot be sent again by going there: back to the page that its form is on.
        query = request.scope["query_string"].decode("latin-1") if request.method in READING else ""
        back = page_of(request) + (f"?{query}" if query else "")
        return self.redirect(f"{page}?next={quote(back, safe='/')}")

    def redirect(self, path: str) -> Response:
        """On to a path of ours."""
        return Response(status_code=303, headers={"Location": self._pages.root + path})

    def let_in(self, response: Response, granted: Granted) -> Response:
        """`response` with the session's cookie on it."""
        self._session.put(response, granted.token, limits_of(granted.user.role).whole)
        return response

    def let_out(self, response: Response) -> Response:
        self._session.drop(response)
        return response

    def session_token(self, request: Request) -> str | None:
        return self._session.read(request)

    async def still(self, request: Request, permission: str, outlet: str) -> bool:
        """Whether whoever has asked may go on being told of this outlet; for answers that take long."""
        token = self._session.read(request)
        found = await self._sessions.find(token, is_used=False) if token else None
        if found is None:
            return False
        return permissions.may(found.user.role, permission) and permissions.reaches(found.user.outlets, outlet)

    async def was_left(self, request: Request) -> bool:
        """Whether this browser's session is over because nobody used it."""
        token = self._session.read(request)
        return token is not None and await self._sessions.was_left(token)

    async def end_session(self, request: Request) -> None:
        """End the session this browser has, where it has one."""
        token = self._session.read(request)
        found = await self._sessions.find(token) if token else None
        if found is not None:
            await self._sessions.end(found, source_of(request))


def source_of(request: Request) -> str:
    """The address a request comes from; of an IPv6 address the network, because one household has many."""
    host = request.client.host if request.client else "-"
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if not isinstance(address, IPv6Address):
        return host
    # Who listens on "::" is told of IPv4 addresses so, and they are of no one household.
    hidden = address.ipv4_mapped
    return str(ip_network((address, 64), strict=False)) if hidden is None else str(hidden)


def _is_by_hand(request: Request) -> bool:
    is_marked = f"x-{BY_ITSELF}" in request.headers or BY_ITSELF in request.query_params
    return not is_marked and request.method != "HEAD"


def signed_in(request: Request) -> SignedIn:
    """The session and the person behind a request that `Guard.needs` let through."""
    found: SignedIn = request.state.signed_in
    return found


def _person(found: SignedIn, token: str) -> Person:
    user = found.user
    return Person(
        id=user.id,
        username=user.username,
        name=user.name,
        role=user.role,
        outlets=user.outlets,
        csrf=form_token(token),
        session_id=found.session.id,
    )
