"""The built-in provider that needs no account: valid QRIS of a made-up merchant, paid by a signed webhook.

It keeps nothing: what it says about a charge follows from the reference and the clock, so it survives any crash.
`behaviour`, or the word under `simulator` in a payment's metadata, tells it to be slow or to fail.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StrictInt, StrictStr, ValidationError

from qrisd.domain import qris
from qrisd.domain.errors import (
    ProviderRejected,
    ProviderUncertain,
    ProviderUnreachable,
    WebhookUnreadable,
    WebhookUnsigned,
)
from qrisd.domain.payment import Attempt, Observation, Source, Status
from qrisd.providers.base import (
    Capabilities,
    Charge,
    ProviderSettings,
    RefundObservation,
    RefundOrder,
    RefundStatus,
    WebhookEvent,
)

Behaviour = Literal["normal", "slow", "refuse", "unreachable", "lose_answer", "wrong_qr"]
RefundBehaviour = Literal["normal", "slow", "pending", "refuse", "unreachable", "lose_answer"]

SLOW_S: Final = 3.0
MAX_SKEW_S: Final = 300
_TIMESTAMP: Final = re.compile(r"[0-9]{1,12}")


class SimulatorSettings(ProviderSettings):
    """`[providers.simulator]`"""

    webhook_secret: SecretStr | None = Field(
        None, min_length=16, description="Signs the generic webhook; made and kept in the data directory when unset."
    )
    signature_version: int = Field(2, ge=1, le=2, description="1 accepts webhooks signed without a timestamp.")
    merchant_name: str = Field("WARUNG SIMULASI", min_length=1, max_length=25, description="Shown by the payer's app.")
    merchant_city: str = Field("JAKARTA", min_length=1, max_length=15, description="Shown by the payer's app.")
    nmid: str | None = Field("ID0000000000000", description="The NMID its QRs carry.")
    behaviour: Behaviour = Field("normal", description="How it answers: " + ", ".join(get_args(Behaviour)) + ".")
    refund_behaviour: RefundBehaviour = Field(
        "normal", description="How it answers refunds: " + ", ".join(get_args(RefundBehaviour)) + "."
    )


class SimulatorBody(BaseModel):
    """The generic webhook's body. Fields we do not know are ignored; a status we do not know decides nothing."""

    model_config = ConfigDict(extra="ignore")

    event_id: StrictStr = Field(min_length=1, max_length=255)
    provider_trx_id: StrictStr | None = Field(None, max_length=255)
    order_id: StrictStr | None = Field(None, max_length=255)
    status: StrictStr = Field(max_length=64)
    amount: StrictInt | None = None
    currency: StrictStr | None = Field(None, max_length=3)
    paid_at: StrictStr | None = Field(None, max_length=40)
    provider_ref_no: StrictStr | None = Field(None, max_length=64)


