"""What every payment provider is to the rest of qrisd: three verbs, what it can do, and what it may also be able to do.

Adapters keep no state. They translate the provider's words into `Observation`s and its failures into the three kinds of
`domain.errors`: `ProviderRejected` (it said no), `ProviderUnreachable` (nothing was sent) and `ProviderUncertain`
(we do not know). A status they do not know is `Observation(status=None)`: never a guess.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field

from qrisd.domain.payment import Attempt, Observation


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """One QR we ask a provider for. `reference` is ours: 20 characters of 0-9A-Z, never used twice."""

    reference: str
    amount: int
    expires_in: int
    expires_at: datetime
    description: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundOrder:
    """Money to give back for one attempt. `reference` is ours, as `Charge.reference` is, and the same whenever this
    refund is asked for again; `amount` and `refunded_before` (what was given back earlier) are whole rupiah."""

    reference: str
    amount: int
    refunded_before: int = 0
    reason: str = "requested by the customer"


class RefundStatus(StrEnum):
    """How one refund stands at the provider."""

    PENDING = "PENDING"  # accepted there, the money is on its way
    DONE = "DONE"
    REFUSED = "REFUSED"  # nothing was given back and nothing will be
    LATER = "LATER"  # nothing was given back for want of balance there; the same refund may be asked for again


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundObservation:
    """What a provider says of one refund. `absent` means it has no such refund; `status` None that it names a state we
    do not know. `amount` is what it gives back, whole rupiah."""

    status: RefundStatus | None = None
    absent: bool = False
    amount: int | None = None
    provider_refund_id: str | None = None
    provider_ref_no: str | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a provider can do, as data. Durations are seconds, amounts whole rupiah."""

    # False when the QR lives as long as the provider likes, whatever we ask.
    settable_expiry: bool = True
    min_expires_in: int = 60
    max_expires_in: int = 604_800
    min_amount: int = 1
    max_amount: int = 10_000_000
    cancel: bool = False
    refund: bool = False
    partial_refund: bool = False
    refund_window_days: int | None = None
    # When refunds are refused, such as "23:55-06:00 WIB".
    refund_blackout: str | None = None
    # Whose payers money goes back to, as `domain.issuer` names them; empty when the provider makes no difference.
    refund_issuers: tuple[str, ...] = ()
    # Issuers that take all of a payment back only so many hours after it, and parts at once.
    whole_refund_after_hours: Mapping[str, int] = field(default_factory=dict)
    lookup: bool = True
    # The provider's own codes after which the same call may simply be repeated.
    retry_codes: tuple[str, ...] = ()
    # False when the provider tells us of a payment only by looking: then open QRs are not polled.
    polled: bool = True
    # True when nobody but a person, or a report line, can say that the money came.
    confirmed_by_person: bool = False
    # True when 1 to 999 rupiah are added so that no two open QRs ask for the same amount.
    unique_amount: bool = False
    # True when the webhook's proof covers the status; otherwise it is a hint and the provider is asked.
    webhook_proves_status: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookEvent:
    """A verified webhook. Either `reference` (ours, or for the generic webhook the merchant's order id) or
    `provider_trx_id` finds the attempt; `proven` says that the proof covers the status in `observation`."""

    event_id: str
    reference: str | None
    provider_trx_id: str | None
    observation: Observation
    proven: bool
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class WebhookAnswer:
    """What a provider's request to us is answered, in the provider's own words."""

    status: int
    body: Mapping[str, Any]
    headers: Mapping[str, str]


class ProviderSettings(BaseModel):
    """What every `[providers.NAME]` table may hold; each adapter adds its own credentials."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    type: str | None = Field(None, description="Which adapter this is; the table's name when left out.")
    environment: Literal["sandbox", "production"] = Field("sandbox", description="Picks the provider's own address.")
    base_url: str | None = Field(None, description="Another address for the provider's API, without a final slash.")
    timeout: float = Field(10.0, gt=0, le=60, description="Seconds one call to the provider may take in all.")
    nmid: str | None = Field(None, description="The NMID every QR must carry; a QR for another merchant is refused.")
    settles_after_days: int | None = Field(
        None, ge=0, le=60, description="Days after a payment until it pays out; as under reconcile when left out."
    )

    @property
    def configured(self) -> bool:
        """True when the credentials are there, so that the provider is on."""
        return True


class Provider(Protocol):
    """The three verbs. Nothing else of a provider is known above this file."""

    @property
    def name(self) -> str: ...

    @property
    def capabilities(self) -> Capabilities: ...

    async def create_qr(self, charge: Charge) -> Observation:
        """Ask for a QR. Answers PENDING with payload, provider_trx_id, amount, currency and expires_at.

        Raises ProviderRejected, ProviderUnreachable or ProviderUncertain."""
        ...

    async def fetch_status(self, attempt: Attempt) -> Observation:
        """Ask how an attempt stands, by `attempt.reference`. `absent=True` when the provider has no such charge.

        Raises ProviderRejected (credentials, say), ProviderUnreachable or ProviderUncertain: nothing is known then."""
        ...

    def parse_webhook(self, headers: Mapping[str, str], body: bytes, now: datetime) -> WebhookEvent:
        """Verify the raw bytes, then translate. Header names are lower case.

        Raises WebhookUnsigned or WebhookUnreadable."""
        ...


@runtime_checkable
class Cancels(Protocol):
    """A provider that can close a QR before its time."""

    async def cancel_qr(self, attempt: Attempt) -> Observation:
        """Close it. Answers CANCELLED or EXPIRED, or whatever the provider says it is now (PAID, say); absent=True when
        there is no such charge. Raises as `fetch_status` does."""
        ...


@runtime_checkable
class Refunds(Protocol):
    """A provider that can give money back."""

    async def refund(self, attempt: Attempt, order: RefundOrder) -> RefundObservation:
        """Give back. A refusal is an answer (REFUSED or LATER, with `detail`); ProviderUncertain means it may have
        happened and only `fetch_refund` may settle it. Raises as `create_qr` does otherwise."""
        ...

    async def fetch_refund(self, attempt: Attempt, order: RefundOrder) -> RefundObservation:
        """Ask how a refund stands. Raises as `fetch_status` does."""
        ...


@runtime_checkable
class Diagnoses(Protocol):
    """A provider whose account can be checked without charging anybody."""

    async def diagnose(self) -> list[tuple[bool, str]]:
        """(fine, one line saying what is so and what to do) for each thing checked. Raises nothing."""
        ...


@runtime_checkable
class IssuesTokens(Protocol):
    """A provider that fetches a token from us before it notifies us."""

    def issue_token(self, headers: Mapping[str, str], body: bytes, now: datetime) -> WebhookAnswer:
        """Answer its request for a token, with a refusal too. Header names are lower case."""
        ...


@runtime_checkable
class Acknowledges(Protocol):
    """A provider that wants its notifications answered in its own words."""

    def acknowledge(self, outcome: str | None, error: Exception | None, now: datetime) -> WebhookAnswer:
        """What is answered for what became of a notification: its outcome once stored, or the error."""
        ...
