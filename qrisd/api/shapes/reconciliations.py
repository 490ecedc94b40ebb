"""Reconciled days, their exceptions and payouts."""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import Field

from qrisd.api.shapes.base import Moment, Shape
from qrisd.domain.reconciliation import Class, Reason


class ReconciliationException(Shape):
    """A difference that reconciling a day found."""

    id: str
    date: date
    class_: Class = Field(alias="class", description="What kind of difference it is.")
    reason: Reason = Field(description="Which of the ways the class can come about.")
    status: Literal["open", "resolved", "healed", "gone"] = Field(
        description="`healed`: the payment was advanced; `gone`: it no longer holds."
    )
    provider: str
    payment_id: str | None
    order_id: str | None
    provider_trx_id: str | None
    amount_here: int | None = Field(description="Whole rupiah by what is stored here.")
    amount_there: int | None = Field(description="Whole rupiah by what the provider, its report or the bank says.")
    difference: int | None = Field(description="`amount_there` less `amount_here`.")
    detail: str | None
    note: str | None
    owner: str | None = Field(description="Who looks after it.")


class ReconciliationExceptionPage(Shape):
    """One page of a list, by class."""

    data: list[ReconciliationException]
    next_cursor: str | None = Field(description="Send it as `cursor` for the next page; null on the last.")


class DayTotals(Shape):
    """One provider's day. Amounts are whole rupiah."""

    provider: str
    payments: int = Field(description="Made on that day.")
    open: int = Field(description="Of them, neither paid nor closed.")
    paid: int = Field(description="QRs that were paid.")
    paid_amount: int
    confirmed: int = Field(description="Of the paid ones, those the provider itself calls paid.")
    refunded_amount: int
    settled: int = Field(description="Paid out, by the reports.")
    settled_amount: int = Field(description="Of them, before fees.")
    fees: int
    settled_net_amount: int = Field(description="Of them, after fees: what the bank gets.")
    waiting: int = Field(description="Paid, and not paid out yet.")
    waiting_amount: int
    has_reports: bool = Field(description="Whether a settlement report of this provider was ever imported.")


class DayPayout(Shape):
    """What a provider paid out on that day, taken apart. `parts` add up to `net_amount` but for `residual`."""

    provider: str
    date: date
    lines: int
    net_amount: int
    parts: dict[str, int]
    residual: int
    bank_amount: int | None = Field(description="What somebody saw arrive at the bank.")
    bank_difference: int | None
    is_explained: bool = Field(description="True when there is nothing in it but payments, refunds and fees.")


class ReconciliationProgress(Shape):
    """How far a run is."""

    stage: Literal["waiting", "asking", "comparing"]
    done: int
    total: int


class Reconciliation(Shape):
    """A reconciled business day, or one that is being reconciled."""

    date: date
    provider: str | None = Field(description="The only provider it was asked for; null for all.")
    timezone: str
    status: Literal["running", "done"]
    progress: ReconciliationProgress | None = Field(description="While it is running.")
    is_clean: bool | None = Field(description="True when nothing waits for a person; null while it is running.")
    unasked: int = Field(description="QRs the provider gave no answer about.")
    open: int = Field(description="Exceptions that wait for a person.")
    totals: list[DayTotals]
    classes: dict[str, dict[str, int]] = Field(description="How many of each class stand how.")
    payouts: list[DayPayout]
    exceptions: list[ReconciliationException]


class ReconciledDay(Shape):
    """A reconciled day in a list."""

    date: date
    status: Literal["running", "done"]
    origin: Literal["nightly", "person"]
    asked: int
    unasked: int
    open: int = Field(description="Exceptions that wait for a person.")
    began_at: Moment
    finished_at: Moment | None


class ReconciledDayPage(Shape):
    """One page of a list, newest day first."""

    data: list[ReconciledDay]
    next_cursor: str | None = Field(description="Send it as `cursor` for the next page; null on the last.")


class EnteredPayout(Shape):
    """What somebody saw arrive at the bank."""

    provider: str
    date: date
    amount: int