class Simulator:
    """The provider. `clock` gives the present time, `secret` signs its webhooks."""

    capabilities = Capabilities(cancel=True, refund=True, partial_refund=True, polled=False, webhook_proves_status=True)

    def __init__(self, name: str, settings: SimulatorSettings, secret: str, clock: Callable[[], datetime]) -> None:
        self.name = name
        self._settings = settings
        self._secret = secret.encode()
        self._clock = clock
        self._pattern = qris.build(
            merchant_name=settings.merchant_name,
            merchant_city=settings.merchant_city,
            nmid=settings.nmid,
            amount=1,
            reference_label="PATTERN",
        )

    async def create_qr(self, charge: Charge) -> Observation:
        behaviour = charge.metadata.get("simulator", self._settings.behaviour)
        if behaviour == "slow":
            await asyncio.sleep(SLOW_S)
        elif behaviour == "refuse":
            raise ProviderRejected(self.name, "The simulator was told to refuse this payment.", "SIM-REFUSED")
        elif behaviour == "unreachable":
            raise ProviderUnreachable(self.name, "The simulator was told to be unreachable. Nothing was sent.")
        elif behaviour == "lose_answer":
            raise ProviderUncertain(self.name, "The simulator was told to lose its answer.")
        amount = charge.amount + 1 if behaviour == "wrong_qr" else charge.amount
        return self._pending(charge.reference, amount, charge.expires_at, Source.PROVIDER)

    async def fetch_status(self, attempt: Attempt) -> Observation:
        """It keeps no account of its own: the money it knows of is what its webhooks told us."""
        if attempt.amount_paid:
            return Observation(
                source=Source.LOOKUP,
                status=Status.PAID,
                amount=attempt.amount_paid,
                currency="IDR",
                provider_trx_id=trx_id(attempt.reference),
            )
        if attempt.expires_at <= self._clock():
            return Observation(source=Source.LOOKUP, status=Status.EXPIRED, provider_trx_id=trx_id(attempt.reference))
        return self._pending(attempt.reference, attempt.amount, attempt.expires_at, Source.LOOKUP)

    async def cancel_qr(self, attempt: Attempt) -> Observation:
        return Observation(source=Source.PROVIDER, status=Status.CANCELLED, provider_trx_id=trx_id(attempt.reference))

    async def refund(self, attempt: Attempt, order: RefundOrder) -> RefundObservation:
        behaviour = self._settings.refund_behaviour
        if behaviour == "slow":
            await asyncio.sleep(SLOW_S)
        elif behaviour == "refuse":
            detail = "The simulator was told to refuse refunds."
            return RefundObservation(status=RefundStatus.REFUSED, detail=detail)
        elif behaviour == "unreachable":
            raise ProviderUnreachable(self.name, "The simulator was told to be unreachable. Nothing was sent.")
        elif behaviour == "lose_answer":
            raise ProviderUncertain(self.name, "The simulator was told to lose its answer.")
        return self._refunded(order, RefundStatus.PENDING if behaviour == "pending" else RefundStatus.DONE)

    async def fetch_refund(self, attempt: Attempt, order: RefundOrder) -> RefundObservation:
        """Whatever it was asked to give back was given back: it keeps no account of its own."""
        return self._refunded(order, RefundStatus.DONE)

    def _refunded(self, order: RefundOrder, status: RefundStatus) -> RefundObservation:
        return RefundObservation(status=status, amount=order.amount, provider_refund_id=trx_id(order.reference))

    def parse_webhook(self, headers: Mapping[str, str], body: bytes, now: datetime) -> WebhookEvent:
        self._verify(headers, body, now)
        try:
            wire = SimulatorBody.model_validate_json(body)
        except ValidationError as error:
            fields = ", ".join(".".join(map(str, item["loc"])) or "body" for item in error.errors())
            raise WebhookUnreadable(f"The webhook body cannot be read; wrong: {fields}.") from None
        return WebhookEvent(
            event_id=wire.event_id,
            reference=wire.order_id,
            provider_trx_id=wire.provider_trx_id,
            observation=_observed(wire, now),
            proven=True,
            payload=wire.model_dump(exclude_none=True),
        )

    def _pending(self, reference: str, amount: int, expires_at: datetime, source: Source) -> Observation:
        return Observation(
            source=source,
            status=Status.PENDING,
            amount=amount,
            currency="IDR",
            provider_trx_id=trx_id(reference),
            qris_payload=self._payload(reference, amount),
            expires_at=expires_at,
        )

    def _payload(self, reference: str, amount: int) -> str:
        return qris.relabel(self._pattern, amount, reference)

    def _verify(self, headers: Mapping[str, str], body: bytes, now: datetime) -> None:
        timestamp = headers.get("x-timestamp")
        right = sign(self._secret, body, timestamp)
        matches = hmac.compare_digest(headers.get("x-signature", "").encode(), right.encode())
        in_time = self._settings.signature_version == 1 if timestamp is None else _is_fresh(timestamp, now)
        if not (matches and in_time):
            raise WebhookUnsigned("The webhook's signature is missing, wrong or out of date.")


def sign(secret: bytes, body: bytes, timestamp: str | None) -> str:
    """The generic webhook's X-Signature in hex, over the body (version 1) or `timestamp + "." + body` (version 2)."""
    signed = body if timestamp is None else timestamp.encode("utf-8", "replace") + b"." + body
    return hmac.new(secret, signed, hashlib.sha256).hexdigest()


def trx_id(reference: str) -> str:
    """The simulator's own id for the charge with our `reference`."""
    return f"SIM-{hashlib.sha256(reference.encode()).hexdigest()[:16].upper()}"


def _is_fresh(timestamp: str, now: datetime) -> bool:
    return bool(_TIMESTAMP.fullmatch(timestamp)) and abs(now.timestamp() - int(timestamp)) <= MAX_SKEW_S


def _observed(wire: SimulatorBody, now: datetime) -> Observation:
    status = _STATUSES.get(wire.status)
    refunded = status is Status.REFUNDED
    return Observation(
        source=Source.WEBHOOK,
        status=status,
        amount=None if refunded else wire.amount,
        amount_refunded=wire.amount if refunded else None,
        currency=wire.currency,
        provider_trx_id=wire.provider_trx_id,
        provider_ref_no=wire.provider_ref_no,
        paid_at=_paid_at(wire.paid_at, now),
        detail=None if status else f"unknown status {wire.status[:32]}",
    )


_STATUSES: Final[dict[str, Status]] = {
    status.value: status
    for status in (Status.PAID, Status.PENDING, Status.FAILED, Status.EXPIRED, Status.CANCELLED, Status.REFUNDED)
}


def _paid_at(text: str | None, now: datetime) -> datetime | None:
    """When the money moved, if the text says so in a way we can believe: never in the future."""
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return min(moment.astimezone(UTC), now) if moment.tzinfo else None


def webhook_body(**fields: Any) -> bytes:
    """The bytes of a generic webhook with these fields, None ones left out."""
    return json.dumps({key: value for key, value in fields.items() if value is not None}).encode()
