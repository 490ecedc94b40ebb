"""The tables of the settings."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from qrisd.config.values import (
    A_LIST,
    A_NUMBER,
    LIST_OF_TABLES,
    TABLES,
    CallbackSecret,
    Network,
    OutletZone,
    Printer,
    RateLimit,
    TimeOfDay,
)
from qrisd.domain.mdr import WHOLE, Criteria, Mdr, Rate, Rounding, Terms
from qrisd.domain.receipt import PaperMm
from qrisd.reports.settings import LayoutSettings


class Section(BaseModel):
    """A table of the settings; unknown names in it are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class PaymentSettings(Section):
    """`[payment]`"""

    expires_in: int = Field(900, ge=60, le=604_800, description="Seconds a QR lives when the request does not say.")
    max_amount: int = Field(10_000_000, ge=1, le=10**12, description="Largest amount of one payment, in rupiah.")


class RoutingSettings(Section):
    """`[routing]`"""

    order: Annotated[tuple[str, ...], A_LIST] = Field(
        (), description="Providers to try, first to last; default_provider when empty."
    )


class ReconcileSettings(Section):
    """`[reconcile]`"""

    at: TimeOfDay = Field("02:00", description="Time of day of the nightly run.")
    settles_after_days: int = Field(
        3, ge=0, le=60, description="Days after a payment until it must have been paid out."
    )
    calls_per_second: int = Field(
        25, ge=1, le=1000, description="Questions a second that one provider is asked while a day is reconciled."
    )


class SettlementSettings(Section):
    """`[settlements]`"""

    layouts: Annotated[dict[str, LayoutSettings], TABLES] = Field(
        default_factory=dict, description="Reports that no preset knows, one table each."
    )


class RateSettings(Section):
    """`[[mdr.rates]]`: a rate over Bank Indonesia's."""

    since: date = Field(description="The first day it holds.")
    criteria: Annotated[tuple[Criteria, ...], A_LIST] = Field(
        min_length=1, description="Whom it is for: " + ", ".join(Criteria) + "."
    )
    basis_points: int = Field(ge=0, le=WHOLE, description="Hundredths of a percent of the whole amount.")
    free_up_to: int = Field(0, ge=0, description="Rupiah up to which, itself included, nothing is kept.")
    provider: str | None = Field(None, description="Only for this provider.")


class TermsSettings(Section):
    """`[mdr.providers.NAME]`"""

    vat_basis_points: int = Field(0, ge=0, le=WHOLE, description="VAT on top of the fee, in hundredths of a percent.")
    rounding: Rounding = Field("up", description="What becomes of a fraction of a rupiah: up, half_up or down.")


class MdrSettings(Section):
    """`[mdr]`: the fee that is expected of a payment."""

    criteria: Criteria | None = Field(None, description="What the merchant is, where the QRIS does not say it.")
    rates: Annotated[tuple[RateSettings, ...], LIST_OF_TABLES] = Field(
        (), description="Rates that hold instead of Bank Indonesia's."
    )
    providers: Annotated[dict[str, TermsSettings], TABLES] = Field(
        default_factory=dict, description="What a provider adds to the fee, and how it rounds, by name."
    )

    @property
    def table(self) -> Mdr:
        """The rates in force."""
        return Mdr(
            own_rates=[Rate(**rate.model_dump()) for rate in self.rates],
            terms={name: Terms(**one.model_dump()) for name, one in self.providers.items()},
            criteria=self.criteria,
        )


class RefundSettings(Section):
    """`[refunds]`"""

    approval_above: int = Field(
        0,
        ge=0,
        le=10**12,
        description="Rupiah of one payment that may go back without approval; 0: every refund needs it.",
    )
    approval_expires_in: int = Field(
        86_400, ge=60, le=2_592_000, description="Seconds a refund waits for approval before it ends."
    )


class OutletSettings(Section):
    """`[outlets.NAME]`"""

    timezone: OutletZone = Field(
        description="The outlet's own business day: WIB, WITA, WIT, or the name of a time zone."
    )


class CallbackSettings(Section):
    """`[callbacks]`"""

    secret: CallbackSecret | None = Field(None, description="Signs callbacks, whsec_...; made in data_dir when unset.")
    old_secret: CallbackSecret | None = Field(
        None, description="Signs beside secret while your receivers change over to the new one."
    )
    allow_networks: Annotated[tuple[Network, ...], A_LIST] = Field(
        (), description="Private networks callbacks may go to, such as 192.168.1.0/24; none when empty."
    )
    allow_loopback: bool = Field(False, description="Callbacks to this machine itself, for development; test only.")

    @property
    def secrets(self) -> tuple[str, ...]:
        """The secrets given here, newest first."""
        return tuple(one.get_secret_value() for one in (self.secret, self.old_secret) if one is not None)

    @model_validator(mode="after")
    def _new_before_old(self) -> CallbackSettings:
        if self.old_secret is not None and self.secret is None:
            raise ValueError("old_secret signs beside secret: set callbacks.secret to the new one too")
        return self


class RateLimitSettings(Section):
    """`[rate_limit]`"""

    per_key: RateLimit = Field("6000/minute", description="Requests one API key may make.")
    failed_auth: RateLimit = Field("60/minute", description="Requests with a wrong API key one address may make.")


class PosSettings(Section):
    """`[pos]`: the till; the limits count for each cashier."""

    create_limit: RateLimit = Field("10/minute", description="QRs one cashier may make.")
    check_limit: RateLimit = Field("30/minute", description="Times one cashier may have the provider asked.")
    cancel_limit: RateLimit = Field("5/minute", description="Payments one cashier may cancel.")
    test_connection_limit: RateLimit = Field("3/minute", description="Times one cashier may test the connection.")
    paper_mm: Annotated[PaperMm, A_NUMBER] = Field(
        58, description="Width of the receipt paper in millimetres: 58 or 80."
    )
    printer: Printer | None = Field(
        None, description="The receipt printer in the shop's network, HOST:PORT; only browsers print when unset."
    )
