"""Xendit's Payments API (2024-11-11): a QRIS that lives 48 hours whatever is asked, and can be cancelled and refunded.

A reference may be used twice there and cannot be looked up. But the QR's text is only in the answer that made it: a
request whose answer was lost has been shown to nobody, and if nobody has paid under our reference, nobody will.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

from qrisd.domain.errors import ProviderError, ProviderRejected
from qrisd.domain.money import whole_rupiah
from qrisd.domain.payment import CLOSED_UNPAID, Attempt, Observation, Source, Status
from qrisd.providers.base import Capabilities, Charge, RefundObservation, RefundOrder, RefundStatus, WebhookEvent
from qrisd.providers.http import Answer, ProviderHttp
from qrisd.providers.xendit.account import (
    FOLLOW_UP_S,
    NOT_FOUND,
    RETRY_CODES,
    Wire,
    XenditAccount,
    XenditSettings,
    moment,
    plain,
    repeat_key,
)
from qrisd.providers.xendit.diagnosis import diagnose
from qrisd.providers.xendit.payments import STATUS, XenditPayment, observed_in, parse_webhook
from qrisd.providers.xendit.refunds import XenditRefunds

_PATH: Final = "/v3/payment_requests/"
_VERSION: Final = "2024-11-11"
_LIFE: Final = timedelta(hours=48)
_MAX_DESCRIPTION: Final = 1000
# The request is no longer one that can be cancelled: its status says why.
_UNCANCELLABLE: Final = frozenset({"INACTIVE_PAYMENT_REQUEST", "INELIGIBLE_TRANSACTION_STATUS"})


class _Action(Wire):
    descriptor: str | None = None
    value: str | None = None


class _Request(Wire):
    payment_request_id: str
    reference_id: str
    status: str | None = None
    request_amount: str | None = None
    currency: str | None = None
    actions: list[_Action] | None = None
    latest_payment_id: str | None = None
    failure_code: str | None = None
    created: str | None = None

    @property
    def qr_text(self) -> str | None:
        return next((action.value for action in self.actions or [] if action.descriptor == "QR_STRING"), None)


class XenditPaymentRequests:
    """One Xendit account through the Payments API. `notify_url` is where webhooks reach us; None when they cannot."""

    capabilities: Final = Capabilities(
        settable_expiry=False,
        max_expires_in=int(_LIFE.total_seconds()),
        cancel=True,
        refund=True,
        partial_refund=True,
        refund_window_days=7,
        refund_issuers=("BSI", "CIMB", "DANA", "GoPay", "Jenius", "OVO", "Permata", "ShopeePay"),
        whole_refund_after_hours={"CIMB": 24},
        retry_codes=RETRY_CODES,
    )

    def __init__(
        self,
        name: str,
        settings: XenditSettings,
        http: ProviderHttp,
        clock: Callable[[], datetime],
        notify_url: str | None,
    ) -> None:
        self.name = name
        self._account = XenditAccount(name, settings, http)
        self._refunds = XenditRefunds(self._account)
        self._token = plain(settings.webhook_token)
        self._notify_url = notify_url
        self._clock = clock

    async def create_qr(self, charge: Charge) -> Observation:
        """Ask for a QR. It ends 48 hours from now, whenever `charge` says: who wants it closed earlier cancels it.

        Raises ProviderRejected, ProviderUnreachable or ProviderUncertain."""
        headers = {"idempotency-key": repeat_key("charge", charge.reference)}
        answer = await self._account.post(_PATH.rstrip("/"), _body(charge), headers, version=_VERSION)
        seen, _ = self._observed(Source.PROVIDER, answer, charge.reference)
        return replace(seen, expires_at=seen.expires_at or self._clock() + _LIFE)

    async def fetch_status(self, attempt: Attempt) -> Observation:
        """Ask for the request, the payment on it, and what was refunded of that.

        Raises ProviderRejected, ProviderUnreachable or ProviderUncertain."""
        if attempt.provider_trx_id is not None:
            return await self._look(attempt, attempt.provider_trx_id)
        row = await self._account.payment_made(attempt.reference)
        if row is None:
            return Observation(source=Source.LOOKUP, absent=True, detail="no payment under our reference")
        return await self._completed(observed_in(row), row.product_id, attempt)

    async def cancel_qr(self, attempt: Attempt) -> Observation:
        """Cancel the request. When it can no longer be cancelled, its status says what it is.

        Raises ProviderRejected, ProviderUnreachable or ProviderUncertain."""
        if attempt.provider_trx_id is None:
            return await self.fetch_status(attempt)
        path = f"{_PATH}{quote(attempt.provider_trx_id, safe='')}/cancel"
        try:
            answer = await self._account.post(path, {}, {}, version=_VERSION)
        except ProviderRejected as error:
            if error.provider_code == NOT_FOUND:
                return Observation(source=Source.PROVIDER, absent=True, detail=str(error))
            if error.provider_code not in _UNCANCELLABLE:
                raise
            return await self.fetch_status(attempt)
        return self._observed(Source.PROVIDER, answer, attempt.reference)[0]

    async def refund(self, attempt: Attempt, order: RefundOrder) -> RefundObservation:
        """Give back. Raises ProviderRejected, ProviderUnreachable or ProviderUncertain."""
        if attempt.provider_trx_id is None:
            detail = "Xendit's id of this payment is not known here; refund it in Xendit's dashboard."
            return RefundObservation(status=RefundStatus.REFUSED, detail=detail)
        return await self._refunds.send(attempt.provider_trx_id, order)

    async def fetch_refund(self, attempt: Attempt, order: RefundOrder) -> RefundObservation:
        """Ask how a refund stands. Raises ProviderRejected, ProviderUnreachable or ProviderUncertain."""
        if attempt.provider_trx_id is None:
            return RefundObservation(absent=True, detail="nothing was sent")
        return await self._refunds.find(attempt.provider_trx_id, order)

    def parse_webhook(self, headers: Mapping[str, str], body: bytes, now: datetime) -> WebhookEvent:
        """Compare the token, then translate. Raises WebhookUnsigned or WebhookUnreadable."""
        return parse_webhook(headers, body, self._token)

    async def diagnose(self) -> list[tuple[bool, str]]:
        """Whether the key is accepted and may do what is needed, and where webhooks go. Charges nobody."""
        return await diagnose(self._account, f"{_PATH}pr-", _VERSION, self._notify_url)

    async def _look(self, attempt: Attempt, request_id: str) -> Observation:
        path = f"{_PATH}{quote(request_id, safe='')}"
        try:
            answer = await self._account.get(path, version=_VERSION)
        except ProviderRejected as error:
            if error.provider_code != NOT_FOUND:
                raise
            return Observation(source=Source.LOOKUP, absent=True, detail=str(error))
        seen, request = self._observed(Source.LOOKUP, answer, attempt.reference)
        if seen.contradiction is not None:
            return seen
        if request.latest_payment_id is None and seen.status in CLOSED_UNPAID:
            return await self._with_late_payment(seen, attempt)
        return await self._completed(seen, request.latest_payment_id, attempt)

    async def _with_late_payment(self, seen: Observation, attempt: Attempt) -> Observation:
        """`seen`, or the payment that came after the request was closed: Xendit leaves the request as it was then.

        A key that may not read transactions leaves us with the request's own word."""
        try:
            row = await self._account.payment_made(attempt.reference, FOLLOW_UP_S)
        except ProviderRejected:
            return seen
        if row is None:
            return seen
        late = observed_in(row)
        known = replace(late, provider_trx_id=late.provider_trx_id or seen.provider_trx_id, expires_at=seen.expires_at)
        return await self._completed(known, row.product_id, attempt)

    async def _completed(self, seen: Observation, payment_id: str | None, attempt: Attempt) -> Observation:
        if payment_id is not None:
            seen = await self._with_payment(seen, payment_id)
        return await self._with_refunds(seen, attempt) if seen.status is Status.PAID else seen

    async def _with_payment(self, seen: Observation, payment_id: str) -> Observation:
        """`seen` with the money, receipt and time of its payment, once that has succeeded.

        Where Xendit does not show the payment, what is known stays: a request that succeeded was paid what it asked."""
        path = f"/v3/payments/{quote(payment_id, safe='')}"
        try:
            answer = await self._account.get(path, version=_VERSION, timeout_s=FOLLOW_UP_S)
        except ProviderRejected:
            return seen
        payment = self._account.read(XenditPayment, answer)
        if STATUS.get(payment.status or "") is not Status.PAID:
            return seen
        money = payment.observed(Source.LOOKUP, payment.reference)
        of_another = seen.provider_trx_id not in (None, payment.charge_id)
        contradiction = "reference_mismatch" if of_another else money.contradiction
        return replace(money, expires_at=seen.expires_at, contradiction=contradiction)

    async def _with_refunds(self, seen: Observation, attempt: Attempt) -> Observation:
        """`seen` with what went back. Where that cannot be learnt, news of the money goes first."""
        try:
            given_back = await self._refunds.given_back(seen.provider_trx_id or "")
        except ProviderError:
            if attempt.status is Status.PAID:
                raise
            return seen
        if given_back == 0:
            return seen
        full = given_back >= (seen.amount or 0)
        status = Status.REFUNDED if full else Status.PARTIALLY_REFUNDED
        return replace(seen, status=status, amount_refunded=given_back)

    def _observed(self, source: Source, answer: Answer, reference: str) -> tuple[Observation, _Request]:
        request = self._account.read(_Request, answer)
        amount, contradiction = None, None if request.reference_id == reference else "reference_mismatch"
        try:
            amount = None if request.request_amount is None else whole_rupiah(request.request_amount)
        except ValueError:
            contradiction = contradiction or "amount_format"
        made_at = moment(request.created)
        return Observation(
            source=source,
            status=STATUS.get(request.status or ""),
            amount=amount,
            currency=request.currency,
            provider_trx_id=request.payment_request_id,
            qris_payload=request.qr_text,
            expires_at=made_at + _LIFE if made_at else None,
            contradiction=contradiction,
            detail=self._account.told(request.status, request.failure_code, request.qr_text),
        ), request


def _body(charge: Charge) -> dict[str, Any]:
    body = {
        "reference_id": charge.reference,
        "type": "PAY",
        "country": "ID",
        "currency": "IDR",
        "request_amount": charge.amount,
        "capture_method": "AUTOMATIC",
        "channel_code": "QRIS",
    }
    return body | ({"description": charge.description[:_MAX_DESCRIPTION]} if charge.description else {})
