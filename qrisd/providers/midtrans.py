"""Midtrans Core API: dynamic QRIS and GoPay QRs, status, cancel, and notifications that are only a hint.

Habits of Midtrans worth knowing: the `status_code` in the body outranks the HTTP status; 407 (expired) is a success; an
order id is used once for ever (406 afterwards); a notification's signature covers neither its status nor its times;
only the answer to a charge carries the QR's text; times are WIB without an offset; amounts are strings like "10000.00".
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import Any, Final, Literal
from urllib.parse import quote, urlsplit
from uuid import NAMESPACE_URL, uuid4, uuid5

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from qrisd.domain.errors import (
    ProviderError,
    ProviderRejected,
    ProviderUncertain,
    ProviderUnreachable,
    WebhookUnreadable,
    WebhookUnsigned,
)
from qrisd.domain.money import whole_rupiah
from qrisd.domain.payment import Attempt, Observation, Source, Status
from qrisd.providers.base import Capabilities, Charge, ProviderSettings, WebhookEvent
from qrisd.providers.http import Answer, ProviderHttp, json_object, parse_object, retry_after_s
from qrisd.qr_image import decode

_BASE_URL: Final = {"sandbox": "https://api.sandbox.midtrans.com", "production": "https://api.midtrans.com"}
_WIB: Final = timezone(timedelta(hours=7))
_MAX_NOTIFICATION_BYTES: Final = 65_536
_MAX_SKEW_S: Final = 60
# A second call within one verb (looking a conflict up, fetching the picture) must not double the caller's wait.
_FOLLOW_UP_S: Final = 2.5

_STATUS: Final = {
    "pending": Status.PENDING,
    "authorize": Status.PENDING,
    "settlement": Status.PAID,
    "capture": Status.PAID,
    "deny": Status.FAILED,
    "failure": Status.FAILED,
    "expire": Status.EXPIRED,
    "cancel": Status.CANCELLED,
    "partial_refund": Status.PARTIALLY_REFUNDED,
    "refund": Status.REFUNDED,
}
# What Midtrans' fraud check makes of money that has arrived.
_FRAUD: Final = {"": Status.PAID, "accept": Status.PAID, "challenge": Status.PENDING, "deny": Status.FAILED}

_CONFLICT: Final = frozenset({406, 409})
_EXPIRED: Final = 407
_UNCHANGEABLE: Final = 412
# Codes after which nothing exists and repeating the call is of no use. Any other error leaves the outcome open.
_FINAL: Final = frozenset({400, 401, 402, 403, 405, 410, 411, 413, 414})

_ADVICE: Final = {
    401: "Midtrans does not know this server key. Copy it again from the dashboard (Settings, Access keys), and check "
    "that `environment` is the one the key was made in.",
    402: "QRIS is not active on this Midtrans account: ask Midtrans to activate it (payment type and Core API).",
    403: "Midtrans refuses this account or this network. Ask Midtrans' support.",
}


class MidtransSettings(ProviderSettings):
    """`[providers.midtrans]`."""

    server_key: SecretStr | None = Field(None, description="The Server Key from the Midtrans dashboard.")
    acquirer: str = Field("gopay", description="Who issues the QRIS: `gopay` or `airpay shopee`.")
    payment_type: Literal["qris", "gopay"] = Field("qris", description="`qris` for any wallet, or GoPay's own QR.")
    merchant_id: str | None = Field(None, description="When set, answers that name another merchant are refused.")

    @property
    def configured(self) -> bool:
        return self.server_key is not None and bool(self.server_key.get_secret_value().strip())


class _Wire(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, coerce_numbers_to_str=True)


class _Action(_Wire):
    name: str | None = None
    url: str | None = None


class _Refund(_Wire):
    refund_amount: str | None = None


class _Transaction(_Wire):
    """Every answer and every notification: members Midtrans has no value for are left out."""

    status_code: str | None = None
    status_message: str | None = None
    validation_messages: list[str] | None = None
    order_id: str | None = None
    transaction_id: str | None = None
    merchant_id: str | None = None
    gross_amount: str | None = None
    currency: str | None = None
    transaction_status: str | None = None
    fraud_status: str | None = None
    settlement_time: str | None = None
    expiry_time: str | None = None
    qr_string: str | None = None
    actions: list[_Action] | None = None
    refund_amount: str | None = None
    refunds: list[_Refund] | None = None
    merchant_cross_reference_id: str | None = None
    shopeepay_reference_number: str | None = None
    reference_id: str | None = None

    @property
    def status(self) -> Status | None:
        """Ours for theirs; None for one we do not know."""
        word = (self.transaction_status or ("expire" if self.status_code == str(_EXPIRED) else "")).lower()
        status = _STATUS.get(word)
        if status is Status.PAID:
            return _FRAUD.get((self.fraud_status or "").lower())
        return status

    @property
    def amount(self) -> int | None:
        """Whole rupiah; raises ValueError."""
        return None if self.gross_amount is None else whole_rupiah(self.gross_amount)

    @property
    def refunded(self) -> int | None:
        """What was given back in all; raises ValueError. The list is a running total, `refund_amount` not always."""
        if self.refunds:
            return sum(whole_rupiah(refund.refund_amount or "") for refund in self.refunds)
        return None if self.refund_amount is None else whole_rupiah(self.refund_amount)

    @property
    def reference_number(self) -> str | None:
        """The acquirer's number for the payment: GoPay and ShopeePay call it differently."""
        return self.merchant_cross_reference_id or self.shopeepay_reference_number or self.reference_id

    @property
    def said(self) -> str:
        """One line of their words."""
        words = [self.transaction_status, self.status_message, *(self.validation_messages or [])]
        line = "; ".join(" ".join(word.split()) for word in words if word)
        return f"{self.status_code or 'no code'}: {line or 'no message'}"


