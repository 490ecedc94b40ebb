"""/people: who may sign in, as what, and where."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from qrisd.domain.errors import Invalid
from qrisd.domain.permissions import Outlets, Role
from qrisd.services import people
from qrisd.services.people import Draft
from qrisd.store import users
from qrisd.store.audit_log import Actor
from qrisd.store.db import Connection, Database
from qrisd.store.users import User
from qrisd.web.forms import read_form
from qrisd.web.guard import Guard, Person, source_of
from qrisd.web.pages import Pages


class PeoplePages:
    """The handlers of /people. `changed()` is called after whatever may stop an API key of a person."""

    def __init__(
        self,
        *,
        pages: Pages,
        guard: Guard,
        db: Database,
        clock: Callable[[], datetime],
        address: str,
        changed: Callable[[], None],
    ) -> None:
        self._pages = pages
        self._guard = guard
        self._db = db
        self._clock = clock
        self._address = address
        self._changed = changed

    async def show(self, request: Request, person: Person) -> Response:
        return await self._drawn(request, person)

    async def create(self, request: Request, person: Person) -> Response:
        form = await read_form(request, "username", "name", "role", "outlets")
        by, now = _actor(request, person), self._clock()
        try:
            limit = read_outlets(form["outlets"])
            draft = Draft(form["username"], form["name"], people.role_named(form["role"]), limit)
            user, token = await self._db.write(partial(people.create, draft=draft, by=by, now=now))
        except Invalid as error:
            return await self._drawn(request, person, 422, wrong=_fields(error), given=form)
        return self._link_drawn(request, person, user, token)

    async def change(self, request: Request, person: Person) -> Response:
        form = await read_form(request, "role", "outlets")

        def act(conn: Connection, user_id: str, by: Actor, now: datetime) -> User:
            role, limit = people.role_named(form["role"]), read_outlets(form["outlets"])
            return people.change_role(conn, user_id, role, limit, by, now)

        return await self._done(request, person, act)

    async def disable(self, request: Request, person: Person) -> Response:
        await read_form(request)
        return await self._done(request, person, people.disable)

    async def enable(self, request: Request, person: Person) -> Response:
        await read_form(request)
        return await self._done(request, person, people.enable)

    async def link(self, request: Request, person: Person) -> Response:
        await read_form(request)
        user_id, by, now = request.path_params["id"], _actor(request, person), self._clock()

        def act(conn: Connection) -> tuple[User | None, str]:
            return users.get(conn, user_id), people.reset(conn, user_id, by, now)

        user, token = await self._db.write(act)
        assert user is not None, "a link is made for somebody"
        return self._link_drawn(request, person, user, token)

    async def _done(
        self, request: Request, person: Person, act: Callable[[Connection, str, Actor, datetime], User]
    ) -> Response:
        user_id, by, now = request.path_params["id"], _actor(request, person), self._clock()
        try:
            await self._db.write(lambda conn: act(conn, user_id, by, now), then=lambda _: self._changed())
        except Invalid as error:
            return await self._drawn(request, person, 422, wrong={f"change {field}" for field in _fields(error)})
        return self._guard.redirect("/people")

    async def _drawn(self, request: Request, person: Person, status: int = 200, **facts: Any) -> Response:
        found = await self._db.read(users.everybody)
        known = {
            "person": person,
            "people": people.seen_by(found, person.outlets),
            "roles": list(Role),
            "path": "/people",
        }
        return self._pages.draw(
            request, "account/people.html", status, **{"wrong": set(), "given": {}, **known, **facts}
        )

    def _link_drawn(self, request: Request, person: Person, user: User, token: str) -> Response:
        facts: dict[str, Any] = {
            "person": person,
            "user": user,
            "is_reset": user.secret_hash is not None,
            "path": "/people",
        }
        return self._pages.draw(request, "account/link.html", link=f"{self._address}/setup/{token}", **facts)


def read_outlets(text: str) -> Outlets:
    """The outlets in "bandung, cimahi"; no limit when there are none. Raises Invalid."""
    return people.checked_outlets([name for name in re.split(r"[\s,]+", text) if name])


def _fields(error: Invalid) -> set[str]:
    return {one.field for one in error.errors}


def _actor(request: Request, person: Person) -> Actor:
    return Actor(person.id, source_of(request))
