"""The MDR: rates by criteria and day, and amounts taken apart."""

from __future__ import annotations

import os
import random
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qrisd.domain import qris
from qrisd.domain.mdr import RATES, WHOLE, Criteria, Mdr, Rate, Rounding, Terms, share

ROUNDINGS: tuple[Rounding, ...] = ("up", "half_up", "down")
# A million of them: MDR_AMOUNTS=1000000 pytest tests/domain/test_mdr.py
AMOUNTS = int(os.environ.get("MDR_AMOUNTS", "50000"))


@pytest.mark.parametrize(
    ("criteria", "day", "amount", "fee"),
    [
        # In force since 1 December 2024: nothing up to and including 500,000, then 0.3 % of the whole amount.
        (Criteria.UMI, "2024-12-01", 500_000, 0),
        (Criteria.UMI, "2024-12-01", 500_001, 1_501),
        (Criteria.UMI, "2024-11-30", 500_000, 1_500),
        (Criteria.UMI, "2026-01-15", 1_000_000, 3_000),
        (Criteria.UMI, "2023-12-01", 100_000, 0),
        (Criteria.UMI, "2023-12-01", 150_000, 450),
        (Criteria.UMI, "2023-12-01", 200_000, 600),
        (Criteria.UMI, "2023-07-01", 100_000, 300),
        (Criteria.UMI, "2023-06-30", 10_000_000, 0),
        (Criteria.UMI, "2020-02-01", 100_000, 700),
        (Criteria.UKE, "2026-01-15", 15_000, 105),
        (Criteria.UME, "2026-01-15", 15_000, 105),
        (Criteria.UBE, "2026-01-15", 15_000, 105),
        (Criteria.URE, "2020-01-01", 15_000, 105),
        (Criteria.EDUCATION, "2026-01-15", 15_000, 90),
        (Criteria.FUEL, "2026-01-15", 15_000, 60),
        (Criteria.BLU, "2021-05-31", 15_000, 105),
        (Criteria.BLU, "2021-06-01", 15_000, 60),
        (Criteria.PSO, "2025-03-14", 15_000, 60),
        (Criteria.PSO, "2025-03-15", 15_000, 0),
        (Criteria.SOCIAL, "2026-01-15", 10_000_000, 0),
        (Criteria.URE, "2019-12-31", 15_000, None),
        (None, "2026-01-15", 15_000, None),
    ],
)
def test_the_fee_of_the_day(criteria: Criteria | None, day: str, amount: int, fee: int | None) -> None:
    assert Mdr().expected_fee(amount, criteria, date.fromisoformat(day)) == fee


def test_every_criteria_has_a_rate_since_the_launch() -> None:
    assert all(Mdr().rate(criteria, date(2020, 1, 1)) for criteria in Criteria)
    assert all(0 <= rate.basis_points <= 70 for rate in RATES)


def test_a_rate_of_the_settings_wins_and_one_for_the_provider_wins_over_it() -> None:
    day = date(2026, 1, 15)
    ours = Rate(since=date(2024, 1, 1), criteria=(Criteria.URE,), basis_points=63)
    theirs = Rate(since=date(2023, 1, 1), criteria=(Criteria.URE,), basis_points=50, provider="xendit")
    mdr = Mdr(own_rates=[theirs, ours])
    assert mdr.expected_fee(10_000, Criteria.URE, day) == 63
    assert mdr.expected_fee(10_000, Criteria.URE, day, "xendit") == 50
    assert mdr.expected_fee(10_000, Criteria.URE, date(2023, 6, 1)) == 70
    assert mdr.expected_fee(10_000, Criteria.UKE, day) == 70


@pytest.mark.parametrize(("rounding", "fee", "vat"), [("up", 106, 12), ("half_up", 105, 12), ("down", 105, 11)])
def test_fee_and_vat_are_rounded_each_for_itself_as_the_provider_does(rounding: Rounding, fee: int, vat: int) -> None:
    mdr = Mdr(terms={"nicepay": Terms(vat_basis_points=1_100, rounding=rounding)})
    parts = mdr.split(15_001, Criteria.URE, date(2026, 1, 15), "nicepay")
    assert parts is not None
    assert (parts.fee, parts.vat, parts.net) == (fee, vat, 15_001 - fee - vat)
    assert mdr.expected_fee(15_001, Criteria.URE, date(2026, 1, 15), "nicepay") == fee + vat


def test_the_parts_of_random_amounts_add_up_to_the_whole() -> None:
    """The rounding is checked against fractions of whole numbers: never more than a rupiah from the exact share."""
    chance, day = random.Random(12), date(2026, 1, 15)
    mdrs = [Mdr(terms={"p": Terms(vat_basis_points=vat, rounding=how)}) for how in ROUNDINGS for vat in (0, 1_100)]
    rates = {criteria: mdrs[0].rate(criteria, day) for criteria in Criteria}
    for _ in range(AMOUNTS):
        amount, criteria, mdr = chance.randint(1, 10_000_000), chance.choice(list(Criteria)), chance.choice(mdrs)
        parts, rate, terms = mdr.split(amount, criteria, day, "p"), rates[criteria], mdr.terms["p"]
        assert parts is not None
        assert rate is not None
        assert parts.net + parts.fee + parts.vat == amount
        assert type(parts.net) is type(parts.fee) is type(parts.vat) is int
        exact = 0 if amount <= rate.free_up_to else amount * rate.basis_points
        assert is_rounded(parts.fee, exact, terms.rounding)
        assert is_rounded(parts.vat, parts.fee * terms.vat_basis_points, terms.rounding)


def is_rounded(part: int, exact: int, rounding: Rounding) -> bool:
    """Whether `part` is `exact` / WHOLE, rounded so."""
    off = part * WHOLE - exact
    if rounding == "up":
        return 0 <= off < WHOLE
    return -WHOLE < off <= 0 if rounding == "down" else -WHOLE // 2 < off <= WHOLE // 2


@given(st.integers(0, 10**13), st.integers(0, WHOLE), st.sampled_from(ROUNDINGS))
def test_a_share_is_rounded_as_said(amount: int, basis_points: int, rounding: Rounding) -> None:
    assert is_rounded(share(amount, basis_points, rounding), amount * basis_points, rounding)


def payload(criteria: str) -> str:
    text = qris.build(merchant_name="WARUNG UJI", merchant_city="JAKARTA", nmid=None, amount=1, reference_label="X")
    assert qris.soundness(text).qris is not None
    objects = [(tag, value.replace("0303UMI", f"0303{criteria}")) for tag, value in qris.tlv.parse(text) if tag != "63"]
    return qris.tlv.seal(objects)


@pytest.mark.parametrize("criteria", ["UMI", "UKE", "UME", "UBE", "URE", "PSO", "BLU"])
def test_the_criteria_are_read_from_the_qris(criteria: str) -> None:
    assert Mdr(criteria=Criteria.UKE).criteria_of(payload(criteria)) == Criteria(criteria)


@pytest.mark.parametrize("text", [None, "", "no qris", payload("XYZ")])
def test_what_the_qris_does_not_say_the_settings_do(text: str | None) -> None:
    assert Mdr(criteria=Criteria.UKE).criteria_of(text) is Criteria.UKE
    assert Mdr().criteria_of(text) is None


def test_a_kind_of_business_that_no_qris_says_wins_over_it() -> None:
    assert Mdr(criteria=Criteria.FUEL).criteria_of(payload("URE")) is Criteria.FUEL