@dataclass(frozen=True, slots=True)
class _Reply:
    code: int
    in_body: bool
    transaction: _Transaction
    answer: Answer


class Midtrans:
    """One Midtrans account. `notify_url` is where it shall send notifications; None when nobody outside reaches us."""

    capabilities: Final = Capabilities(cancel=True)

    def __init__(self, name: str, settings: MidtransSettings, http: ProviderHttp, notify_url: str | None) -> None:
        self.name = name
        self._settings = settings
        self._http = http
        self._notify_url = notify_url
        self._base_url = (settings.base_url or _BASE_URL[settings.environment]).rstrip("/")

    async def create_qr(self, charge: Charge) -> Observation:
        """Charge under `charge.reference`; an order id already taken (406) is looked up and adopted.

        Raises ProviderRejected, ProviderUnreachable or ProviderUncertain."""
        headers = {"X-Override-Notification": self._notify_url} if self._notify_url else {}
        reply = await self._post("/v2/charge", charge.reference, "charge", self._charge_body(charge), headers)
        if reply.code in _CONFLICT:
            return await self._adopt(charge)
        self._expect_success(reply)
        if reply.code == 202:
            raise self._rejected(reply)
        seen = self._observe(Source.PROVIDER, reply.transaction, charge.reference)
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
        reply = await self._post(path, attempt.reference, "cancel", {}, {})
        if _is_absent(reply):
            return Observation(source=Source.PROVIDER, absent=True, detail=self._said(reply.transaction))
        if reply.code == _UNCHANGEABLE:
            seen, _ = await self._lookup(attempt.reference, _FOLLOW_UP_S)
            return seen
        self._expect_success(reply)
        return self._observe(Source.PROVIDER, reply.transaction, attempt.reference)

    def parse_webhook(self, headers: Mapping[str, str], body: bytes, now: datetime) -> WebhookEvent:
        """Verify a notification. Its status is a hint: the signature does not cover it, and can be replayed for ever.

        Raises WebhookUnreadable when it is not a JSON object, else WebhookUnsigned."""
        payload = _notification(body)
        if not self._signed(payload):
            raise WebhookUnsigned("The notification's signature is missing or wrong.")
        try:
            transaction = _Transaction.model_validate(payload)
        except ValidationError as error:
            raise WebhookUnreadable("The notification's members are not of the documented types.") from error
        return WebhookEvent(
            event_id=_event_id(payload),
            reference=transaction.order_id,
            provider_trx_id=transaction.transaction_id,
            observation=self._observe(Source.WEBHOOK, transaction, transaction.order_id),
            proven=False,
            payload=payload,
        )

    async def diagnose(self) -> list[tuple[bool, str]]:
        """Whether the key is accepted, the clocks agree, and where notifications go. Charges nobody."""
        if not self._settings.configured:
            return [(False, f"providers.{self.name}.server_key is not set: copy the Server Key from the dashboard.")]
        where = f"{self._settings.environment}, {self._base_url}"
        try:
            reply = await self._get(f"/v2/QRISD-DIAGNOSE-{uuid4().hex[:16]}/status", self._settings.timeout)
        except ProviderError as error:
            return [(False, f"{where}: {error}"), self._notification_line()]
        if not _is_absent(reply):
            return [(False, f"{where}: {self._rejected(reply)}"), self._notification_line()]
        lines = [(True, f"Midtrans ({where}) accepts the server key.")]
        return [*lines, *_clock_line(reply.answer), self._notification_line()]

    def _notification_line(self) -> tuple[bool, str]:
        if self._notify_url is None:
            return (True, "No public base_url: Midtrans cannot notify qrisd, so payments are found by asking it.")
        where = "Settings, Payment, Notification URL"
        return (
            True,
            f"Every charge asks for notifications at {self._notify_url}. Paste it in the dashboard too ({where}).",
        )

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
            seen, transaction = await self._lookup(charge.reference, _FOLLOW_UP_S)
        except (ProviderRejected, ProviderUnreachable) as error:
            raise ProviderUncertain(
                self.name, f"Midtrans has this order already, and asking for it failed: {error}", error.provider_code
            ) from error
        if transaction is None:
            raise ProviderUncertain(self.name, "Midtrans has this order already, but does not show it yet.", "406")
        return await self._with_payload(_of_amount(seen, charge.amount), transaction)

    async def _lookup(self, reference: str, timeout_s: float) -> tuple[Observation, _Transaction | None]:
        reply = await self._get(f"/v2/{quote(reference, safe='')}/status", timeout_s)
        if _is_absent(reply):
            return Observation(source=Source.LOOKUP, absent=True, detail=self._said(reply.transaction)), None
        self._expect_success(reply)
        return self._observe(Source.LOOKUP, reply.transaction, reference), reply.transaction

    async def _with_payload(self, seen: Observation, transaction: _Transaction) -> Observation:
        """The QR's text read from its picture, where a live QR came without it. Without luck it is asked for again."""
        if seen.status is not Status.PENDING or seen.qris_payload or seen.contradiction:
            return seen
        try:
            picture = await self._picture(transaction)
            return replace(seen, qris_payload=await asyncio.to_thread(decode, picture))
        except (ProviderError, ValueError) as error:
            return replace(seen, detail=f"{seen.detail}; no QR text, and its picture could not be read: {error}")

    async def _picture(self, transaction: _Transaction) -> bytes:
        """The frameless PNG. Only the path of the action is used: our credentials go to no other host."""
        path = f"/v2/{self._settings.payment_type}/{quote(transaction.transaction_id or '', safe='')}/qr-code"
        for action in transaction.actions or []:
            given = urlsplit(action.url or "").path.removeprefix(urlsplit(self._base_url).path)
            if action.name == "generate-qr-code" and given.startswith("/"):
                path = given
        answer = await self._send("GET", path, {"Accept": "image/png"}, None, _FOLLOW_UP_S)
        if answer.status != 200:
            raise ProviderUncertain(self.name, f"HTTP {answer.status} instead of a picture")
        return answer.body

    async def _get(self, path: str, timeout_s: float) -> _Reply:
        return self._reply(await self._send("GET", path, {"Accept": "application/json"}, None, timeout_s))

    async def _post(
        self, path: str, reference: str, action: str, body: Mapping[str, Any], headers: Mapping[str, str]
    ) -> _Reply:
        """One key per reference *and* action: Midtrans answers a known key with what it answered first, whatever the
        endpoint."""
        key = str(uuid5(NAMESPACE_URL, f"qrisd:{action}:{reference}"))
        sent = {
            "Accept": "application/json",
            "Content-Type": "application/json",
            "Idempotency-Key": key,
            **headers,
        }
        return self._reply(await self._send("POST", path, sent, json.dumps(body).encode(), self._settings.timeout))

    async def _send(
        self, method: str, path: str, headers: Mapping[str, str], content: bytes | None, timeout_s: float
    ) -> Answer:
        return await self._http.request(
            self.name,
            method,
            self._base_url + path,
            headers={"Authorization": f"Basic {self._credentials}", **headers},
            content=content,
            timeout_s=min(timeout_s, self._settings.timeout),
        )

    @property
    def _key(self) -> str:
        return self._settings.server_key.get_secret_value().strip() if self._settings.server_key else ""

    @property
    def _credentials(self) -> str:
        return b64encode(f"{self._key}:".encode()).decode()

    def _reply(self, answer: Answer) -> _Reply:
        """Raises for what says nothing about the order: a limit, a fault of theirs, a repeat still running."""
        if answer.status == 429:
            raise self._limited(answer)
        if answer.status == 202:
            raise ProviderUncertain(self.name, "Midtrans is still working on the same request.", "202")
        if answer.status >= 500 or 300 <= answer.status < 400:
            raise ProviderUncertain(self.name, f"Midtrans answered HTTP {answer.status}.", str(answer.status))
        try:
            transaction = _Transaction.model_validate(json_object(self.name, answer))
        except ValidationError as error:
            raise ProviderUncertain(self.name, "Midtrans' answer is not of the documented shape.") from error
        code = transaction.status_code or str(answer.status)
        if not (code.isascii() and code.isdigit() and len(code) == 3):
            raise ProviderUncertain(self.name, "Midtrans' answer carries no usable status code.")
        if code == "429":
            raise self._limited(answer)
        return _Reply(int(code), transaction.status_code is not None, transaction, answer)

    def _limited(self, answer: Answer) -> ProviderUnreachable:
        """The limit stands before the work, so nothing exists and the same call may be repeated."""
        wait_s = retry_after_s(answer)
        when = "in a while" if wait_s is None else f"in {wait_s:.0f} seconds"
        text = f"Midtrans limits how often it is called: try again {when}."
        return ProviderUnreachable(self.name, text, "429", retry_after_s=wait_s)

    def _expect_success(self, reply: _Reply) -> None:
        if reply.code in _FINAL:
            raise self._rejected(reply)
        if reply.code >= 400 and reply.code != _EXPIRED:
            raise ProviderUncertain(self.name, f"Midtrans answered {self._said(reply.transaction)}.", str(reply.code))

    def _rejected(self, reply: _Reply) -> ProviderRejected:
        said = self._said(reply.transaction)
        advice = _ADVICE.get(reply.code)
        message = f"{advice} ({said})" if advice else f"Midtrans refused: {said}."
        return ProviderRejected(self.name, message, str(reply.code))

    def _said(self, seen: _Transaction) -> str:
        """Their words, without our key should they repeat it."""
        said = seen.said
        for secret in filter(None, (self._key, self._credentials)):
            said = said.replace(secret, "***")
        return said[:300]

    def _observe(self, source: Source, seen: _Transaction, reference: str | None) -> Observation:
        if seen.order_id is None:
            raise ProviderUncertain(self.name, f"Midtrans' answer does not name its order ({self._said(seen)}).")
        amount, refunded, problem = _amounts(seen)
        return Observation(
            source=source,
            status=seen.status,
            amount=amount,
            amount_refunded=refunded,
            currency=seen.currency,
            provider_trx_id=seen.transaction_id,
            provider_ref_no=seen.reference_number,
            qris_payload=seen.qr_string or None,
            expires_at=_utc(seen.expiry_time),
            paid_at=_utc(seen.settlement_time),
            contradiction=self._foreign(seen, reference) or problem,
            detail=self._said(seen),
        )

    def _foreign(self, seen: _Transaction, reference: str | None) -> str | None:
        if seen.order_id != reference:
            return "reference_mismatch"
        if self._settings.merchant_id and seen.merchant_id not in (None, self._settings.merchant_id):
            return "merchant_mismatch"
        return None

    def _signed(self, payload: Mapping[str, Any]) -> bool:
        """SHA-512 over order id, code, amount and server key, each exactly as received."""
        parts = [payload.get(name) for name in ("order_id", "status_code", "gross_amount")]
        given = payload.get("signature_key")
        texts = [part for part in parts if isinstance(part, str) and part]
        if len(texts) != len(parts) or not isinstance(given, str) or not self._key:
            return False
        expected = hashlib.sha512("".join([*texts, self._key]).encode()).hexdigest()
        return hmac.compare_digest(expected.encode(), given.encode())


