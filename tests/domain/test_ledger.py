"""What money that arrives, or goes back, posts."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from qrisd.domain.ledger import Entry, grows_by_debit, of_arrival, of_return
from qrisd.domain.payment import Observation, Source, Status, apply
from tests.domain.test_payment import AMOUNT, NOW, attempt, payment


def posted(*amounts: int) -> list[tuple[str, str, str, int]]:
    """What an open payment's attempt posts when it is seen with these amounts paid, one after the other."""
    present, tried = payment(), attempt()
    entries: list[Entry] = []
    for amount in amounts:
        seen = Observation(source=Source.WEBHOOK, status=Status.PAID, amount=amount, currency="IDR")
        change = apply(present, tried, seen, NOW)
        assert change is not None
        entries += of_arrival(present, tried, change.payment, change.attempt, NOW)
        present, tried = change.payment, change.attempt
    return [(entry.kind.value, entry.debit, entry.credit, entry.amount) for entry in entries]


def test_a_payment_posts_its_sale_once() -> None:
    assert posted(AMOUNT) == [("paid", "receivable:simulator", "sales", AMOUNT)]


def test_money_above_what_was_asked_is_no_sale() -> None:
    assert posted(AMOUNT + 500) == [
        ("paid", "receivable:simulator", "sales", AMOUNT),
        ("overpaid", "receivable:simulator", "overpaid", 500),
    ]


def test_money_that_comes_short_is_applied_when_the_rest_comes() -> None:
    assert posted(10_000, AMOUNT) == [
        ("underpaid", "receivable:simulator", "unapplied", 10_000),
        ("paid", "receivable:simulator", "sales", 5_000),
        ("applied", "unapplied", "sales", 10_000),
    ]


def test_a_second_attempt_that_is_paid_is_overpaid() -> None:
    paid = payment(Status.PAID)
    second = attempt(number=2, provider="other", provider_trx_id="T-2")
    seen = Observation(source=Source.WEBHOOK, status=Status.PAID, amount=AMOUNT, currency="IDR")
    change = apply(paid, second, seen, NOW)
    assert change is not None
    entries = of_arrival(paid, second, change.payment, change.attempt, NOW)
    assert [(entry.kind.value, entry.debit, entry.amount) for entry in entries] == [
        ("overpaid", "receivable:other", AMOUNT)
    ]


def test_money_that_came_short_of_one_qr_is_overpaid_when_another_is_paid() -> None:
    short = payment(amount_paid=5_000)
    second = attempt(number=1)
    seen = Observation(source=Source.WEBHOOK, status=Status.PAID, amount=AMOUNT, currency="IDR")
    change = apply(short, second, seen, NOW)
    assert change is not None
    entries = of_arrival(short, second, change.payment, change.attempt, NOW)
    assert [(entry.kind.value, entry.debit, entry.amount) for entry in entries] == [
        ("paid", "receivable:simulator", AMOUNT),
        ("overpaid", "unapplied", 5_000),
    ]


def test_what_is_given_back_takes_nothing_from_what_is_still_to_be_applied() -> None:
    tried = attempt(amount_paid=AMOUNT)
    back = replace(tried, amount_refunded=4_000)
    (of_paid,) = of_return(tried, payment(Status.PARTIALLY_REFUNDED), back, NOW)
    (of_short,) = of_return(tried, payment(Status.EXPIRED), back, NOW)
    assert (of_paid.debit, of_short.debit, of_paid.credit) == ("refunds", "refunds", "receivable:simulator")
    assert of_paid.amount == of_short.amount == 4_000


def test_a_sale_happened_when_it_was_paid() -> None:
    paid_at = NOW - timedelta(minutes=5)
    seen = Observation(source=Source.LOOKUP, status=Status.PAID, amount=AMOUNT, currency="IDR", paid_at=paid_at)
    change = apply(payment(), attempt(), seen, NOW)
    assert change is not None
    (entry,) = of_arrival(payment(), attempt(), change.payment, change.attempt, NOW)
    assert entry.happened_at == paid_at


@pytest.mark.parametrize(("account", "by_debit"), [("receivable:x", True), ("bank", True), ("sales", False)])
def test_each_account_has_a_side(account: str, by_debit: bool) -> None:
    assert grows_by_debit(account) is by_debit
