"""Refunds and what may be refunded."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from qrisd.api.shapes.base import Moment, Rupiah, Shape
from qrisd.domain.payment import Status
from qrisd.domain.refund import Method as RefundMethod
from qrisd.domain.refund import Status as RefundStatus


class Refund(Shape):
    """Money to give back, or given back, of one payment."""

    id: str
    payment_id: str
    order_id: str
    amount: int = Field(ge=1, description="Whole rupiah.")
    currency: Literal["IDR"]
    method: RefundMethod = Field(description="`elsewhere`: the provider gave it back without being asked by us.")
    status: RefundStatus = Field(description="Where it stands; see the page about refunds.")
    reason: str
    evidence: str | None = Field(description="What proves a refund by hand.")
    requested_by: str = Field(description="A person's id, `api_key:` and the key's, or `provider:` and its name.")
    requester: str | None = Field(description="Their username, or the key's name.")
    content_hash: str | None = Field(description="SHA-256 of what an approval is for.")
    provider: str | None
    reference: str | None = Field(description="Our name for it at the provider, the same on every try.")
    provider_refund_id: str | None
    provider_ref_no: str | None
    detail: str | None = Field(description="What the provider said last, or why it ended.")
    expires_at: Moment | None = Field(description="When it ends unless somebody approves it.")
    next_try_at: Moment | None = Field(description="When it is sent, or asked about, next.")
    sent_at: Moment | None
    done_at: Moment | None
    created_at: Moment
    updated_at: Moment


class RefundDecision(Shape):
    """What somebody decided about a refund."""

    decision: Literal["approved", "rejected", "cancelled", "expired", "voided", "proposed", "resolved"]
    outcome: Literal["DONE", "FAILED"] | None = Field(description="With `proposed` and `resolved`: how it ended.")
    by: str = Field(description="A person's id, `api_key:` and the key's, `policy` or `clock`.")
    name: str | None
    why: str | None
    at: Moment


class RefundDetails(Refund):
    """Money to give back, with what was decided about it."""

    decisions: list[RefundDecision] = Field(description="Oldest first.")


class Refunds(Shape):
    """The refunds of a payment, oldest first."""

    data: list[Refund]


class RefundPage(Shape):
    """One page of a list, newest first."""

    data: list[Refund]
    next_cursor: str | None = Field(description="Send it as `cursor` for the next page; null on the last.")


class RefundWay(Shape):
    """One way to give money back."""

    method: Literal["provider", "cash", "transfer"]
    possible: bool
    why_not: list[str] = Field(description="Why it is not possible, for people.")
    provider: str | None
    attempt: int | None = Field(description="Which QR brought the money.")
    amount_max: Rupiah
    partial: bool = Field(description="False: exactly `amount_max` or nothing.")
    until: Moment | None = Field(description="When the provider stops giving it back.")
    blackout: str | None = Field(description="When the provider refuses refunds, such as `23:55-06:00 WIB`.")
    sent_from: Moment | None = Field(description="While it refuses: when what is approved now will be sent.")
    issuer: str | None = Field(description="The bank or wallet that was paid from, in the provider's words.")
    remarks: list[str] = Field(description="What else is worth knowing, for people: that the provider may refuse, say.")


class Refundable(Shape):
    """What may be given back of a payment, by whom, until when."""

    payment_id: str
    payment_status: Status
    currency: Literal["IDR"]
    amount_paid: Rupiah
    amount_refunded: Rupiah
    amount_reserved: Rupiah = Field(description="Promised by refunds that have not ended.")
    amount_left: Rupiah
    ways: list[RefundWay]
    approval_above: Rupiah = Field(description="What goes back of this payment up to this needs no approval.")
    may_request: list[str] = Field(description="Roles.")
    may_approve: list[str] = Field(description="Roles; never who asked for it.")
    you_may_request: bool
    you_may_approve: bool
    at: Moment
