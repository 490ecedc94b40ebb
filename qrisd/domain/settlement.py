"""What a provider's settlement report says: its lines, each about one payment, refund, fee or correction.

"Settled" is the provider's word for having handed the money over: to the bank, or to the balance there from which the
merchant withdraws. Amounts are whole rupiah and signed as they are for the merchant.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum

from qrisd.domain.ledger import BANK, FEES, Entry, receivable
from qrisd.domain.ledger import Kind as Posting


class Kind(StrEnum):
    """What a line is about."""

    PAYMENT = "payment"
    REFUND = "refund"
    FEE = "fee"  # a fee of its own, of no single payment
    ADJUSTMENT = "adjustment"  # the provider's own correction


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a report.

    `line_id` is the provider's own name for it: with `provider` and `kind` it tells the line from every other, also in
    another file. `amount` is above zero for a payment, below for a refund, 0 for a fee of its own; `fee` is above zero
    where the provider kept something, its `vat` included; `net_amount` = `amount` - `fee`.

    `settlement_date` is the merchant's business day on which it is paid out, the expected one while `is_settled` is
    False. `reference` is ours as the report gives it, `order_id` the merchant's, `batch` the payout, `status` the
    report's own word, `raw` the cells it was read from. `payment_id` and `attempt_id` are None where it matched
    nothing, `id` and `file_id` while it is not stored.
    """

    provider: str
    kind: Kind
    line_id: str
    amount: int
    fee: int
    net_amount: int
    settlement_date: date
    is_settled: bool
    row_number: int
    vat: int = 0
    currency: str = "IDR"
    reference: str | None = None
    provider_trx_id: str | None = None
    provider_ref_no: str | None = None
    order_id: str | None = None
    transacted_at: datetime | None = None
    batch: str | None = None
    status: str | None = None
    raw: Mapping[str, str] = field(default_factory=dict)
    id: int | None = None
    file_id: str | None = None
    payment_id: str | None = None
    attempt_id: str | None = None
    reconciled: bool = False

    @property
    def name(self) -> str:
        """How a person finds it in the report."""
        return self.reference or self.order_id or self.provider_trx_id or self.line_id


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One report. `lines`, `amount`, `fee` and `net_amount` are of the lines it brought or changed; `repeated` said
    what was known already, `skipped` are rows about no money. `imported_by` is as in the audit log."""

    id: str
    provider: str
    name: str
    sha256: str
    layout: str
    lines: int
    repeated: int
    skipped: int
    amount: int
    fee: int
    net_amount: int
    imported_at: datetime
    imported_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """What the lines of one kind of change add up to."""

    lines: int = 0
    amount: int = 0
    fee: int = 0
    net_amount: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What a report came to. `total` is all of its lines, the counts after it what became of them; `planned` are those
    to be paid out on a day to come, for which the same file can be imported again; `skipped` are rows about no money of
    a QRIS, by the reason; `file` is as it is stored, or would be."""

    file: File
    is_dry_run: bool
    total: Sums
    new: int
    changed: int
    planned: int
    unmatched: int
    skipped: Mapping[str, int]
    has_fees: bool


def postings(line: Line, happened_at: datetime) -> tuple[Entry, ...]:
    """What a line posts to the ledger once it is settled: what the provider kept, and what it handed over or took.

    A line that matched nothing posts too, for the money moved: what the provider owes then stands below zero by it
    until somebody has said what it was."""
    if not line.is_settled:
        return ()
    theirs = receivable(line.provider)
    fee = (Posting.FEE, FEES, theirs) if line.fee > 0 else (Posting.FEE_BACK, theirs, FEES)
    net = (Posting.SETTLED, BANK, theirs) if line.net_amount > 0 else (Posting.SETTLED_BACK, theirs, BANK)
    return tuple(
        Entry(
            kind=kind,
            debit=debit,
            credit=credit,
            amount=abs(amount),
            payment_id=line.payment_id,
            settlement_id=line.id,
            happened_at=happened_at,
        )
        for (kind, debit, credit), amount in ((fee, line.fee), (net, line.net_amount))
        if amount
    )
