"""Providers and the health of the service."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from qrisd.api.shapes.base import Shape


class Capabilities(Shape):
    """What a provider can do. Seconds and whole rupiah."""

    settable_expiry: bool = Field(description="Its QRs live as long as you ask, not as long as it likes.")
    min_expires_in: int
    max_expires_in: int
    min_amount: int
    max_amount: int
    cancel: bool = Field(description="It can close a QR before its time.")
    refund: bool
    partial_refund: bool
    refund_window_days: int | None = Field(description="Days after the payment; null where there is no limit.")
    refund_blackout: str | None = Field(description="When refunds are refused, such as `23:55-06:00 WIB`.")
    refund_issuers: list[str] = Field(description="Whose payers it gives money back to; empty where all are alike.")
    whole_refund_after_hours: dict[str, int] = Field(
        description="Issuers that take all of a payment back only so many hours after it, and parts at once."
    )
    lookup: bool = Field(description="It can be asked how a payment stands.")
    retry_codes: list[str] = Field(description="Its own codes after which the same call is simply repeated.")
    confirmed_by_person: bool = Field(description="Only a person's word, or a report line, says that it was paid.")
    unique_amount: bool = Field(description="1 to 999 rupiah are added, so that the amount tells the payment.")
    polled: bool = Field(description="Open QRs are asked about now and then.")
    webhook_proves_status: bool = Field(description="Its webhook is believed; otherwise it is asked first.")


class Provider(Shape):
    """A provider that is configured here."""

    name: str
    type: str
    healthy: bool
    circuit: Literal["closed", "open", "half_open"] = Field(
        description="`closed`: calls go through. `open`: none is sent for a while. `half_open`: one is, to see."
    )
    trouble: str | None = Field(description="Why it is left alone, and what to do; null while `closed`.")
    capabilities: Capabilities


class Providers(Shape):
    """Every provider that is on."""

    data: list[Provider]


class Received(Shape):
    """A webhook that is stored durably."""

    received: Literal[True]
    outcome: str = Field(description="`applied`, `duplicate`, `unknown_order`, `refused` or `checking`.")


class Live(Shape):
    """The process lives."""

    status: Literal["ok"]


class JobHealth(Shape):
    """How often a background job ran and failed."""

    runs: int
    failures: int
    failing: bool


class Readiness(Shape):
    """Whether requests can be served, and if not, why."""

    status: Literal["ready", "not ready"]
    problems: dict[str, str] = Field(description="By part: `database`, `scheduler`, `disk`, `clock`.")
    jobs: dict[str, JobHealth]
    providers: dict[str, Literal["closed", "open", "half_open"]] = Field(description="The circuit of each provider.")