def _notification(body: bytes) -> dict[str, Any]:
    if len(body) > _MAX_NOTIFICATION_BYTES:
        raise WebhookUnreadable("The notification is larger than any Midtrans sends.")
    try:
        return parse_object(body)
    except ValueError as error:
        raise WebhookUnreadable("The notification is not a JSON object.") from error


def _event_id(payload: Mapping[str, Any]) -> str:
    """A hash of all members, whatever their order: the second notification of a refund differs from the first by one
    time only, and nobody can use up the id of a notification that is still to come without knowing all of it."""
    text = json.dumps(payload, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _amounts(seen: _Transaction) -> tuple[int | None, int | None, str | None]:
    try:
        amount, refunded = seen.amount, seen.refunded
    except ValueError:
        return None, None, "amount_format"
    missing = seen.status is Status.PARTIALLY_REFUNDED and refunded is None
    return amount, refunded, "refund_amount_missing" if missing else None


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


def _utc(text: str | None) -> datetime | None:
    """Midtrans' time, WIB without an offset; None when it cannot be read, for nothing hangs on it."""
    try:
        return datetime.strptime(text or "", "%Y-%m-%d %H:%M:%S").replace(tzinfo=_WIB).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _is_absent(reply: _Reply) -> bool:
    """Only Midtrans' own word counts: a gateway's HTTP 404 says nothing about the order."""
    return reply.in_body and reply.code == 404


def _clock_line(answer: Answer) -> list[tuple[bool, str]]:
    try:
        skew_s = (datetime.now(UTC) - parsedate_to_datetime(answer.headers.get("date", ""))).total_seconds()
    except (ValueError, TypeError):
        return []
    if abs(skew_s) <= _MAX_SKEW_S:
        return [(True, "This computer's clock agrees with Midtrans'.")]
    way = "ahead of" if skew_s > 0 else "behind"
    return [(False, f"This computer's clock is {abs(skew_s):.0f} s {way} Midtrans': switch on time synchronisation.")]
