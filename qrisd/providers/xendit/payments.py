"""One payment as Xendit tells of it, in the answers and webhooks of all four generations of its API.

The generations call the same things differently: `external_id` or `reference_id`, `COMPLETED` or `SUCCEEDED`,
`payment_detail` or `payment_details`, flat or inside `data`.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any, Final

from pydantic import AliasChoices, AliasPath, Field, ValidationError, field_validator

from qrisd.domain.errors import WebhookUnreadable, WebhookUnsigned
from qrisd.domain.money import whole_rupiah
from qrisd.domain.payment import Observation, Source, Status
from qrisd.providers.base import WebhookEvent
from qrisd.providers.http import parse_object
from qrisd.providers.personal import without_personal
from qrisd.providers.xendit.account import Transaction, Wire, moment

STATUS: Final = {
    "ACCEPTING_PAYMENTS": Status.PENDING,
    "REQUIRES_ACTION": Status.PENDING,
    "PENDING": Status.PENDING,
    "AWAITING_CAPTURE": Status.PENDING,
    "AUTHORIZED": Status.PENDING,
    "SUCCEEDED": Status.PAID,
    "COMPLETED": Status.PAID,
    "FAILED": Status.FAILED,
    "EXPIRED": Status.EXPIRED,
    "CANCELED": Status.CANCELLED,
    "VOIDED": Status.CANCELLED,
}
_MAX_WEBHOOK_BYTES: Final = 65_536
# Of v3, v2 and QR Codes. A success told by any other event is not one we know.
_PAID_EVENTS: Final = frozenset({"payment.capture", "payment.succeeded", "qr.payment"})


class _Capture(Wire):
    capture_amount: str
    capture_timestamp: str | None = None


class XenditPayment(Wire):
    """A payment, or what a webhook says of a payment request. `charge_id` is the request's or QR's."""

    charge_id: str | None = Field(
        None, validation_alias=AliasChoices("payment_request_id", "qr_id", AliasPath("qr_code", "id"))
    )
    reference: str | None = Field(
        None, validation_alias=AliasChoices("reference_id", AliasPath("qr_code", "external_id"))
    )
    status: str | None = None
    currency: str | None = None
    asked: str | None = Field(None, validation_alias=AliasChoices("amount", "request_amount"))
    captures: list[_Capture] | None = None
    receipt: str | None = Field(
        None,
        validation_alias=AliasChoices(
            AliasPath("payment_details", "receipt_id"), AliasPath("payment_detail", "receipt_id")
        ),
    )
    issuer_name: str | None = Field(
        None,
        validation_alias=AliasChoices(
            AliasPath("payment_details", "issuer_name"), AliasPath("payment_detail", "issuer_name")
        ),
    )
    source: str | None = Field(
        None,
        validation_alias=AliasChoices(AliasPath("payment_details", "source"), AliasPath("payment_detail", "source")),
    )
    created: str | None = None

    @field_validator("issuer_name", "source", mode="before")
    @classmethod
    def _name_or_nothing(cls, told: Any) -> str | None:
        """Nothing of the money hangs on it."""
        return told if isinstance(told, str) else None

    @property
    def amount(self) -> int | None:
        """Whole rupiah: what was captured, or the amount where no captures are listed. Raises ValueError."""
        if self.captures:
            return sum(whole_rupiah(capture.capture_amount) for capture in self.captures)
        return None if self.asked is None else whole_rupiah(self.asked)

    def observed(self, source: Source, reference: str | None) -> Observation:
        """What this payment says about the attempt with our `reference`. Payments of the oldest generation name no
        currency: that one is rupiah only."""
        amount, contradiction = None, None if self.reference == reference else "reference_mismatch"
        try:
            amount = self.amount
        except ValueError:
            contradiction = contradiction or "amount_format"
        captured_at = self.captures[-1].capture_timestamp if self.captures else None
        return Observation(
            source=source,
            status=STATUS.get(self.status or ""),
            amount=amount,
            currency=self.currency or "IDR",
            provider_trx_id=self.charge_id,
            provider_ref_no=self.receipt or None,
            issuer=self.issuer_name or self.source,
            paid_at=moment(captured_at or self.created),
            contradiction=contradiction,
            detail=f"payment {self.status}"[:60],
        )


def observed_in(row: Transaction) -> Observation:
    """What a line of the list of transactions tells: the money, but not the payer's receipt."""
    try:
        amount, contradiction = whole_rupiah(row.amount or ""), None
    except ValueError:
        amount, contradiction = None, "amount_format"
    return Observation(
        source=Source.LOOKUP,
        status=Status.PAID,
        amount=amount,
        currency=row.currency,
        provider_trx_id=row.payment_request_id,
        paid_at=moment(row.created),
        contradiction=contradiction,
        detail="found in the list of transactions",
    )


def parse_webhook(headers: Mapping[str, str], body: bytes, token: str) -> WebhookEvent:
    """Compare the token, then translate. What it says is a hint: whoever has seen one webhook can write any other.

    Raises WebhookUnsigned (also when `token` is empty) or WebhookUnreadable."""
    given = headers.get("x-callback-token", "")
    if not token or not hmac.compare_digest(given.encode(), token.encode()):
        raise WebhookUnsigned("The webhook's token is missing or wrong.")
    payload = _payload(body)
    facts = _facts(payload)
    event = payload.get("event")
    try:
        seen = XenditPayment.model_validate(facts)
    except ValidationError as error:
        raise WebhookUnreadable("The webhook's members are not of the documented types.") from error
    is_refund = str(event).startswith("refund.")
    return WebhookEvent(
        event_id=_event_id(event, facts),
        # A refund's reference is the refund's own.
        reference=None if is_refund else seen.reference,
        provider_trx_id=seen.charge_id,
        observation=_hint(seen, event),
        proven=False,
        payload=without_personal(payload),
    )


def _hint(seen: XenditPayment, event: Any) -> Observation:
    said = f"{event}: {seen.status}"[:100]
    observed = seen.observed(Source.WEBHOOK, seen.reference)
    if str(event).startswith("refund.") or (observed.status is Status.PAID and event not in _PAID_EVENTS):
        return Observation(source=Source.WEBHOOK, provider_trx_id=seen.charge_id, detail=said)
    return observed


def _payload(body: bytes) -> dict[str, Any]:
    if len(body) > _MAX_WEBHOOK_BYTES:
        raise WebhookUnreadable("The webhook is larger than any Xendit sends.")
    try:
        return parse_object(body)
    except ValueError as error:
        raise WebhookUnreadable("The webhook is not a JSON object.") from error


def _facts(payload: dict[str, Any]) -> dict[str, Any]:
    """What is inside the envelope: refunds have been seen wrapped twice, the oldest generation not at all."""
    while isinstance(payload.get("data"), dict):
        payload = payload["data"]
    return payload


def _event_id(event: Any, facts: Mapping[str, Any]) -> str:
    """A hash of the facts without their envelope, which may name another time when a webhook is sent again. Nobody can
    use up the id of a webhook that is still to come without knowing all of it."""
    text = json.dumps([event, facts], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
