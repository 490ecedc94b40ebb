"""Refunds at a SNAP bank: asked for under one number, as often as it takes."""

from __future__ import annotations

import re
from typing import Any, Final

from qrisd.domain.errors import ProviderRejected, ProviderUncertain, ProviderUnreachable
from qrisd.domain.money import whole_rupiah
from qrisd.domain.payment import Attempt, Status
from qrisd.providers.base import RefundObservation, RefundOrder, RefundStatus
from qrisd.providers.snap.calls import Reply, SnapCalls
from qrisd.providers.snap.profile import Service
from qrisd.providers.snap.wire import DUPLICATE, LOW_BALANCE, Message, money, original

_NO_WORD: Final = re.compile(r"[^A-Za-z0-9]+")
_MAX_REASON: Final = 100


class SnapRefunds:
    """The refunds of one account. `send` raises ProviderRejected, ProviderUnreachable or ProviderUncertain."""

    def __init__(self, calls: SnapCalls) -> None:
        self._calls = calls
        self._profile = calls.profile

    async def send(self, attempt: Attempt, order: RefundOrder) -> RefundObservation:
        """Give back `order.amount`, unless the bank says that all of it went back already."""
        query = await self._asked_first(attempt)
        is_back = self._profile.statuses.get(query.message.status or "") is Status.REFUNDED
        if is_back and not self._profile.partial_refund:
            return RefundObservation(status=RefundStatus.DONE, amount=order.amount, detail=query.message.said)
        body = self._body(attempt, order, query.message.info)
        reply = await self._calls.call(Service.REFUND, body, self._calls.deadline())
        return self._observed(order, reply, is_back=is_back)

    async def _asked_first(self, attempt: Attempt) -> Reply:
        """How the payment stands. Whatever goes wrong here, no refund was asked for."""
        try:
            return await self._calls.query(original(attempt), self._calls.deadline())
        except ProviderUncertain as error:
            text = f"{error} No refund was asked for."
            raise ProviderUnreachable(self._calls.name, text, error.provider_code) from error

    def _body(self, attempt: Attempt, order: RefundOrder, info: dict[str, Any]) -> dict[str, Any]:
        return {
            **original(attempt),
            "partnerRefundNo": order.reference,
            "merchantId": self._calls.account.merchant_id,
            "refundAmount": money(order.amount, self._profile.amount_style),
            # Banks disagree about spaces and escapes inside a signed body, so there are none.
            "reason": _NO_WORD.sub("-", order.reason).strip("-")[:_MAX_REASON] or "refund",
            **self._profile.refund_extra(attempt, order, info),
        }

    def _observed(self, order: RefundOrder, reply: Reply, *, is_back: bool) -> RefundObservation:
        said = self._calls.said(reply.message)
        if reply.is_success:
            return _told(RefundStatus.DONE, order, reply.message, said)
        if reply.case.startswith("202"):
            return _told(RefundStatus.PENDING, order, reply.message, said)
        if reply.case == DUPLICATE:
            # Accepted before; that it is done is shown by the payment's status alone.
            status = RefundStatus.DONE if is_back else RefundStatus.PENDING
            return RefundObservation(status=status, amount=order.amount, detail=said)
        error = self._calls.error(reply)
        if reply.case == LOW_BALANCE:
            return RefundObservation(status=RefundStatus.LATER, detail=str(error))
        if isinstance(error, ProviderRejected) and reply.case[:3] in ("403", "404"):
            return RefundObservation(status=RefundStatus.REFUSED, detail=str(error))
        raise error


def _told(status: RefundStatus, order: RefundOrder, message: Message, said: str) -> RefundObservation:
    try:
        amount = order.amount if message.refund_amount is None else whole_rupiah(message.refund_amount.value)
    except ValueError:
        amount = order.amount
    return RefundObservation(status=status, amount=amount, provider_refund_id=message.refund_id, detail=said)
