"""Settlement reports, their lines, and what was kept above the MDR."""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import Field

from qrisd.api.shapes.base import Moment, Shape
from qrisd.domain.mdr import Criteria


class Settlement(Shape):
    """A line of a provider's settlement report."""

    id: int = Field(ge=1)
    provider: str
    kind: Literal["payment", "refund", "fee", "adjustment"]
    line_id: str = Field(description="The provider's own id of the line.")
    provider_trx_id: str | None
    payment_id: str | None = Field(description="Null when it is about no payment here.")
    amount: int = Field(description="Whole rupiah: above zero for a payment, below for a refund.")
    fee: int = Field(description="Whole rupiah the provider kept, VAT included; below zero when it gave some back.")
    vat: int = Field(description="How much of the fee is VAT, as far as the report says it.")
    net_amount: int = Field(description="`amount` less `fee`.")
    currency: str
    settlement_date: date = Field(description="The business day it is paid out on, or expected to be.")
    is_settled: bool = Field(description="False while it is expected only.")
    status: str | None = Field(description="The report's own word.")
    reference: str | None = Field(description="Our own reference, as the report has it.")
    order_id: str | None
    provider_ref_no: str | None
    transacted_at: Moment | None
    batch: str | None = Field(description="The payout it is part of.")
    file_id: str = Field(description="The report, as `GET /settlements/files` names it.")
    row_number: int = Field(ge=1, description="The row in that file, as a spreadsheet counts.")
    raw: dict[str, str] = Field(description="The cells it was read from.")
    reconciled: bool


class SettlementPage(Shape):
    """One page of a list, newest first."""

    data: list[Settlement]
    next_cursor: str | None = Field(description="Send it as `cursor` for the next page; null on the last.")


class SettlementFile(Shape):
    """An imported settlement report. Counts and sums are of the lines it brought or changed."""

    id: str
    provider: str
    name: str
    sha256: str = Field(
        description="Of the file; `unfinished` and the id while not all of it is here, or some of it is planned only."
    )
    layout: str = Field(description="How it was read.")
    lines: int = Field(ge=0)
    repeated: int = Field(ge=0, description="Lines that said what was known already.")
    skipped: int = Field(ge=0, description="Rows about no money of a QRIS.")
    amount: int
    fee: int
    net_amount: int
    imported_at: Moment
    imported_by: str = Field(description="Who, as in the audit log.")


class SettlementFilePage(Shape):
    """One page of a list, newest first."""

    data: list[SettlementFile]
    next_cursor: str | None = Field(description="Send it as `cursor` for the next page; null on the last.")


class Import(Shape):
    """What the import of a settlement report came to. Sums are of all its lines."""

    file_id: str | None = Field(description="Null after a dry run.")
    dry_run: bool
    provider: str
    name: str
    layout: str = Field(description="How it was read.")
    lines: int = Field(ge=0)
    amount: int
    fee: int
    net_amount: int
    new: int = Field(ge=0)
    changed: int = Field(ge=0, description="Lines that were known, and stand otherwise now.")
    repeated: int = Field(ge=0, description="Lines that said what was known already.")
    planned: int = Field(
        ge=0, description="Lines to be paid out on a day to come. Import the same file again from that day on."
    )
    unmatched: int = Field(ge=0, description="Payments and refunds that are none of ours.")
    skipped: dict[str, int] = Field(description="Rows about no money of a QRIS: how many, by what says so.")
    has_fees: bool = Field(description="False when no column says what was kept: the lines count as paid out in full.")


class Overcharge(Shape):
    """A payment of which the provider kept more than the MDR allows."""

    settlement_id: int = Field(ge=1)
    provider: str
    provider_trx_id: str | None
    payment_id: str | None
    amount: int
    criteria: Criteria = Field(description="What the merchant is.")
    fee: int = Field(description="Whole rupiah the provider kept, VAT included.")
    expected_fee: int = Field(ge=0)
    over: int = Field(ge=1, description="`fee` less `expected_fee`.")
    settlement_date: date
    file_id: str
    row_number: int = Field(ge=1)


class OverchargePage(Shape):
    """One page of a list, newest first. It may be short, or empty, before the last one."""

    data: list[Overcharge]
    next_cursor: str | None = Field(description="Send it as `cursor` for the next page; null on the last.")
