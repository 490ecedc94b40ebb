"""/me: one's own password, second factor and sessions."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from qrisd import qr_image
from qrisd.domain.errors import Invalid, NotFound
from qrisd.services import people, second_factor
from qrisd.services.hashing import Hashing
from qrisd.services.second_factor import SecondFactor
from qrisd.services.sessions import is_within_limits
from qrisd.store import audit_log, recovery_codes, sessions
from qrisd.store.audit_log import Actor
from qrisd.store.db import Connection, Database
from qrisd.store.sessions import Session
from qrisd.store.users import User
from qrisd.web.device_names import device_name
from qrisd.web.forms import read_form
from qrisd.web.guard import Guard, Person, signed_in, source_of
from qrisd.web.pages import Pages
from qrisd.web.sign_in import chosen_secret

QR_SCALE = 6


class AccountPages:
    """The handlers of /me."""

    def __init__(
        self,
        *,
        pages: Pages,
        guard: Guard,
        db: Database,
        hashing: Hashing,
        second_factor: SecondFactor,
        clock: Callable[[], datetime],
    ) -> None:
        self._pages = pages
        self._guard = guard
        self._db = db
        self._hashing = hashing
        self._second_factor = second_factor
        self._clock = clock

    async def show(self, request: Request, person: Person) -> Response:
        return await self._drawn(request, person, done=request.query_params.get("done"))

    async def change_secret(self, request: Request, person: Person) -> Response:
        form = await read_form(request, "secret")
        try:
            chosen = await chosen_secret(self._hashing, form["secret"], person.role)
        except Invalid:
            return await self._drawn(request, person, 422, wrong="secret")
        by, now = _actor(request, person), self._clock()
        change = partial(people.change_secret, user_id=person.id, chosen=chosen, by=by, now=now)
        await self._db.write(lambda conn: change(conn, keep_session=person.session_id))
        return self._guard.redirect("/me?done=secret")

    async def end_session(self, request: Request, person: Person) -> Response:
        await read_form(request)
        session_id, by, now = request.path_params["id"], _actor(request, person), self._clock()

        def end(conn: Connection) -> bool:
            ended = sessions.end(conn, session_id, person.id, now)
            if ended:
                audit_log.add(conn, by, "session.ended", now, what=session_id)
            return ended

        if not await self._db.write(end):
            raise NotFound("There is no such session.")
        return self._guard.redirect("/me?done=session")

    async def begin_second_factor(self, request: Request, person: Person) -> Response:
        await read_form(request)
        await self._db.write(lambda conn: self._second_factor.begin(conn, signed_in(request).user))
        return self._guard.redirect("/me/second-factor")

    async def show_second_factor(self, request: Request, person: Person) -> Response:
        return self._second_factor_drawn(request, person)

    async def second_factor_svg(self, request: Request, person: Person) -> Response:
        uri = self._second_factor.uri(signed_in(request).user)
        image = await run_in_threadpool(qr_image.svg, uri, QR_SCALE)
        return Response(image, headers=self._pages.headers, media_type="image/svg+xml")

    async def switch_on(self, request: Request, person: Person) -> Response:
        form = await read_form(request, "code")
        by, user, now = _actor(request, person), signed_in(request).user, self._clock()
        codes = await self._db.write(lambda conn: self._switch_on(conn, user, form["code"], person, by, now))
        if codes is None:
            return self._second_factor_drawn(request, person, 422, notice="refused")
        return self._codes_drawn(request, person, codes)

    def _switch_on(
        self, conn: Connection, user: User, code: str, person: Person, by: Actor, now: datetime
    ) -> list[str] | None:
        codes = self._second_factor.switch_on(conn, user, code, now)
        if codes is not None:
            sessions.end_all(conn, user.id, now, but=person.session_id)
            audit_log.add(conn, by, "user.second_factor_on", now, what=user.id)
        return codes

    async def switch_off(self, request: Request, person: Person) -> Response:
        await read_form(request)
        by, user, now = _actor(request, person), signed_in(request).user, self._clock()

        def off(conn: Connection) -> None:
            second_factor.switch_off(conn, user)
            audit_log.add(conn, by, "user.second_factor_off", now, what=user.id)

        await self._db.write(off)
        return self._guard.redirect("/me?done=off")

    async def new_codes(self, request: Request, person: Person) -> Response:
        await read_form(request)
        by, user, now = _actor(request, person), signed_in(request).user, self._clock()
        if user.totp_secret is None:
            raise NotFound("There is no second factor.")

        def renew(conn: Connection) -> list[str]:
            audit_log.add(conn, by, "user.recovery_codes_made", now, what=user.id)
            return self._second_factor.new_recovery_codes(conn, user)

        return self._codes_drawn(request, person, await self._db.write(renew))

    async def _drawn(self, request: Request, person: Person, status: int = 200, **facts: Any) -> Response:
        user, now = signed_in(request).user, self._clock()

        def look(conn: Connection) -> tuple[list[Session], int]:
            return sessions.of_user(conn, user.id), recovery_codes.left(conn, user.id)

        found, codes_left = await self._db.read(look)
        live = [one for one in found if not one.awaits_code and is_within_limits(one, user.role, now)]
        known = {"person": person, "user": user, "sessions": live, "codes_left": codes_left, "device": device_name}
        facts = {"path": "/me", "done": None, "wrong": None, **known, **facts}
        return self._pages.draw(request, "account/me.html", status, **facts)

    def _second_factor_drawn(
        self, request: Request, person: Person, status: int = 200, notice: str | None = None
    ) -> Response:
        secret = self._second_factor.pending_secret(signed_in(request).user)
        facts = {"person": person, "secret": secret, "notice": notice}
        return self._pages.draw(request, "account/second_factor.html", status, **facts)

    def _codes_drawn(self, request: Request, person: Person, codes: list[str]) -> Response:
        return self._pages.draw(request, "account/recovery_codes.html", person=person, codes=codes, path="/me")


def _actor(request: Request, person: Person) -> Actor:
    return Actor(person.id, source_of(request))
