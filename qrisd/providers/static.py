"""The merchant's own static QRIS as a provider: a dynamic QR is made from it here, and nobody tells us of the money.

A payment is paid only on a named person's word or a matched report line. The code itself never expires and can be paid
twice or after we gave up on it; what comes late is counted all the same, once somebody says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from pydantic import Field, field_validator

from qrisd.domain import qris
from qrisd.domain.errors import ProviderRejected, WebhookUnsigned
from qrisd.domain.payment import Attempt, Observation, Source, Status
from qrisd.providers.base import Capabilities, Charge, ProviderSettings, WebhookEvent


class StaticSettings(ProviderSettings):
    """`[providers.static]`"""

    qris: str | None = Field(None, description="The text of your own static QRIS, as `qrisd qr decode` prints it.")
    unique_amount: bool = Field(
        False, description="Add 1 to 999 rupiah so that the amount alone tells which payment was paid."
    )

    @field_validator("qris")
    @classmethod
    def _must_be_convertible(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            qris.make_dynamic(value, 1)
        except qris.QrisError as error:
            raise ValueError(" ".join(qris.explain(code) for code in error.codes)) from None
        return value

    @property
    def configured(self) -> bool:
        return self.qris is not None


class Static:
    """The provider. `clock` gives the present time."""

    def __init__(self, name: str, settings: StaticSettings, clock: Callable[[], datetime]) -> None:
        assert settings.qris is not None, "only a configured provider is made"
        self.name = name
        self.capabilities = Capabilities(
            lookup=False, polled=False, confirmed_by_person=True, unique_amount=settings.unique_amount
        )
        self._static = settings.qris
        self._clock = clock

    async def create_qr(self, charge: Charge) -> Observation:
        try:
            payload, _ = qris.make_dynamic(self._static, charge.amount, max_amount=self.capabilities.max_amount)
        except qris.QrisError as error:
            text = " ".join(qris.explain(code) for code in error.codes)
            raise ProviderRejected(self.name, f"No QR can be made from the static QRIS: {text}") from None
        return Observation(
            source=Source.PROVIDER,
            status=Status.PENDING,
            amount=charge.amount,
            currency="IDR",
            provider_trx_id=f"STATIC-{charge.reference}",
            qris_payload=payload,
            expires_at=charge.expires_at,
        )

    async def fetch_status(self, attempt: Attempt) -> Observation:
        """Nobody can be asked: the QR counts as live until its time is up."""
        over = attempt.expires_at <= self._clock()
        if over or attempt.qris_payload is not None:
            return Observation(source=Source.LOOKUP, status=Status.EXPIRED if over else Status.PENDING)
        return Observation(source=Source.LOOKUP, absent=True)  # the answer was lost before it was stored: never shown

    def parse_webhook(self, headers: Mapping[str, str], body: bytes, now: datetime) -> WebhookEvent:
        raise WebhookUnsigned("A static QRIS has no webhooks.")
