"""Shifts as their cashiers and their supervisors see them: /pos/shifts/{id} and /shifts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from qrisd.domain.errors import NotFound
from qrisd.domain.permissions import Outlets
from qrisd.domain.shift import Shift
from qrisd.services.shifts import ABSENT, Shifts
from qrisd.store import shifts, till_sales, users
from qrisd.store.db import Connection, Database
from qrisd.store.till_sales import Sold
from qrisd.web.forms import read_form
from qrisd.web.guard import Guard, Person
from qrisd.web.limits import Limit
from qrisd.web.pages import Pages
from qrisd.web.pos import actor

SHOWN_SHIFTS: Final = 50


@dataclass(frozen=True, slots=True)
class Row:
    """A shift, whose it is, and what it has sold by our records as they are now, for each provider."""

    shift: Shift
    cashier: str
    sold: tuple[Sold, ...]

    @property
    def count(self) -> int:
        return sum(one.count for one in self.sold)

    @property
    def amount(self) -> int:
        return sum(one.amount for one in self.sold)

    @property
    def open_count(self) -> int:
        return sum(one.open_count for one in self.sold)


class ShiftPages:
    """The handlers. `limit` counts for each person: every closing asks providers."""

    def __init__(self, *, pages: Pages, guard: Guard, db: Database, shifts: Shifts, limit: Limit) -> None:
        self._pages = pages
        self._guard = guard
        self._db = db
        self._shifts = shifts
        self._limit = limit

    async def every(self, request: Request, person: Person) -> Response:
        """The latest shifts of the outlets this person may know of."""
        rows = await self._db.read(partial(_newest, outlets=person.outlets))
        return self._pages.draw(request, "pos/shifts.html", person=person, rows=rows, path="/shifts")

    async def show(self, request: Request, person: Person) -> Response:
        row = await self._row(request, person)
        return self._pages.draw(request, "pos/shift.html", person=person, row=row)

    async def close(self, request: Request, person: Person) -> Response:
        """End it and hold its money against the providers' word; of a closed one, do the latter again."""
        await read_form(request)
        row = await self._row(request, person)
        self._limit.count(person.id)
        await self._shifts.close(row.shift.id, actor(request, person))
        return self._guard.redirect(f"/pos/shifts/{row.shift.id}")

    async def _row(self, request: Request, person: Person) -> Row:
        """One's own shift, or one of the outlets this person looks after. Raises NotFound."""
        shift_id = request.path_params["id"]
        row = await self._db.read(lambda conn: _row(conn, shifts.get(conn, shift_id)))
        if row is None or not (row.shift.user_id == person.id or _oversees(person, row.shift)):
            raise NotFound(ABSENT)
        return row


def _oversees(person: Person, shift: Shift) -> bool:
    return person.may("shifts:read") and person.reaches(shift.outlet)


def _newest(conn: Connection, *, outlets: Outlets) -> list[Row]:
    return [row for shift in shifts.newest(conn, outlets, SHOWN_SHIFTS) if (row := _row(conn, shift)) is not None]


def _row(conn: Connection, shift: Shift | None) -> Row | None:
    user = users.get(conn, shift.user_id) if shift is not None else None
    if shift is None or user is None:
        return None
    return Row(shift, user.name, tuple(till_sales.sold_in(conn, shift.id)))
