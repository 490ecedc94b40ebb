"""The checkout: where a shop's customer sees the QR, and that the money came. Whoever holds the address may look."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from functools import lru_cache, partial
from typing import Any, Final

from limits import parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from pydantic_core import to_json
from sse_starlette import EventSourceResponse
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from qrisd import qr_image
from qrisd.domain.errors import Forbidden, NotFound, ProviderError, WrongState
from qrisd.domain.payment import Payment
from qrisd.services.live import Live
from qrisd.services.payments import Payments
from qrisd.services.till_mark import TillMarks
from qrisd.web.checkout_view import View, side_modules, view
from qrisd.web.origin import is_same_origin
from qrisd.web.pages import Pages

PING_EVERY_S: Final = 15
RECONNECT_AFTER_MS: Final = 2000
RENEWALS: Final = parse("5/minute")
RENEWALS_WINDOW_S: Final = "60"
# A saved picture is read by the payer's app from the gallery, which may shrink it first.
SAVED_SCALE: Final = 12


class Checkout:
    """The handlers. `address` is how we name ourselves, without a final slash."""

    def __init__(
        self,
        *,
        pages: Pages,
        payments: Payments,
        marks: TillMarks,
        live: Live,
        clock: Callable[[], datetime],
        address: str,
    ) -> None:
        self._pages = pages
        self._payments = payments
        self._marks = marks
        self._live = live
        self._clock = clock
        self._address = address
        self._renewals = MovingWindowRateLimiter(MemoryStorage())

    async def show(self, request: Request) -> Response:
        return await self._drawn(request, await self._payment(request))

    async def status(self, request: Request) -> Response:
        """The little that a page has to know to stay right; for pages whose stream does not come through."""
        shown = self._view(await self._payment(request))
        # Weak, because the time in the body is another one each time.
        tag = f'W/"{shown.tag}"'
        headers = {**self._pages.headers, "ETag": tag}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(self._brief(shown), 200, headers, "application/json")

    async def follow(self, request: Request) -> Response:
        """The same, at once and on every change, as server-sent events."""
        payment = await self._payment(request)
        return EventSourceResponse(self._stream(payment.id), ping=PING_EVERY_S, headers=self._pages.headers)

    async def _stream(self, payment_id: str) -> AsyncIterator[bytes]:
        yield b"retry: %d\r\n\r\n" % RECONNECT_AFTER_MS
        seen = None
        with self._live.watching(payment_id) as watch:
            while not self._live.closing:
                shown = self._view(await watch.look(partial(self._payments.get, payment_id)))
                if shown.tag != seen:
                    seen = shown.tag
                    yield b"data: %s\r\n\r\n" % self._brief(shown)
                await watch.changed.wait()

    async def qr_svg(self, request: Request) -> Response:
        shown, payload = await self._payable(request)
        image = await asyncio.to_thread(_svg, payload, shown.qr_scale)
        return Response(image, headers=self._pages.headers, media_type="image/svg+xml")

    async def qr_png(self, request: Request) -> Response:
        shown, payload = await self._payable(request)
        image = await asyncio.to_thread(_png, payload, SAVED_SCALE)
        headers = {**self._pages.headers, "Content-Disposition": f'attachment; filename="{shown.file_name}"'}
        return Response(image, headers=headers, media_type="image/png")

    async def renew(self, request: Request) -> Response:
        """A new QR for a payment that ended unpaid; then the page again, which says how that went."""
        if not is_same_origin(request, self._address):
            raise Forbidden("Use the button on the payment's own page.")
        payment = await self._payment(request)
        if not self._renewals.hit(RENEWALS, payment.id):
            return await self._drawn(request, payment, 429, "often", {"Retry-After": RENEWALS_WINDOW_S})
        try:
            if self._view(payment).is_renewable:
                await self._payments.renew(payment.id)
        except WrongState:
            pass  # it has been paid or renewed meanwhile, as the page will show
        except ProviderError:
            return await self._drawn(request, await self._payment(request), 503, "unreachable")
        return RedirectResponse(f"{self._pages.root}/pay/{payment.id}", 303, self._pages.headers)

    async def _payment(self, request: Request) -> Payment:
        return await self._payments.get(request.path_params["id"])

    async def _payable(self, request: Request) -> tuple[View, str]:
        """Raises NotFound when there is no QR to pay: nobody should save one that is over."""
        shown = self._view(await self._payment(request))
        if shown.qris_payload is None:
            raise NotFound("The payment has no QR that can be paid.")
        return shown, shown.qris_payload

    def _view(self, payment: Payment) -> View:
        now = self._clock()
        return view(payment, now, self._marks.at(payment.outlet, now))

    def _brief(self, shown: View) -> bytes:
        return to_json({"tag": shown.tag, "until": _ms(shown.expires_at), "now": _ms(self._clock())})

    async def _drawn(
        self,
        request: Request,
        payment: Payment,
        status: int = 200,
        notice: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> Response:
        shown, here = self._view(payment), f"/pay/{payment.id}"
        if shown.qris_payload is not None:
            await asyncio.to_thread(side_modules, shown.qris_payload)  # remembered for the template, which may not wait
        facts: dict[str, Any] = {"view": shown, "notice": notice, "path": here}
        facts |= {"now_ms": _ms(self._clock()), "until_ms": _ms(payment.expires_at)}
        response = self._pages.draw(request, "checkout.html", status, **facts)
        response.headers.update(headers or {})
        return response


def _ms(moment: datetime) -> int:
    """Milliseconds since 1970, as browsers count."""
    return int(moment.timestamp() * 1000)


# Drawing takes milliseconds in pure Python, and a shown QR is asked for again and again.
_svg: Callable[[str, int], bytes] = lru_cache(maxsize=256)(qr_image.svg)
_png: Callable[[str, int], bytes] = lru_cache(maxsize=256)(qr_image.png)
