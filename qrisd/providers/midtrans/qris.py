"""One Midtrans account as a provider: charge, status, cancel, refund.

Habits of Midtrans worth knowing: an order id is used once for ever (406 afterwards); only the answer to a charge
carries the QR's text; a cancel that comes too late answers 412, and money may stand behind it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote, urlsplit

from qrisd.domain.errors import ProviderError, ProviderRejected, ProviderUncertain, ProviderUnreachable
from qrisd.domain.payment import Attempt, Observation, Source, Status
from qrisd.providers.base import Capabilities, Charge, RefundObservation, RefundOrder, WebhookEvent
from qrisd.providers.http import ProviderHttp
from qrisd.providers.midtrans.account import FOLLOW_UP_S, MidtransAccount, MidtransSettings
from qrisd.providers.midtrans.diagnosis import diagnose
from qrisd.providers.midtrans.notifications import parse_webhook
from qrisd.providers.midtrans.refunds import MidtransRefunds
from qrisd.providers.midtrans.wire import Transaction
from qrisd.qr_image import decode

_CONFLICT: Final = frozenset({406, 409})
_UNCHANGEABLE: Final = 412


class Midtrans:
    """One Midtrans account. `notify_url` is where it shall send notifications; None when nobody outside reaches us."""

    def __init__(self, name: str, settings: MidtransSettings, http: ProviderHttp, notify_url: str | None) -> None:
        self.name = name
        self.capabilities = capabilities(settings)
        self._settings = settings
        self._notify_url = notify_url
        self._account = MidtransAccount(name, settings, http)
        self._refunds = MidtransRefunds(self._account)

    async def create_qr(self, charge: Charge) -> Observation:
        """Charge under `charge.reference`; an order id already taken (406) is looked up and adopted.

        Raises ProviderRejected, ProviderUnreachable or ProviderUncertain."""
        headers = {"X-Override-Notification": self._notify_url} if self._notify_url else {}
        reply = await self._account.post("/v2/charge", charge.reference, "charge", self._charge_body(charge), headers)
        if reply.code in _CONFLICT:
            return await self._adopt(charge)
        self._account.expect_success(reply)
        if reply.code == 202:
            raise self._account.rejected(reply)
        seen = self._account.observe(Source.PROVIDER, reply.transaction, charge.reference)
        return await self._with_payload(_of_amount(seen, charge.amount), reply.transaction)

    async def fetch_status(self, attempt: Attempt) -> Observation:
        """Ask by order id, and for the QR's picture when its text is still missing.

        Raises ProviderRejected, ProviderUnreachable or ProviderUncertain."""
        seen, transaction = await self._lookup(attempt.reference, self._settings.timeout)
        if transaction is None or attempt.qris_payload is not None:
            return seen
        return await self._with_payload(seen, transaction)

    async def cancel_qr(self, attempt: Attempt) -> Observation:
        """Cancel by order id. When it can no longer be changed (412) somebody was faster: the status says what it is.

        Raises ProviderRejected, ProviderUnreachable or ProviderUncertain."""
        path = f"/v2/{quote(attempt.reference, safe='')}/cancel"
        reply = await self._account.post(path, attempt.reference, "cancel", {}, {})
        if reply.is_absent:
            return Observation(source=Source.PROVIDER, absent=True, detail=self._account.said(reply.transaction))
        if reply.code == _UNCHANGEABLE:
            seen, _ = await self._lookup(attempt.reference, FOLLOW_UP_S)
            return seen
        self._account.expect_success(reply)
        return self._account.observe(Source.PROVIDER, reply.transaction, attempt.reference)

    async def refund(self, attempt: Attempt, order: RefundOrder) -> RefundObservation:
        """Give back. Raises ProviderRejected, ProviderUnreachable or ProviderUncertain."""
        return await self._refunds.send(attempt.reference, order)

    async def fetch_refund(self, attempt: Attempt, order: RefundOrder) -> RefundObservation:
        """Ask how a refund stands. Raises ProviderRejected, ProviderUnreachable or ProviderUncertain."""
        return await self._refunds.find(attempt.reference, order, self._settings.timeout)

    def parse_webhook(self, headers: Mapping[str, str], body: bytes, now: datetime) -> WebhookEvent:
        """Verify a notification. Its status is a hint: the signature does not cover it, and can be replayed for ever.

        Raises WebhookUnreadable when it is not a JSON object, else WebhookUnsigned."""
        return parse_webhook(self._account, body)

    async def diagnose(self) -> list[tuple[bool, str]]:
        """Whether the key is accepted, the clocks agree, and where notifications go. Charges nobody."""
        return await diagnose(self._account, self._notify_url)

    def _charge_body(self, charge: Charge) -> dict[str, Any]:
        body: dict[str, Any] = {
            "payment_type": self._settings.payment_type,
            "transaction_details": {"order_id": charge.reference, "gross_amount": charge.amount},
            "custom_expiry": _expiry(charge.expires_in),
        }
        if self._settings.payment_type == "qris":
            body["qris"] = {"acquirer": self._settings.acquirer}
        return body

    async def _adopt(self, charge: Charge) -> Observation:
        """The order id is taken, surely by an earlier call of ours: whatever became of it is ours. Not knowing is
        uncertain here even when the lookup was never sent."""
        try:
            seen, transaction = await self._lookup(charge.reference, FOLLOW_UP_S)
        except (ProviderRejected, ProviderUnreachable) as error:
            raise ProviderUncertain(
                self.name, f"Midtrans has this order already, and asking for it failed: {error}", error.provider_code
            ) from error
        if transaction is None:
            raise ProviderUncertain(self.name, "Midtrans has this order already, but does not show it yet.", "406")
        return await self._with_payload(_of_amount(seen, charge.amount), transaction)

    async def _lookup(self, reference: str, timeout_s: float) -> tuple[Observation, Transaction | None]:
        reply = await self._account.status(reference, timeout_s)
        if reply.is_absent:
            absent = Observation(source=Source.LOOKUP, absent=True, detail=self._account.said(reply.transaction))
            return absent, None
        self._account.expect_success(reply)
        return self._account.observe(Source.LOOKUP, reply.transaction, reference), reply.transaction

    async def _with_payload(self, seen: Observation, transaction: Transaction) -> Observation:
        """The QR's text read from its picture, where a live QR came without it. Without luck it is asked for again."""
        if seen.status is not Status.PENDING or seen.qris_payload or seen.contradiction:
            return seen
        try:
            picture = await self._account.picture(self._picture_path(transaction))
            return replace(seen, qris_payload=await asyncio.to_thread(decode, picture))
        except (ProviderError, ValueError) as error:
            return replace(seen, detail=f"{seen.detail}; no QR text, and its picture could not be read: {error}")

    def _picture_path(self, transaction: Transaction) -> str:
        """Of the frameless PNG. Only the path of the action is used: our credentials go to no other host."""
        for action in transaction.actions or []:
            given = urlsplit(action.url or "").path.removeprefix(urlsplit(self._account.base_url).path)
            if action.name == "generate-qr-code" and given.startswith("/"):
                return given
        return f"/v2/{self._settings.payment_type}/{quote(transaction.transaction_id or '', safe='')}/qr-code"


def capabilities(settings: MidtransSettings) -> Capabilities:
    """What the account can do; refunds depend on who issues the QRIS. Where Midtrans' answer also depends on the
    payer's wallet, only what every wallet gets is promised: GoPay's QRIS takes 7 days from another wallet, 45 from
    GoPay itself."""
    acquirer = "gopay" if settings.payment_type == "gopay" else settings.acquirer.strip().lower()
    is_shopee = "shopee" in acquirer
    return Capabilities(
        cancel=True,
        refund=True,
        partial_refund=acquirer == "gopay",
        refund_window_days=365 if is_shopee else 7,
        refund_blackout="23:55-06:00 WIB" if is_shopee else None,
    )


def _of_amount(seen: Observation, amount: int) -> Observation:
    """An order under our reference for another amount is not the one we asked for."""
    if seen.contradiction or seen.amount in (None, amount):
        return seen
    return replace(seen, contradiction="amount_mismatch")


def _expiry(seconds: int) -> dict[str, Any]:
    """No `order_time`: our clock's error would eat into the window."""
    if seconds % 60 == 0:
        return {"expiry_duration": seconds // 60, "unit": "minute"}
    return {"expiry_duration": seconds, "unit": "second"}
