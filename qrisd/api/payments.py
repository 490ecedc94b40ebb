"""Payments, for programs."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Awaitable, Callable, Mapping
from functools import lru_cache, partial
from typing import Any, Final
from zoneinfo import ZoneInfo

from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

from qrisd import qr_image
from qrisd.api.auth import secret_of
from qrisd.api.rendered import Rendered
from qrisd.api.requests import (
    acting,
    bad_query,
    read_body,
    read_day,
    read_idempotency_key,
    read_query,
    read_whole_number,
)
from qrisd.domain import business_day
from qrisd.domain.errors import Forbidden, NotFound, OrderIdTaken
from qrisd.domain.payment import Payment, Status
from qrisd.domain.times import to_text
from qrisd.schemas import ConfirmPayment, CreatePayment, payment_resource
from qrisd.services.api_keys import Caller, Keyring
from qrisd.services.creating import Answer, Creating, Key
from qrisd.services.live import Live
from qrisd.services.payments import Payments, known_to
from qrisd.store import payment_logs
from qrisd.store import payments as stored_payments
from qrisd.store.db import Database
from qrisd.store.payments import Filter

MAX_WAIT_S: Final = 60
RETRY_AFTER_S: Final = "2"
TIMELINE_LIMIT: Final = 1000
REFUND_STEPS: Final = "REFUND_"
_PARSED_CURSOR: Final = re.compile(rb"([0-9T:.-]{23}Z) ([0-9a-f-]{36})")
LIST_PARAMETERS: Final = ("status", "order_id", "provider", "outlet", "from", "to", "limit", "cursor")


class PaymentsApi:
    """The handlers. Reading asks the store; changing goes through the service."""

    def __init__(
        self,
        *,
        creating: Creating,
        service: Payments,
        db: Database,
        live: Live,
        keyring: Keyring,
        rendered: Rendered,
        base_url: str,
        zone: ZoneInfo,
    ) -> None:
        self._creating = creating
        self._service = service
        self._db = db
        self._live = live
        self._keyring = keyring
        self._rendered = rendered
        self._base_url = base_url
        self._zone = zone

    async def create(self, request: Request, caller: Caller) -> Response:
        read_query(request, ())
        key = Key(caller.id, read_idempotency_key(request))
        order = await read_body(request, CreatePayment)
        if not caller.reaches(order.outlet):
            raise Forbidden(f"This API key is limited to other outlets than {order.outlet}.")
        try:
            return _answer(await self._creating.create(order, key, acting(request, caller)))
        except OrderIdTaken as taken:
            raise await self._seen_by(caller, taken) from None

    async def _seen_by(self, caller: Caller, taken: OrderIdTaken) -> OrderIdTaken:
        """The refusal, without the payment that has the order id when it is one of an outlet they may not know of."""
        payment = await self._service.get(taken.payment_id) if taken.payment_id is not None else None
        is_known = payment is not None and caller.reaches(payment.outlet)
        return taken if is_known else OrderIdTaken(str(taken), None)

    async def _payment(self, request: Request, caller: Caller) -> Payment:
        """The payment the path names. Raises NotFound."""
        return known_to(caller.outlets, await self._service.get(request.path_params["id"]))

    async def get(self, request: Request, caller: Caller) -> Response:
        query = read_query(request, ("wait",))
        wait_s = read_whole_number(query, "wait", least=0, most=MAX_WAIT_S, default=0)
        payment = await self._payment(request, caller)
        if wait_s:
            goes_on = partial(self._keyring.still, secret_of(request), caller)
            payment = await self._after_change(payment.id, wait_s, goes_on)
        return self._shown(request, payment)

    async def _after_change(self, payment_id: str, wait_s: int, goes_on: Callable[[], Awaitable[bool]]) -> Payment:
        """The payment once it has left its present status, or as it is after `wait_s`; as it was when the caller's
        rights end meanwhile."""
        read = partial(self._service.get, payment_id)
        until = asyncio.get_running_loop().time() + wait_s
        with self._live.watching(payment_id) as watch:
            payment = before = await watch.look(read)
            while payment.status is before.status and not self._live.closing and await watch.wait(until):
                if not await goes_on():
                    break
                payment = await watch.look(read)
        return payment

    async def find(self, request: Request, caller: Caller) -> Response:
        query = read_query(request, LIST_PARAMETERS)
        limit = read_whole_number(query, "limit", least=1, most=100, default=20)
        wanted = self._filter(query, caller)
        found = await self._db.read(lambda conn: stored_payments.find(conn, wanted, limit + 1))
        page = found[:limit]
        data = [payment_resource(payment, self._base_url) for payment in page]
        return _json({"data": data, "next_cursor": _cursor(page[-1]) if len(found) > limit else None})

    def _filter(self, query: Mapping[str, str], caller: Caller) -> Filter:
        if "status" in query and query["status"] not in Status.__members__:
            raise bad_query("status", f"must be one of {', '.join(Status)}")
        first, last = read_day(query, "from"), read_day(query, "to")
        return Filter(
            status=query.get("status"),
            order_id=query.get("order_id"),
            provider=query.get("provider"),
            outlet=query.get("outlet"),
            outlets=caller.outlets,
            created_from=business_day.bounds(first, self._zone)[0] if first else None,
            created_before=business_day.bounds(last, self._zone)[1] if last else None,
            after=_after(query),
        )

    async def qr_svg(self, request: Request, caller: Caller) -> Response:
        return await self._image(request, caller, _svg, "image/svg+xml")

    async def qr_png(self, request: Request, caller: Caller) -> Response:
        return await self._image(request, caller, _png, "image/png")

    async def _image(
        self, request: Request, caller: Caller, draw: Callable[[str, int], bytes], media_type: str
    ) -> Response:
        query = read_query(request, ("scale",))
        scale = read_whole_number(query, "scale", least=1, most=20, default=8)
        payment = await self._payment(request, caller)
        if payment.qris_payload is None:
            raise NotFound(f"The payment is {payment.status} and has no QR yet.")
        image = await asyncio.get_running_loop().run_in_executor(None, draw, payment.qris_payload, scale)
        return Response(image, media_type=media_type)

    async def timeline(self, request: Request, caller: Caller) -> Response:
        read_query(request, ())
        payment = await self._payment(request, caller)
        rows = await self._db.read(lambda conn: payment_logs.of_payment(conn, payment.id, TIMELINE_LIMIT))
        reads_all = caller.may("refunds:read")  # who asked for money back, and why
        return _json({"data": [row for row in rows if reads_all or not row["event"].startswith(REFUND_STEPS)]})

    async def check(self, request: Request, caller: Caller) -> Response:
        return await self._done(request, caller, partial(self._service.check, by=acting(request, caller)))

    async def cancel(self, request: Request, caller: Caller) -> Response:
        return await self._done(request, caller, partial(self._service.cancel, by=acting(request, caller)))

    async def renew(self, request: Request, caller: Caller) -> Response:
        return await self._done(request, caller, partial(self._service.renew, by=acting(request, caller)))

    async def confirm(self, request: Request, caller: Caller) -> Response:
        word = await read_body(request, ConfirmPayment)
        act = partial(self._service.confirm, word=word, caller=caller.name, by=acting(request, caller))
        return await self._done(request, caller, act)

    async def _done(self, request: Request, caller: Caller, act: Callable[[str], Any]) -> Response:
        read_query(request, ())
        payment: Payment = await act((await self._payment(request, caller)).id)
        unknown = payment.status is Status.CREATED
        headers = {"Retry-After": RETRY_AFTER_S} if unknown else {}
        body = to_json(payment_resource(payment, self._base_url))
        return Response(body, 202 if unknown else 200, headers, "application/json")

    def _shown(self, request: Request, payment: Payment) -> Response:
        shown = self._rendered.of(payment)
        headers = {"ETag": f'"{shown.tag}"', "Cache-Control": "private, no-cache"}
        if _matches(request.headers.get("if-none-match"), headers["ETag"]):
            return Response(status_code=304, headers=headers)
        return Response(shown.json, 200, headers, "application/json")


def _json(value: Any) -> Response:
    return Response(to_json(value), media_type="application/json")


def _answer(answer: Answer) -> Response:
    headers = {"Idempotent-Replayed": "true"} if answer.replayed else {}
    if answer.status_code == 202:
        headers["Retry-After"] = RETRY_AFTER_S
    return Response(answer.body, answer.status_code, headers, "application/json")


def _matches(if_none_match: str | None, etag: str) -> bool:
    if if_none_match is None:
        return False
    given = [one.strip().removeprefix("W/") for one in if_none_match.split(",")]
    return etag in given or "*" in given


def _cursor(last: Payment) -> str:
    text = f"{to_text(last.created_at)} {last.id}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _after(query: Mapping[str, str]) -> tuple[str, str] | None:
    text = query.get("cursor")
    if text is None:
        return None
    try:
        found = _PARSED_CURSOR.fullmatch(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except ValueError:
        found = None
    if found is None:
        raise bad_query("cursor", "is not a next_cursor from this list")
    return found[1].decode(), found[2].decode()


# Drawing takes milliseconds in pure Python, and a shown QR is asked for again and again.
_svg: Callable[[str, int], bytes] = lru_cache(maxsize=256)(qr_image.svg)
_png: Callable[[str, int], bytes] = lru_cache(maxsize=256)(qr_image.png)
