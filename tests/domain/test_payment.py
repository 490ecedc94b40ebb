"""The state machine: one table of moves, one apply()."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import product
from typing import Any

import pytest

from qrisd.domain.payment import MONEY, MOVES, Attempt, Observation, Oddity, Payment, Source, Status, apply
from tests.support import payments as sample

NOW = sample.NOW
AMOUNT = 15_000


def payment(status: Status = Status.PENDING, **facts: Any) -> Payment:
    paid = AMOUNT if status in MONEY else 0
    standard: dict[str, Any] = {
        "amount": AMOUNT,
        "amount_due": AMOUNT,
        "amount_paid": paid,
        "amount_refunded": {Status.REFUNDED: AMOUNT, Status.PARTIALLY_REFUNDED: 5_000}.get(status, 0),
        "provider_trx_id": "T-1",
        "paid_at": NOW if paid else None,
    }
    return sample.payment(status=status, **{**standard, **facts})


def attempt(status: Status = Status.PENDING, number: int = 1, **facts: Any) -> Attempt:
    standard: dict[str, Any] = {
        "id": f"a-{number}",
        "reference": f"REF{number}",
        "amount": AMOUNT,
        "provider_trx_id": f"T-{number}",
        "amount_paid": AMOUNT if status is Status.PAID else 0,
    }
    return sample.attempt(status=status, number=number, **{**standard, **facts})


def seen(status: Status | None, **facts: Any) -> Observation:
    standard: dict[str, Any] = {"source": Source.WEBHOOK, "amount": AMOUNT, "currency": "IDR"}
    if status is Status.REFUNDED:
        standard = {"source": Source.WEBHOOK, "amount_refunded": AMOUNT, "currency": "IDR"}
    if status is Status.PARTIALLY_REFUNDED:
        standard = {"source": Source.WEBHOOK, "amount_refunded": 5_000, "currency": "IDR"}
    return Observation(**{"status": status, **standard, **facts})


def attempt_for(status: Status) -> Attempt:
    given_back = payment(status).amount_refunded
    return attempt(Status.PAID if status in MONEY else status, amount_refunded=given_back)


# (status before, what is observed of its attempt) -> status after; every pair not here leaves the payment alone.
EXPECTED = {
    (Status.CREATED, Status.PENDING): Status.PENDING,
    (Status.CREATED, Status.EXPIRED): Status.EXPIRED,
    (Status.CREATED, Status.FAILED): Status.FAILED,
    (Status.CREATED, Status.CANCELLED): Status.CANCELLED,
    (Status.PENDING, Status.EXPIRED): Status.EXPIRED,
    (Status.PENDING, Status.FAILED): Status.FAILED,
    (Status.PENDING, Status.CANCELLED): Status.CANCELLED,
    (Status.PAID, Status.PARTIALLY_REFUNDED): Status.PARTIALLY_REFUNDED,
    (Status.PAID, Status.REFUNDED): Status.REFUNDED,
    (Status.PARTIALLY_REFUNDED, Status.REFUNDED): Status.REFUNDED,
    **{(before, Status.PAID): Status.PAID for before in Status if before not in MONEY},
    **{(before, Status.REFUNDED): Status.REFUNDED for before in Status if before not in MONEY},
    **{(before, Status.PARTIALLY_REFUNDED): Status.PARTIALLY_REFUNDED for before in Status if before not in MONEY},
}


@pytest.mark.parametrize(("before", "observed"), list(product(Status, Status)))
def test_every_pair_of_the_table(before: Status, observed: Status) -> None:
    change = apply(payment(before), attempt_for(before), seen(observed), NOW)
    after = change.payment.status if change else before
    assert after is EXPECTED.get((before, observed), before)
    assert after is before or after in MOVES[before]


@pytest.mark.parametrize(("before", "observed"), list(product(Status, Status)))
def test_the_same_observation_again_changes_nothing(before: Status, observed: Status) -> None:
    first = apply(payment(before), attempt_for(before), seen(observed), NOW)
    if first is not None:
        assert apply(first.payment, first.attempt, seen(observed), NOW + timedelta(seconds=9)) is None


@pytest.mark.parametrize("status", [Status.PAID, Status.PARTIALLY_REFUNDED, Status.REFUNDED])
def test_money_states_never_go_backwards(status: Status) -> None:
    order = [Status.CREATED, Status.PAID, Status.PARTIALLY_REFUNDED, Status.REFUNDED]
    assert all(order.index(after) > order.index(status) for after in MOVES[status])


@pytest.mark.parametrize(
    ("before", "oddity"),
    [
        (Status.CREATED, None),
        (Status.PENDING, None),
        (Status.EXPIRED, Oddity.LATE),
        (Status.FAILED, Oddity.LATE),
        (Status.CANCELLED, Oddity.AFTER_CANCEL),
    ],
)
def test_money_always_counts_and_says_when_it_was_not_expected(before: Status, oddity: Oddity | None) -> None:
    change = apply(payment(before), attempt_for(before), seen(Status.PAID), NOW)
    assert change is not None
    assert (change.payment.status, change.payment.amount_paid) == (Status.PAID, AMOUNT)
    assert change.payment.exception is oddity
    assert ("payment.exception" in change.events) == (oddity is not None)


@pytest.mark.parametrize(("told", "stored"), [("Bank Permata", "Bank Permata"), ("9360099900000000017", None)])
def test_money_says_who_issued_the_payers_account_and_never_its_number(told: str, stored: str | None) -> None:
    change = apply(payment(), attempt(), seen(Status.PAID, issuer=told), NOW)
    assert change is not None
    assert change.attempt.issuer == stored


def test_less_money_than_asked_stays_unpaid_and_waits_for_a_person() -> None:
    change = apply(payment(), attempt(), seen(Status.PAID, amount=14_999), NOW)
    assert change is not None
    assert (change.payment.status, change.payment.exception) == (Status.PENDING, Oddity.UNDERPAID)
    assert change.payment.amount_paid == 14_999
    assert change.events == ("payment.exception",)


def test_the_rest_of_an_underpaid_amount_completes_it() -> None:
    short = apply(payment(), attempt(), seen(Status.PAID, amount=14_000), NOW)
    assert short is not None
    full = apply(short.payment, short.attempt, seen(Status.PAID), NOW)
    assert full is not None
    assert (full.payment.status, full.payment.amount_paid) == (Status.PAID, AMOUNT)


def test_more_money_than_asked_is_paid_and_flagged() -> None:
    change = apply(payment(), attempt(), seen(Status.PAID, amount=20_000), NOW)
    assert change is not None
    assert (change.payment.status, change.payment.exception) == (Status.PAID, Oddity.OVERPAID)


def test_two_paid_attempts_are_a_duplicate_with_both_amounts() -> None:
    paid = payment(Status.PAID, attempt=2)
    change = apply(paid, attempt(Status.PENDING, number=1), seen(Status.PAID), NOW)
    assert change is not None
    assert (change.payment.exception, change.payment.amount_paid) == (Oddity.DUPLICATE, 2 * AMOUNT)
    assert change.events == ("payment.exception",)


def test_money_on_a_superseded_attempt_finds_its_payment() -> None:
    renewed = payment(Status.PENDING, attempt=2, provider_trx_id="T-2")
    change = apply(renewed, attempt(Status.EXPIRED, number=1), seen(Status.PAID), NOW)
    assert change is not None
    assert (change.payment.status, change.payment.provider_trx_id) == (Status.PAID, "T-1")


@pytest.mark.parametrize("status", [Status.EXPIRED, Status.CANCELLED, Status.FAILED])
def test_the_end_of_a_superseded_attempt_leaves_the_payment_alone(status: Status) -> None:
    change = apply(payment(attempt=2), attempt(number=1), seen(status), NOW)
    assert change is not None
    assert (change.payment.status, change.attempt.status) == (Status.PENDING, status)
    assert change.events == ()


def test_a_renewal_takes_the_payment_back_to_created_with_the_new_attempt() -> None:
    renewal = Observation(source=Source.MERCHANT, status=Status.CREATED)
    change = apply(payment(Status.EXPIRED), attempt(Status.CREATED, number=2, qris_payload=None), renewal, NOW)
    assert change is not None
    assert (change.payment.status, change.payment.attempt) == (Status.CREATED, 2)
    assert change.payment.qris_payload is None


def test_two_paid_attempts_that_are_both_refunded_give_back_both() -> None:
    twice = payment(Status.PAID, attempt=2, amount_paid=2 * AMOUNT, exception=Oddity.DUPLICATE)
    first = apply(twice, attempt(Status.PAID, number=1), seen(Status.REFUNDED), NOW)
    assert first is not None
    assert (first.payment.status, first.payment.amount_refunded) == (Status.PARTIALLY_REFUNDED, AMOUNT)
    second = apply(first.payment, attempt(Status.PAID, number=2), seen(Status.REFUNDED), NOW)
    assert second is not None
    assert (second.payment.status, second.payment.amount_refunded) == (Status.REFUNDED, 2 * AMOUNT)


def test_a_refund_seen_before_its_payment_counts_both() -> None:
    change = apply(payment(), attempt(), seen(Status.REFUNDED), NOW)
    assert change is not None
    assert (change.payment.amount_paid, change.payment.amount_refunded) == (AMOUNT, AMOUNT)
    assert change.events == ("payment.paid", "payment.refunded")
    assert apply(change.payment, change.attempt, seen(Status.PAID), NOW) is None


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"currency": "USD"}, "currency_mismatch"),
        ({"currency": None}, "currency_missing"),
        ({"amount": None}, "amount_missing"),
        ({"amount": 0}, "amount_missing"),
        ({"status": Status.PARTIALLY_REFUNDED, "amount_refunded": None}, "refund_amount_missing"),
        ({"provider_trx_id": "T-9"}, "provider_trx_id_mismatch"),
        ({"contradiction": "merchant_mismatch"}, "merchant_mismatch"),
    ],
)
def test_money_that_contradicts_what_was_asked_is_kept_but_not_believed(wrong: dict[str, Any], problem: str) -> None:
    word = seen(**{"status": Status.PAID, **wrong})
    change = apply(payment(), attempt(), word, NOW)
    assert change is not None
    assert (change.payment, change.attempt.error, change.log) == (payment(), problem, "ERROR")
    assert apply(payment(), change.attempt, word, NOW) is None


def test_a_qr_that_is_not_the_one_asked_for_fails_the_attempt() -> None:
    fresh = attempt(Status.CREATED, qris_payload=None, provider_trx_id=None)
    wrong = Observation(source=Source.PROVIDER, status=Status.PENDING, contradiction="qr_amount_mismatch")
    change = apply(payment(Status.CREATED, qris_payload=None), fresh, wrong, NOW)
    assert change is not None
    assert (change.payment.status, change.payment.qris_payload) == (Status.FAILED, None)
    assert change.log_payload["problem"] == "qr_amount_mismatch"


def test_a_qr_that_cannot_be_shown_is_not_pending() -> None:
    fresh = attempt(Status.CREATED, qris_payload=None, provider_trx_id=None)
    without_qr = Observation(source=Source.LOOKUP, status=Status.PENDING, amount=AMOUNT, provider_trx_id="T-1")
    change = apply(payment(Status.CREATED, qris_payload=None, provider_trx_id=None), fresh, without_qr, NOW)
    assert change is not None
    assert (change.payment.status, change.attempt.status) == (Status.CREATED, Status.CREATED)
    assert change.attempt.provider_trx_id == "T-1"


@pytest.mark.parametrize("ends_in_s", [60, -60])
def test_our_clock_closes_the_payment_but_a_qr_alive_at_the_provider_stays_watched(ends_in_s: int) -> None:
    open_there = attempt(expires_at=NOW + timedelta(seconds=ends_in_s))
    over = Observation(source=Source.CLOCK, status=Status.EXPIRED)
    change = apply(payment(), open_there, over, NOW)
    assert change is not None
    assert change.payment.status is Status.EXPIRED
    assert change.attempt.status is (Status.PENDING if ends_in_s > 0 else Status.EXPIRED)


def test_an_unknown_status_and_an_absent_charge_decide_nothing() -> None:
    assert apply(payment(), attempt(), seen(None), NOW) is None
    assert apply(payment(), attempt(), Observation(source=Source.LOOKUP, absent=True), NOW) is None


def test_events_are_counted_without_gaps() -> None:
    change = apply(payment(Status.EXPIRED, sequence=4), attempt(Status.EXPIRED), seen(Status.PAID), NOW)
    assert change is not None
    assert (change.payment.sequence, change.payment.version) == (4 + len(change.events), 2)


def test_the_log_says_from_where_to_where_and_by_whom() -> None:
    change = apply(payment(), attempt(), replace(seen(Status.PAID), source=Source.LOOKUP), NOW)
    assert change is not None
    assert change.log == "PAID"
    assert change.log_payload["from"] == "PENDING"
    assert (change.log_payload["to"], change.log_payload["source"]) == ("PAID", "lookup")
