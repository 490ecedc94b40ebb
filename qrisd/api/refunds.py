"""Refunds, for programs: what may be given back, asking for it, and a person's decision."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final, TypeVar

from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

from qrisd.api.requests import (
    bad_query,
    read_body,
    read_idempotency_key,
    read_query,
    read_row_cursor,
    read_whole_number,
)
from qrisd.domain import refund as rules
from qrisd.domain.errors import IdempotencyKeyRequired, SelfApproval
from qrisd.domain.payment import Payment
from qrisd.domain.permissions import PERMISSIONS
from qrisd.domain.refund import Refund, Status
from qrisd.domain.times import to_text
from qrisd.schemas import (
    ApproveRefund,
    AskRefund,
    CancelRefund,
    RejectRefund,
    decision_resource,
    refund_resource,
    way_resource,
)
from qrisd.services import refunds as service
from qrisd.services.api_keys import Caller
from qrisd.services.creating import Answer, Key
from qrisd.services.payments import Payments, known_to
from qrisd.services.refunds import APPROVE, REQUEST, Party, Terms, party_of
from qrisd.store import attempts, payments, refunds
from qrisd.store.db import Connection, Database
from qrisd.store.refunds import Filter

LIST_PARAMETERS: Final = ("status", "payment_id", "limit", "cursor")
Model = TypeVar("Model", ApproveRefund, CancelRefund)


class RefundsApi:
    """The handlers."""

    def __init__(self, *, db: Database, payments: Payments, terms: Terms, clock: Callable[[], datetime]) -> None:
        self._db = db
        self._payments = payments
        self._terms = terms
        self._clock = clock

    async def create(self, request: Request, caller: Caller) -> Response:
        read_query(request, ())
        key = read_idempotency_key(request)
        if key is None:
            raise IdempotencyKeyRequired("Send an Idempotency-Key, a UUID for example: the same key asks only once.")
        payment = await self._payment(request, caller)
        ask = await read_body(request, AskRefund)
        by, now = _party(request, caller), self._clock()

        def unit(conn: Connection) -> Answer:
            shown = partial(_details_text, conn)
            wanted = Key(caller.id, key)
            return service.request_once(conn, wanted, payment.id, ask, by, self._terms, now, shown=shown)

        answer = await self._db.write(unit)
        headers = {"Idempotent-Replayed": "true"} if answer.replayed else {}
        return Response(answer.body, answer.status_code, headers, "application/json")

    async def _payment(self, request: Request, caller: Caller) -> Payment:
        return known_to(caller.outlets, await self._payments.get(request.path_params["id"]))

    async def of_payment(self, request: Request, caller: Caller) -> Response:
        read_query(request, ())
        payment = await self._payment(request, caller)
        data = await self._db.read(lambda conn: _shown(conn, refunds.of_payment(conn, payment.id)))
        return _json({"data": data})

    async def refundable(self, request: Request, caller: Caller) -> Response:
        read_query(request, ())
        payment_id, now = (await self._payment(request, caller)).id, self._clock()
        return _json(await self._db.read(lambda conn: self._offer(conn, payment_id, caller, now)))

    def _offer(self, conn: Connection, payment_id: str, caller: Caller, now: datetime) -> dict[str, Any]:
        payment = payments.get(conn, payment_id)
        assert payment is not None, "payments are never deleted"
        waiting = refunds.open_of(conn, payment.id)
        return {
            "payment_id": payment.id,
            "payment_status": payment.status.value,
            "currency": payment.currency,
            "amount_paid": payment.amount_paid,
            "amount_refunded": payment.amount_refunded,
            "amount_reserved": sum(refund.amount for refund in waiting),
            "amount_left": max(rules.left_of(payment, waiting), 0),
            "ways": [way_resource(way) for way in service.ways(conn, payment, self._terms, now)],
            "approval_above": self._terms.approval_above,
            "may_request": sorted(PERMISSIONS[REQUEST]),
            "may_approve": sorted(PERMISSIONS[APPROVE]),
            "you_may_request": caller.may(REQUEST),
            "you_may_approve": caller.user_id is not None and caller.may(APPROVE),
            "at": to_text(now),
        }

    async def find(self, request: Request, caller: Caller) -> Response:
        query = read_query(request, LIST_PARAMETERS)
        limit = read_whole_number(query, "limit", least=1, most=100, default=20)
        if "status" in query and query["status"] not in Status.__members__:
            raise bad_query("status", f"must be one of {', '.join(Status)}")
        wanted = Filter(
            status=Status(query["status"]) if "status" in query else None,
            payment_id=query.get("payment_id"),
            outlets=caller.outlets,
            before=read_row_cursor(query),
        )

        def look(conn: Connection) -> dict[str, Any]:
            page, more = refunds.find(conn, wanted, limit)
            return {"data": _shown(conn, page), "next_cursor": None if more is None else str(more)}

        return _json(await self._db.read(look))

    async def get(self, request: Request, caller: Caller) -> Response:
        read_query(request, ())
        refund_id = request.path_params["id"]
        return _json(await self._db.read(lambda conn: _details(conn, service.get(conn, refund_id, caller.outlets)[0])))

    async def approve(self, request: Request, caller: Caller) -> Response:
        given = await _read_optional(request, ApproveRefund)
        act = partial(service.approve, why=given.reason, seen=given.content_hash)
        return await self._decide(request, caller, act)

    async def reject(self, request: Request, caller: Caller) -> Response:
        given = await read_body(request, RejectRefund)
        return await self._decide(request, caller, partial(service.reject, why=given.reason))

    async def cancel(self, request: Request, caller: Caller) -> Response:
        given = await _read_optional(request, CancelRefund)
        return await self._decide(request, caller, partial(service.cancel, why=given.reason))

    async def _decide(self, request: Request, caller: Caller, act: Callable[..., Refund]) -> Response:
        """Do `act(conn, refund id, party, now)`; who tries to decide about their own request is written down."""
        read_query(request, ())
        refund_id, by, now = request.path_params["id"], _party(request, caller), self._clock()
        try:
            shown = await self._db.write(lambda conn: _details(conn, act(conn, refund_id, by, now)))
        except SelfApproval as refused:
            noted = refused
            await self._db.write(lambda conn: service.note_refused(conn, noted, now))
            raise
        return _json(shown)


def _party(request: Request, caller: Caller) -> Party:
    return party_of(caller, request.client.host if request.client else "-")


async def _read_optional(request: Request, model: type[Model]) -> Model:
    """The body, or what no body means. Raises as `read_body` does."""
    return await read_body(request, model) if await request.body() else model()


def _shown(conn: Connection, found: Sequence[Refund]) -> list[dict[str, Any]]:
    names = refunds.names(conn, {refund.requested_by for refund in found})
    return [_resource(conn, refund, names) for refund in found]


def _details(conn: Connection, refund: Refund) -> dict[str, Any]:
    """The refund with what was decided about it."""
    decided = refunds.decisions(conn, refund.id)
    names = refunds.names(conn, {refund.requested_by, *(one.by for one in decided)})
    return {**_resource(conn, refund, names), "decisions": [decision_resource(one, names) for one in decided]}


def _details_text(conn: Connection, refund: Refund) -> str:
    return to_json(_details(conn, refund)).decode()


def _resource(conn: Connection, refund: Refund, names: dict[str, str]) -> dict[str, Any]:
    payment = payments.get(conn, refund.payment_id)
    attempt = attempts.get(conn, refund.attempt_id) if refund.attempt_id is not None else None
    assert payment is not None, "payments are never deleted"
    return refund_resource(refund, payment, None if attempt is None else attempt.provider, names)


def _json(value: Any) -> Response:
    return Response(to_json(value), media_type="application/json")
