"""Payments and their timelines."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from qrisd.api.shapes.base import Address, Moment, Rupiah, Shape
from qrisd.domain.payment import Oddity, Status
from qrisd.schemas import Customer


class Payment(Shape):
    """What you want paid, and how it stands."""

    id: str = Field(description="Ours, a UUID; use it in every further call.")
    order_id: str = Field(description="Yours.")
    amount: Rupiah = Field(description="Whole rupiah asked for.")
    amount_due: Rupiah = Field(
        description="What the present QR asks for: `amount`, or a few rupiah more where the amount tells the payment."
    )
    currency: Literal["IDR"]
    status: Status = Field(description="Where it stands; see the table of statuses above.")
    exception: Oddity | None = Field(description="What is odd about it, so that a person has to look; usually null.")
    amount_paid: Rupiah = Field(description="Whole rupiah received.")
    amount_refunded: Rupiah = Field(description="Whole rupiah given back.")
    provider: str = Field(description="The provider of the present QR.")
    provider_trx_id: str | None = Field(description="The provider's id for the present QR.")
    provider_ref_no: str | None = Field(description="The reference (RRN) on the payer's receipt, once paid.")
    qris_payload: str | None = Field(description="The text in the QR; null while there is none.")
    qr_svg_url: Address | None
    qr_png_url: Address | None
    checkout_url: Address = Field(description="A page for the payer.")
    expires_at: Moment
    paid_at: Moment | None
    attempt: int = Field(ge=1, description="How many QRs it has had.")
    outlet: str
    description: str | None
    customer: Customer | None
    callback_url: str | None
    metadata: dict[str, Any] = Field(description="Yours, as you sent it.")
    signature_version: Literal[1, 2]
    created_at: Moment
    updated_at: Moment


class PaymentPage(Shape):
    """One page of a list, newest first."""

    data: list[Payment]
    next_cursor: str | None = Field(description="Send it as `cursor` for the next page; null on the last.")


class TimelineRow(Shape):
    """One thing that happened to a payment."""

    id: int
    event: str = Field(description="`CREATED`, `QR_READY`, `WEBHOOK_SUCCESS`, `RETRY`, `EXPIRE`, `ERROR` and others.")
    payload: dict[str, Any] = Field(
        description="What it is about. `by`, where there is one, is who had it done: a person's id, or `api_key:` and "
        "a key's."
    )
    created_at: Moment


class Timeline(Shape):
    """What happened to a payment, oldest first, at most 1000 rows."""

    data: list[TimelineRow]
