"""/pos/payments/{id}: one payment as a cashier sees it, from the QR to the money."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from functools import lru_cache, partial
from typing import Any, Final, Literal

from pydantic_core import to_json
from sse_starlette import EventSourceResponse
from starlette.requests import Request
from starlette.responses import Response

from qrisd import qr_image
from qrisd.domain import till
from qrisd.domain.errors import NotFound, ProviderError, RateLimited, WrongState
from qrisd.domain.payment import Payment
from qrisd.services.live import Live
from qrisd.services.payments import Payments, known_to
from qrisd.services.till_mark import TillMarks
from qrisd.web.checkout_view import View, side_modules, view
from qrisd.web.forms import read_form
from qrisd.web.guard import Guard, Person
from qrisd.web.languages import language_of
from qrisd.web.limits import Limit, PosLimits
from qrisd.web.pages import Pages
from qrisd.web.pos import actor, ms

PING_EVERY_S: Final = 15
RECONNECT_AFTER_MS: Final = 2000
# Then the browser asks anew, and its session is looked at again.
STREAM_LIVES_S: Final = 600.0
Notice = Literal["checked", "unreachable", "often", "state"]


class PosPayment:
    """The handlers. Another outlet's payment is none."""

    def __init__(
        self,
        *,
        pages: Pages,
        guard: Guard,
        payments: Payments,
        marks: TillMarks,
        live: Live,
        limits: PosLimits,
        clock: Callable[[], datetime],
    ) -> None:
        self._pages = pages
        self._guard = guard
        self._payments = payments
        self._marks = marks
        self._live = live
        self._limits = limits
        self._clock = clock

    async def show(self, request: Request, person: Person) -> Response:
        return await self._drawn(request, person, await self._payment(request, person))

    async def status(self, request: Request, person: Person) -> Response:
        """The little that the page has to know to stay right; for pages whose stream does not come through."""
        payment = await self._payment(request, person)
        return Response(self._brief(payment), headers=self._pages.headers, media_type="application/json")

    async def follow(self, request: Request, person: Person) -> Response:
        """The same, at once and on every change, as server-sent events."""
        payment = await self._payment(request, person)
        goes_on = partial(self._guard.still, request, "pos:use")
        return EventSourceResponse(self._stream(payment.id, goes_on), ping=PING_EVERY_S, headers=self._pages.headers)

    async def _stream(self, payment_id: str, goes_on: Callable[[str], Awaitable[bool]]) -> AsyncIterator[bytes]:
        yield b"retry: %d\r\n\r\n" % RECONNECT_AFTER_MS
        until = asyncio.get_running_loop().time() + STREAM_LIVES_S
        with self._live.watching(payment_id) as watch:
            changed = True
            while changed and not self._live.closing:
                payment = await watch.look(partial(self._payments.get, payment_id))
                if not await goes_on(payment.outlet):
                    return
                yield b"data: %s\r\n\r\n" % self._brief(payment)
                changed = await watch.wait(until)

    async def qr_svg(self, request: Request, person: Person) -> Response:
        shown = self._view(await self._payment(request, person))
        if shown.qris_payload is None:
            raise NotFound("The payment has no QR that can be paid.")
        image = await asyncio.to_thread(_svg, shown.qris_payload, shown.qr_scale)
        return Response(image, headers=self._pages.headers, media_type="image/svg+xml")

    async def check(self, request: Request, person: Person) -> Response:
        """Ask the provider now."""
        check = partial(self._payments.check, by=actor(request, person))
        return await self._done(request, person, self._limits.check, check, "checked")

    async def cancel(self, request: Request, person: Person) -> Response:
        cancel = partial(self._payments.cancel, by=actor(request, person))
        return await self._done(request, person, self._limits.cancel, cancel)

    async def renew(self, request: Request, person: Person) -> Response:
        """A new QR, which the providers feel like a new payment."""
        renew = partial(self._payments.renew, by=actor(request, person))
        return await self._done(request, person, self._limits.create, renew)

    async def _done(
        self,
        request: Request,
        person: Person,
        limit: Limit,
        act: Callable[[str], Awaitable[Payment]],
        notice: Notice | None = None,
    ) -> Response:
        """`act`, within `limit`; then the page again, which says how that went."""
        await read_form(request)
        payment = await self._payment(request, person)
        try:
            limit.count(person.id)
            return await self._drawn(request, person, await act(payment.id), 200, notice)
        except RateLimited as error:
            return await self._drawn(request, person, payment, 429, "often", error.retry_after_s)
        except WrongState:
            return await self._drawn(request, person, await self._payments.get(payment.id), 409, "state")
        except ProviderError:
            return await self._drawn(request, person, await self._payments.get(payment.id), 503, "unreachable")

    async def _payment(self, request: Request, person: Person) -> Payment:
        return known_to(person.outlets, await self._payments.get(request.path_params["id"]))

    def _view(self, payment: Payment) -> View:
        now = self._clock()
        return view(payment, now, self._marks.at(payment.outlet, now))

    def _brief(self, payment: Payment) -> bytes:
        shown = self._view(payment)
        return to_json({"tag": shown.tag, "until": ms(shown.expires_at), "now": ms(self._clock())})

    async def _drawn(
        self,
        request: Request,
        person: Person,
        payment: Payment,
        status: int = 200,
        notice: Notice | None = None,
        wait_s: int | None = None,
    ) -> Response:
        shown, here = self._view(payment), f"/pos/payments/{payment.id}"
        if shown.qris_payload is not None:
            await asyncio.to_thread(side_modules, shown.qris_payload)  # remembered for the template, which may not wait
        facts: dict[str, Any] = {"person": person, "view": shown, "payment": payment, "path": here, "notice": notice}
        facts |= {"now_ms": ms(self._clock()), "until_ms": ms(payment.expires_at), "wait_s": wait_s}
        facts |= {"said": till.said_when_paid(payment.amount_paid, language_of(request)), "clock": self._clock()}
        response = self._pages.draw(request, "pos/payment.html", status, **facts)
        if wait_s is not None:
            response.headers["Retry-After"] = str(wait_s)
        return response


# Drawing takes milliseconds in pure Python, and a shown QR is asked for again and again.
_svg: Callable[[str, int], bytes] = lru_cache(maxsize=256)(qr_image.svg)
