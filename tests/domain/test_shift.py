"""A shift's money held against what the providers say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from qrisd.domain.payment import Attempt, Observation, Payment, Source, Status
from qrisd.domain.shift import Held, Kind, match, money_in
from tests.support import payments as sample

NOW = sample.NOW


def attempt(**fields: Any) -> Attempt:
    return sample.attempt(**{"provider": "bank", "status": Status.PAID, "amount_paid": 15_000, **fields})


def payment() -> Payment:
    return sample.payment(provider="bank", status=Status.PAID, amount_paid=15_000, paid_at=NOW)


def said(status: Status | None, **fields: Any) -> Observation:
    return Observation(source=Source.LOOKUP, status=status, **fields)


@pytest.mark.parametrize(
    ("seen", "money"),
    [
        (said(Status.PAID, amount=15_000), 15_000),
        (said(Status.PAID, amount=9_000), 9_000),
        (said(Status.REFUNDED), 15_000),
        (said(Status.PENDING, amount=15_000), 0),
        (said(Status.EXPIRED), 0),
        (said(None, absent=True), 0),
        (said(None), None),
        (said(Status.PAID, amount=15_000, contradiction="currency_mismatch"), None),
    ],
)
def test_what_a_provider_says_is_read_as_money_that_arrived(seen: Observation, money: int | None) -> None:
    assert money_in(seen, attempt()) == money


@pytest.mark.parametrize(
    ("fields", "word", "kind"),
    [
        ({}, 15_000, None),
        ({}, None, Kind.UNASKED),
        ({}, 0, Kind.MISSING),
        ({}, 10_000, Kind.AMOUNT),
        ({"amount_paid": 0, "status": Status.PENDING}, 0, Kind.OPEN),
        ({"amount_paid": 10_000, "status": Status.PENDING}, 10_000, Kind.OPEN),
        ({"amount_paid": 0, "status": Status.EXPIRED}, 0, None),
        ({"amount_paid": 0, "status": Status.EXPIRED}, 15_000, Kind.AMOUNT),
        ({"amount_paid": 0, "status": Status.CREATED}, None, Kind.UNASKED),
    ],
)
def test_every_difference_is_named(fields: dict[str, Any], word: int | None, kind: Kind | None) -> None:
    found = match([Held(payment(), attempt(**fields), word)], NOW)
    assert [one.kind for one in found.differences] == ([kind] if kind else [])


def test_totals_are_by_provider_and_count_what_has_money() -> None:
    held = [
        Held(payment(), attempt(id="1"), 15_000),
        Held(payment(), attempt(id="2", amount_paid=20_000), 0),
        Held(payment(), attempt(id="3", amount_paid=0, status=Status.EXPIRED), 0),
        Held(payment(), attempt(id="4", provider="wallet", amount_paid=7_000), 7_000),
    ]
    found = match(held, NOW)
    totals = [(one.provider, one.count, one.amount, one.confirmed_count, one.confirmed_amount) for one in found.totals]
    assert totals == [("bank", 2, 35_000, 1, 15_000), ("wallet", 1, 7_000, 1, 7_000)]
    assert (found.count, found.amount, found.confirmed_amount) == (3, 42_000, 22_000)


def test_a_provider_nobody_can_ask_is_no_difference_and_says_so() -> None:
    found = match([Held(payment(), attempt(), None, is_mute=True)], NOW)
    assert found.differences == ()
    assert (found.totals[0].amount, found.totals[0].confirmed_amount) == (15_000, None)


def test_a_qr_of_a_provider_nobody_can_ask_is_open_all_the_same() -> None:
    still_open = replace(attempt(), amount_paid=0, status=Status.PENDING)
    assert match([Held(payment(), still_open, None, is_mute=True)], NOW).differences[0].kind is Kind.OPEN
