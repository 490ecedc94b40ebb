"""The report of a reconciled day: one value, however it is shown. It says nothing of when or how often it was made."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from datetime import date

from qrisd.domain.payment import OPEN, Status
from qrisd.domain.payout import Payout
from qrisd.domain.reconciliation import Charged, Class, Finding, FindingStatus, Sale


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """One provider's day: counts, and amounts in whole rupiah. `waiting` is money not paid out yet; `confirmed` are
    paid ones that the provider itself calls paid."""

    provider: str
    payments: int = 0
    open: int = 0
    paid: int = 0
    paid_amount: int = 0
    confirmed: int = 0
    refunded_amount: int = 0
    settled: int = 0
    settled_amount: int = 0
    fees: int = 0
    waiting: int = 0
    waiting_amount: int = 0
    has_reports: bool = False

    @property
    def settled_net_amount(self) -> int:
        """What was paid out, after fees."""
        return self.settled_amount - self.fees

    def plus(self, other: Totals) -> Totals:
        """The sum, under this one's name."""
        names = [name for name in self.__slots__ if name not in ("provider", "has_reports")]
        return replace(self, **{name: getattr(self, name) + getattr(other, name) for name in names})


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What a run adds up to. `unasked` are attempts that their provider could not be asked about."""

    totals: tuple[Totals, ...] = ()
    payouts: tuple[Payout, ...] = ()
    unasked: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A reconciled day, of every provider or of one. `findings` are sorted, and hold none that is gone."""

    day: date
    provider: str | None
    timezone: str
    summary: Summary
    findings: tuple[Finding, ...]

    def of(self, *statuses: FindingStatus) -> tuple[Finding, ...]:
        """The findings that stand like this."""
        return tuple(one for one in self.findings if one.status in statuses)

    @property
    def open(self) -> tuple[Finding, ...]:
        """What waits for a person."""
        return self.of(FindingStatus.OPEN)

    @property
    def is_clean(self) -> bool:
        """True when nothing waits for a person and every provider was asked."""
        return not self.open and not self.summary.unasked

    @property
    def by_class(self) -> dict[Class, Counter[FindingStatus]]:
        """How many of each class stand how; classes that did not occur are left out."""
        counts = {kind: Counter(one.status for one in self.findings if one.difference.kind is kind) for kind in Class}
        return {kind: count for kind, count in counts.items() if count}

    @property
    def whole(self) -> Totals:
        """The sum over all providers."""
        total = Totals(provider="")
        for one in self.summary.totals:
            total = total.plus(one)
        return total


def sort_key(finding: Finding) -> tuple[int, str, str, str]:
    """By class, provider, order, subject: the same on every run and in every copy."""
    told = finding.difference
    return (list(Class).index(told.kind), told.provider, told.order_id or told.provider_trx_id or "", told.subject)


class DaySums:
    """Adds up a day, payment by payment: of every provider, or of one."""

    def __init__(self, reporting: frozenset[str], provider: str | None = None) -> None:
        self._reporting = reporting
        self._provider = provider
        self._sums: dict[str, Counter[str]] = {}

    def add(self, sale: Sale) -> None:
        """Take in one payment with its attempts."""
        present = sale.charges[-1]
        if self._provider in (None, present.provider):
            sums = self._sums.setdefault(present.provider, Counter())
            sums["payments"] += 1
            sums["open"] += sale.status in OPEN
        for charge in sale.charges:
            if charge.amount_paid and self._provider in (None, charge.provider):
                self._add_money(charge)

    def _add_money(self, charge: Charged) -> None:
        sums = self._sums.setdefault(charge.provider, Counter())
        sums["paid"] += 1
        sums["paid_amount"] += charge.amount_paid
        sums["refunded_amount"] += charge.amount_refunded
        seen = charge.seen
        sums["confirmed"] += seen is not None and seen.status is not None and seen.status not in _UNPAID
        line = next(iter(charge.sales), None)
        if line is not None and line.is_settled:
            sums["settled"] += 1
            sums["settled_amount"] += line.amount
            sums["fees"] += line.fee
        elif charge.amount_paid > charge.amount_refunded:
            sums["waiting"] += 1
            sums["waiting_amount"] += charge.amount_paid - charge.amount_refunded

    def totals(self) -> tuple[Totals, ...]:
        """Every provider's sums, by name."""
        return tuple(
            Totals(provider=name, has_reports=name in self._reporting, **sums)
            for name, sums in sorted(self._sums.items())
        )


_UNPAID = frozenset({*OPEN, Status.EXPIRED, Status.FAILED, Status.CANCELLED})
