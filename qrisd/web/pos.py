"""/pos: the till. A cashier types an amount; who has no shift open opens one first."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any, Final

from pydantic_core import to_json
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from qrisd.domain import till
from qrisd.domain.business_day import Zones
from qrisd.domain.errors import (
    FieldError,
    IdempotencyKeyReused,
    Invalid,
    RateLimited,
    StorageBusy,
    StorageUnavailable,
    WrongState,
)
from qrisd.domain.shift import Shift
from qrisd.services.circuits import Circuits
from qrisd.services.selling import Selling, Typed
from qrisd.services.shifts import Shifts
from qrisd.services.till_mark import TillMarks
from qrisd.services.tokens import new_token
from qrisd.store import shifts, till_sales
from qrisd.store.audit_log import Actor
from qrisd.store.db import Database
from qrisd.web import pages as files
from qrisd.web import pos_view
from qrisd.web.forms import read_form
from qrisd.web.guard import Guard, Person, source_of
from qrisd.web.limits import PosLimits
from qrisd.web.pages import FILES, Pages
from qrisd.web.pos_view import TillView

DEFAULT_OUTLET: Final = "main"
WORKER: Final = "pos-worker.js"
LONGEST_TOKEN: Final = 64


class Till:
    """The handlers of /pos itself and of opening a shift. `order` names the providers that QRs are asked of; the
    outlets' business days are those in `zones`."""

    def __init__(
        self,
        *,
        pages: Pages,
        guard: Guard,
        db: Database,
        selling: Selling,
        shifts: Shifts,
        marks: TillMarks,
        circuits: Circuits,
        order: tuple[str, ...],
        max_amount: int,
        limits: PosLimits,
        zones: Zones,
        clock: Callable[[], datetime],
    ) -> None:
        self._pages = pages
        self._guard = guard
        self._db = db
        self._selling = selling
        self._shifts = shifts
        self._marks = marks
        self._circuits = circuits
        self._order = order
        self._max_amount = max_amount
        self._limits = limits
        self._zones = zones
        self._clock = clock

    async def show(self, request: Request, person: Person) -> Response:
        return await self._drawn(request, person)

    async def state(self, request: Request, person: Person) -> Response:
        """The little that the page has to know to stay right."""
        shift = await self._shift(person)
        tag = (await self._view(shift)).tag if shift is not None else ""
        body = {"tag": tag, "now": ms(self._clock())}
        return Response(to_json(body), headers=self._pages.headers, media_type="application/json")

    async def open_shift(self, request: Request, person: Person) -> Response:
        form = await read_form(request, "outlet")
        if form["outlet"] not in await self._outlets(person):
            return await self._drawn(request, person, 422, notice="outlet")
        await self._shifts.open(person.id, form["outlet"], actor(request, person))
        return self._guard.redirect("/pos")

    async def sell(self, request: Request, person: Person) -> Response:
        """Make the payment and go to its page; what cannot be is said above what was typed."""
        form = await read_form(request, "shift", "token", "amount", "note")
        count = partial(self._limits.create.count, person.id)
        try:
            payment = await self._selling.sell(person.id, person.outlets, _typed(form), count)
        except RateLimited as error:
            wait_s = error.retry_after_s
            answer = await self._drawn(request, person, 429, notice="often", wait_s=wait_s, **_again(form))
            answer.headers["Retry-After"] = str(wait_s)
            return answer
        except Invalid as error:
            wrong = {one.field for one in error.errors}
            return await self._drawn(request, person, 422, notice="note" if "note" in wrong else "amount", given=form)
        except IdempotencyKeyReused:
            return await self._drawn(request, person, 409, notice="used", given=form)
        except (StorageBusy, StorageUnavailable):
            return await self._drawn(request, person, 503, notice="busy", **_again(form))
        except WrongState:
            return self._guard.redirect("/pos")
        return self._guard.redirect(f"/pos/payments/{payment.id}")

    async def worker(self, request: Request) -> Response:
        """The service worker, from an address that lets it serve the till's pages and no others. It names the version
        of the page that it keeps: browsers fetch both anew when the worker has changed."""
        code = await run_in_threadpool((FILES / WORKER).read_bytes)
        kept = hashlib.sha256((await self.offline(request)).body).hexdigest()[:12]
        headers = {**self._pages.headers, "Service-Worker-Allowed": f"{self._pages.root}/pos"}
        return Response(b"// With the page %s\n" % kept.encode() + code, 200, headers, files.MEDIA_TYPES[".js"])

    async def offline(self, request: Request) -> Response:
        """The page that the service worker keeps for when we cannot be reached; the same for everybody."""
        return self._pages.draw(request, "pos/offline.html", language="id")

    async def _shift(self, person: Person) -> Shift | None:
        """The shift this person is in, at an outlet that is still theirs."""
        shift = await self._db.read(lambda conn: shifts.open_of(conn, person.id))
        return shift if shift is not None and person.reaches(shift.outlet) else None

    async def _outlets(self, person: Person) -> list[str]:
        if person.outlets is not None:
            return sorted(person.outlets)
        known = {*await self._db.read(till_sales.outlets), *self._zones.of_outlet} - {DEFAULT_OUTLET}
        return [DEFAULT_OUTLET, *sorted(known)]

    async def _view(self, shift: Shift) -> TillView:
        now = self._clock()
        read = await self._db.read(partial(pos_view.read, outlet=shift.outlet, zones=self._zones, now=now))
        return TillView(
            shift=shift,
            lines=read.lines,
            today=read.today,
            is_resting=all(self._circuits.state(name) == "open" for name in self._order),
            mark=self._marks.at(shift.outlet, now),
        )

    async def _drawn(self, request: Request, person: Person, status: int = 200, **facts: Any) -> Response:
        shift = await self._shift(person)
        known = {"person": person, "path": "/pos", "notice": None, "now_ms": ms(self._clock())}
        if shift is None:
            found = {"outlets": await self._outlets(person)}
            return self._pages.draw(request, "pos/open_shift.html", status, **{**known, **found, **facts})
        more = {"till": await self._view(shift), "token": new_token(), "given": {}, "max_amount": self._max_amount}
        return self._pages.draw(request, "pos/till.html", status, **{**known, **more, **facts})


def _typed(form: Mapping[str, str]) -> Typed:
    """What the form says. Raises Invalid."""
    try:
        amount = till.typed_amount(form["amount"])
    except ValueError:
        raise Invalid(FieldError("amount", "Send whole rupiah.")) from None
    note = " ".join(form["note"].split()) or None
    return Typed(shift_id=form["shift"], token=form["token"][:LONGEST_TOKEN], amount=amount, note=note)


def _again(form: Mapping[str, str]) -> dict[str, Any]:
    """What was typed, in the form that it was typed into: an answer of before may have been lost, so that sending it
    once more must make no second payment."""
    return {"given": form, "token": form["token"] or new_token()}


def actor(request: Request, person: Person) -> Actor:
    """Who does it, for the audit log."""
    return Actor(person.id, source_of(request))


def ms(moment: datetime) -> int:
    """Milliseconds since 1970, as browsers count."""
    return int(moment.timestamp() * 1000)
