"""What a provider pays out on one day, explained to the last rupiah by what we know of it.

Every line's net amount is taken apart: what it pays for, what was kept, what went back, and whatever else there is goes
to a named class. The parts add up to the payout by construction, so nothing can be left over without a name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Final

from qrisd.domain.reconciliation import Charged, Class, Difference, Reason
from qrisd.domain.settlement import Kind, Line


class Part(StrEnum):
    """What a part of a payout is. From `amount` on they are differences."""

    PAYMENTS = "payments"  # what we know was paid
    REFUNDS = "refunds"  # what we know was given back
    FEES = "fees"  # kept by the provider
    ADJUSTMENTS = "adjustments"  # the provider's own corrections
    AMOUNT = "amount"  # the report's amount above or below ours
    MISSING_HERE = "missing_here"  # paid out for payments that are not paid here
    DUPLICATE = "duplicate"  # paid out a second time
    REFUNDED_THERE = "refunded_there"  # given back without us
    ORPHAN = "orphan"  # for no payment of ours


EXPECTED: Final = frozenset({Part.PAYMENTS, Part.REFUNDS, Part.FEES, Part.ADJUSTMENTS})


@dataclass(frozen=True, slots=True, kw_only=True)
class Payout:
    """One payout: `lines` of a report, their `net`, the parts it is made of, and what arrived at the bank, once a
    person has said so."""

    provider: str
    day: date
    lines: int
    net: int
    parts: Mapping[Part, int]
    bank: int | None = None

    @property
    def residual(self) -> int:
        """What no part explains."""
        return self.net - sum(self.parts.values())

    @property
    def bank_difference(self) -> int | None:
        """Above zero when more arrived than the report says."""
        return None if self.bank is None else self.bank - self.net

    @property
    def is_explained(self) -> bool:
        """True when it is made of nothing but payments, refunds, fees and corrections, and arrived like that."""
        odd = any(amount for part, amount in self.parts.items() if part not in EXPECTED)
        return not odd and self.residual == 0 and self.bank_difference in (None, 0)


class PayoutSums:
    """Adds up one payout, line by line."""

    def __init__(self, provider: str, day: date) -> None:
        self._provider = provider
        self._day = day
        self._lines = self._net = 0
        self._parts = dict.fromkeys(Part, 0)

    def add(self, line: Line, charge: Charged | None) -> None:
        """Take in a line that was paid out, with our attempt that it is about, if there is one."""
        self._lines += 1
        self._net += line.net_amount
        self._parts[Part.FEES] -= line.fee
        for part, amount in _parts_of(line, charge):
            self._parts[part] += amount

    def total(self, bank: int | None) -> Payout:
        """The payout; parts of nothing are left out."""
        parts = {part: amount for part, amount in self._parts.items() if amount}
        return Payout(provider=self._provider, day=self._day, lines=self._lines, net=self._net, parts=parts, bank=bank)


def _parts_of(line: Line, charge: Charged | None) -> list[tuple[Part, int]]:
    """What the line's amount, before its fee, is made of."""
    if line.kind in (Kind.FEE, Kind.ADJUSTMENT):
        return [(Part.ADJUSTMENTS, line.amount)]
    if charge is None:
        return [(Part.ORPHAN, line.amount)]
    if line.kind is Kind.REFUND:
        return _parts_of_refund(line, charge)
    if charge.sales and line.id != charge.sales[0].id:
        return [(Part.DUPLICATE, line.amount)]
    if not charge.amount_paid:
        return [(Part.MISSING_HERE, line.amount)]
    return [(Part.PAYMENTS, charge.amount_paid), (Part.AMOUNT, line.amount - charge.amount_paid)]


def _parts_of_refund(line: Line, charge: Charged) -> list[tuple[Part, int]]:
    """Ours first: what the lines before this one have not used up of what we know was given back."""
    known = charge.amount_refunded + charge.refunds_open
    for before in charge.lines:
        if before.kind is Kind.REFUND and (before.id or 0) < (line.id or 0):
            known -= -before.amount
    ours = min(max(known, 0), -line.amount)
    return [(Part.REFUNDS, -ours), (Part.REFUNDED_THERE, line.amount + ours)]


def bank_differs(payout: Payout) -> Difference | None:
    """The difference between what the report pays out and what a person saw at the bank."""
    if not payout.bank_difference:
        return None
    return Difference(
        kind=Class.AMOUNT,
        reason=Reason.OTHER_AMOUNT_AT_BANK,
        provider=payout.provider,
        subject=f"payout {payout.day}",
        amount_here=payout.net,
        amount_there=payout.bank,
    )
