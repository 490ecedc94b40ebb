"""Xendit's QR Codes API (2022-07-31): the older one, whose QRs end when we say. No call is known that closes one early.

A QR's status says whether it can be paid, not whether it was: that is in the list of its payments, and where that list
is not to be had, in the account's list of transactions. Without the version header the same address speaks another
generation, so it goes with every call.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

from qrisd.domain.errors import ProviderRejected, ProviderUncertain
from qrisd.domain.money import whole_rupiah
from qrisd.domain.payment import Attempt, Observation, Source, Status
from qrisd.providers.base import Capabilities, Charge, WebhookEvent
from qrisd.providers.http import Answer, ProviderHttp, parse_object
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

_PATH: Final = "/qr_codes/"
_VERSION: Final = "2022-07-31"
_QR_STATUS: Final = {"ACTIVE": Status.PENDING, "INACTIVE": Status.EXPIRED}


class _QrCode(Wire):
    id: str
    reference_id: str
    status: str | None = None
    amount: str | None = None
    currency: str | None = None
    qr_string: str | None = None
    expires_at: str | None = None


class _Payments(Wire):
    data: list[XenditPayment]


class XenditQrCodes:
    """One Xendit account through the QR Codes API. `notify_url` is where webhooks reach us; None when they cannot."""

    capabilities: Final = Capabilities(max_expires_in=int(timedelta(hours=48).total_seconds()), retry_codes=RETRY_CODES)

    def __init__(self, name: str, settings: XenditSettings, http: ProviderHttp, notify_url: str | None) -> None:
        self.name = name
        self._account = XenditAccount(name, settings, http)
        self._token = plain(settings.webhook_token)
        self._notify_url = notify_url

    async def create_qr(self, charge: Charge) -> Observation:
        """Ask for a QR that ends at `charge.expires_at`.

        Raises ProviderRejected, ProviderUnreachable or ProviderUncertain."""
        headers = {"X-IDEMPOTENCY-KEY": repeat_key("charge", charge.reference)}
        answer = await self._account.post(_PATH.rstrip("/"), _body(charge), headers, version=_VERSION)
        return self._observed(Source.PROVIDER, answer, charge.reference)

    async def fetch_status(self, attempt: Attempt) -> Observation:
        """Ask for the QR and then for its payments, so that money that comes in between is not missed.

        Raises ProviderRejected, ProviderUnreachable or ProviderUncertain."""
        if attempt.provider_trx_id is None:
            row = await self._account.payment_made(attempt.reference)
            absent = Observation(source=Source.LOOKUP, absent=True, detail="no payment under our reference")
            return observed_in(row) if row else absent
        path = f"{_PATH}{quote(attempt.provider_trx_id, safe='')}"
        try:
            answer = await self._account.get(path, version=_VERSION)
        except ProviderRejected as error:
            if error.provider_code != NOT_FOUND:
                raise
            return Observation(source=Source.LOOKUP, absent=True, detail=str(error))
        seen = self._observed(Source.LOOKUP, answer, attempt.reference)
        return seen if seen.contradiction else await self._with_payment(seen, path, attempt.reference)

    def parse_webhook(self, headers: Mapping[str, str], body: bytes, now: datetime) -> WebhookEvent:
        """Compare the token, then translate. Raises WebhookUnsigned or WebhookUnreadable."""
        return parse_webhook(headers, body, self._token)

    async def diagnose(self) -> list[tuple[bool, str]]:
        """Whether the key is accepted and may do what is needed, and where webhooks go. Charges nobody."""
        return await diagnose(self._account, f"{_PATH}qr_", _VERSION, self._notify_url)

    async def _with_payment(self, seen: Observation, path: str, reference: str) -> Observation:
        try:
            answer = await self._account.get(f"{path}/payments", version=_VERSION, timeout_s=FOLLOW_UP_S)
        except ProviderRejected:
            row = await self._account.payment_made(reference, FOLLOW_UP_S)
            return replace(observed_in(row), provider_trx_id=seen.provider_trx_id) if row else seen
        paid = [each for each in self._payments(answer) if STATUS.get(each.status or "") is Status.PAID]
        if not paid:
            return seen
        money = paid[0].observed(Source.LOOKUP, paid[0].reference)
        of_another = paid[0].charge_id not in (None, seen.provider_trx_id)
        contradiction = "reference_mismatch" if of_another else money.contradiction
        return replace(money, provider_trx_id=seen.provider_trx_id, contradiction=contradiction)

    def _payments(self, answer: Answer) -> list[XenditPayment]:
        """The list, bare or in an object: both have been seen."""
        body = answer.body.strip()
        try:
            return _Payments.model_validate(parse_object(b'{"data":%b}' % body if body.startswith(b"[") else body)).data
        except ValueError as error:
            raise ProviderUncertain(self.name, "Xendit's list of payments cannot be read.") from error

    def _observed(self, source: Source, answer: Answer, reference: str) -> Observation:
        code = self._account.read(_QrCode, answer)
        amount, contradiction = None, None if code.reference_id == reference else "reference_mismatch"
        try:
            amount = None if code.amount is None else whole_rupiah(code.amount)
        except ValueError:
            contradiction = contradiction or "amount_format"
        return Observation(
            source=source,
            status=_QR_STATUS.get(code.status or ""),
            amount=amount,
            currency=code.currency,
            provider_trx_id=code.id,
            qris_payload=code.qr_string or None,
            expires_at=moment(code.expires_at),
            contradiction=contradiction,
            detail=self._account.told(code.status, None, code.qr_string),
        )


def _body(charge: Charge) -> dict[str, Any]:
    ends_at = charge.expires_at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return {
        "reference_id": charge.reference,
        "type": "DYNAMIC",
        "currency": "IDR",
        "amount": charge.amount,
        "expires_at": ends_at,
    }
