"""The MDR: what a provider may keep of a payment, by the merchant's criteria and the day.

Bank Indonesia sets the rates. What a provider adds as VAT and how it rounds is not settled there and said by the
merchant. All of it is whole numbers: a rate is in basis points, hundredths of a percent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Final, Literal
from zoneinfo import ZoneInfo

from qrisd.domain import business_day, qris
from qrisd.domain.settlement import Line


class Criteria(StrEnum):
    """What the merchant is. The first seven are written in a QRIS, the last three are not."""

    UMI = "UMI"  # micro
    UKE = "UKE"  # small
    UME = "UME"  # medium
    UBE = "UBE"  # large
    URE = "URE"  # regular
    PSO = "PSO"  # public service obligation
    BLU = "BLU"  # public service agency
    EDUCATION = "education"
    FUEL = "fuel"  # filling stations
    SOCIAL = "social"  # social aid, taxes and other dues to the state, donations, worship


Rounding = Literal["up", "half_up", "down"]
WHOLE: Final = 10_000
# Kinds of business, which no QRIS says: where the settings name one, it is what counts.
_NOT_IN_A_QRIS: Final = frozenset({Criteria.EDUCATION, Criteria.FUEL, Criteria.SOCIAL})
_REGULAR: Final = (Criteria.UKE, Criteria.UME, Criteria.UBE, Criteria.URE)
_PUBLIC: Final = (Criteria.PSO, Criteria.BLU)


def rate_day(line: Line, paid_at: datetime | None, zone: ZoneInfo) -> date:
    """The business day whose rate a line of a report is judged by: that of the money in its outlet's `zone`, by when it
    was paid here, else by what the line says; else that of the payout."""
    at = paid_at or line.transacted_at
    return line.settlement_date if at is None else business_day.of(at, zone)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """From `since` on these criteria pay `basis_points` of the whole amount, and nothing up to and including
    `free_up_to` rupiah. `provider` None is every provider."""

    since: date
    criteria: tuple[Criteria, ...]
    basis_points: int
    free_up_to: int = 0
    provider: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a provider adds and how it rounds: `vat_basis_points` of the fee on top of it; fee and VAT are rounded each
    for itself."""

    vat_basis_points: int = 0
    rounding: Rounding = "up"


@dataclass(frozen=True, slots=True)
class Split:
    """The parts of an amount: what the merchant gets, what the provider keeps, and the VAT on that. They add up to the
    whole; where rounding takes a fraction, the merchant's part bears it."""

    net: int
    fee: int
    vat: int


# QRIS specification, section on the MDR. Where only a span is known for a change, the later day is taken: what is
# expected is then rather too much than too little, and nobody is accused of an overcharge.
RATES: Final = (
    Rate(since=date(2020, 1, 1), criteria=(Criteria.UMI, *_REGULAR, *_PUBLIC), basis_points=70),
    Rate(since=date(2020, 1, 1), criteria=(Criteria.EDUCATION,), basis_points=60),
    Rate(since=date(2020, 1, 1), criteria=(Criteria.FUEL,), basis_points=40),
    Rate(since=date(2020, 1, 1), criteria=(Criteria.SOCIAL,), basis_points=0),
    Rate(since=date(2020, 4, 1), criteria=(Criteria.UMI,), basis_points=0),
    Rate(since=date(2021, 6, 1), criteria=_PUBLIC, basis_points=40),
    Rate(since=date(2023, 7, 1), criteria=(Criteria.UMI,), basis_points=30),
    Rate(since=date(2023, 12, 1), criteria=(Criteria.UMI,), basis_points=30, free_up_to=100_000),
    Rate(since=date(2024, 12, 1), criteria=(Criteria.UMI,), basis_points=30, free_up_to=500_000),
    Rate(since=date(2025, 3, 15), criteria=_PUBLIC, basis_points=0),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mdr:
    """The rates, Bank Indonesia's with the merchant's own over them; the providers' terms; and the merchant's criteria
    where no QRIS says it."""

    own_rates: Sequence[Rate] = ()
    terms: Mapping[str, Terms] = field(default_factory=dict)
    criteria: Criteria | None = None

    def rate(self, criteria: Criteria | None, on: date, provider: str | None = None) -> Rate | None:
        """The rate that holds on a day; None where none is known. One of the settings wins over the table's, one for
        this provider over one for all."""
        holding = [
            (rate.provider is not None, is_own, rate.since, number, rate)
            for is_own, rates in ((False, RATES), (True, self.own_rates))
            for number, rate in enumerate(rates)
            if criteria in rate.criteria and rate.since <= on and rate.provider in (None, provider)
        ]
        return max(holding)[-1] if holding else None

    def expected_fee(self, amount: int, criteria: Criteria | None, on: date, provider: str | None = None) -> int | None:
        """What may be kept of `amount` rupiah, VAT included; None where nothing can be said."""
        parts = self.split(amount, criteria, on, provider)
        return None if parts is None else parts.fee + parts.vat

    def split(self, amount: int, criteria: Criteria | None, on: date, provider: str | None = None) -> Split | None:
        """What becomes of `amount` rupiah, above zero; None where nothing can be said."""
        rate = self.rate(criteria, on, provider)
        if rate is None:
            return None
        terms = self.terms.get(provider or "", Terms())
        fee = 0 if amount <= rate.free_up_to else share(amount, rate.basis_points, terms.rounding)
        vat = share(fee, terms.vat_basis_points, terms.rounding)
        return Split(net=amount - fee - vat, fee=fee, vat=vat)

    def criteria_of(self, qris_payload: str | None) -> Criteria | None:
        """The merchant's criteria: what the settings say where a QRIS cannot, else what the QRIS says, else the
        settings."""
        if self.criteria in _NOT_IN_A_QRIS:
            return self.criteria
        return _written(qris_payload) or self.criteria


def share(amount: int, basis_points: int, rounding: Rounding) -> int:
    """This part of `amount`, rounded to whole rupiah; for no amount or rate below zero."""
    extra = {"up": WHOLE - 1, "half_up": WHOLE // 2, "down": 0}[rounding]
    return (amount * basis_points + extra) // WHOLE


def _written(payload: str | None) -> Criteria | None:
    """What a QRIS says of its merchant; 26 to 45 before 51."""
    read = qris.soundness(payload or "").qris
    if read is None:
        return None
    said = [account.criteria for account in read.accounts] + [read.national.criteria if read.national else None]
    return next((Criteria(word) for word in said if word is not None and word in Criteria.__members__), None)
