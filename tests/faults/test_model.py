"""T9: whatever is observed in whatever order, a payment's money and moves stay right."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st

from qrisd.domain.payment import (
    MONEY,
    MOVES,
    OPEN,
    Attempt,
    Change,
    Observation,
    Oddity,
    Payment,
    Source,
    Status,
    apply,
)
from tests.support import payments as sample

EXAMPLES: Final = int(os.environ.get("MODEL_EXAMPLES", "500"))
ASKED = 15_000
QR = "00020101021226-made-up"


@dataclass(frozen=True)
class Step:
    """One thing that happens: an observation about an attempt, or a renewal (`seen` None) when that is allowed."""

    attempt: int
    seen: Observation | None


class World:
    """One payment with its attempts, and the story of all that was decided about it."""

    def __init__(self) -> None:
        self.payment = sample.payment(
            amount=ASKED, amount_due=ASKED, status=Status.CREATED, qris_payload=None, sequence=0
        )
        self.attempts = [_attempt(1)]
        self.story: list[Change] = []

    def take(self, step: Step) -> Change | None:
        if step.seen is None:
            return self._renew()
        attempt = self.attempts[step.attempt % len(self.attempts)]
        return self.see(attempt, step.seen)

    def see(self, attempt: Attempt, seen: Observation) -> Change | None:
        change = apply(self.payment, attempt, seen, sample.NOW)
        if change is not None:
            self.story.append(change)
            self.payment = change.payment
            self.attempts[attempt.number - 1] = change.attempt
        return change

    def _renew(self) -> Change | None:
        if self.payment.status not in (Status.EXPIRED, Status.FAILED, Status.PENDING) or len(self.attempts) > 3:
            return None
        self.attempts.append(_attempt(len(self.attempts) + 1))
        return self.see(self.attempts[-1], Observation(source=Source.MERCHANT, status=Status.CREATED))


def _attempt(number: int) -> Attempt:
    named = {"id": f"a{number}", "number": number, "reference": f"R{number}"}
    return sample.attempt(**named, amount=ASKED, status=Status.CREATED, qris_payload=None)


amounts = st.sampled_from([None, -1, 0, 1, 9_000, ASKED - 1, ASKED, ASKED + 1, 30_000])
observations = st.builds(
    Observation,
    source=st.sampled_from(Source),
    status=st.sampled_from([None, *Status]),
    absent=st.booleans(),
    amount=amounts,
    amount_refunded=st.sampled_from([None, 0, 1, 5_000, ASKED, 40_000]),
    currency=st.sampled_from(["IDR", "IDR", "IDR", None, "USD"]),
    provider_trx_id=st.sampled_from([None, None, "SIM-1", "SIM-2"]),
    qris_payload=st.sampled_from([None, QR]),
    contradiction=st.sampled_from([None, None, None, None, "wrong_qr"]),
)
steps = st.lists(st.builds(Step, st.integers(0, 3), st.one_of(st.none(), observations, observations, observations)))

# One attempt as its provider sees it: the money is one sum, told as often and in whatever order.
of_one_charge = st.builds(
    Observation,
    source=st.sampled_from([Source.WEBHOOK, Source.LOOKUP]),
    status=st.sampled_from([*OPEN, Status.EXPIRED, Status.FAILED, Status.CANCELLED, Status.PAID, Status.REFUNDED]),
    amount=st.just(ASKED),
    amount_refunded=st.sampled_from([None, 5_000, ASKED]),
    currency=st.just("IDR"),
    qris_payload=st.just(QR),
)


@settings(max_examples=EXAMPLES, deadline=None)
@given(steps)
def test_money_is_never_lost_and_every_move_is_legal(story: list[Step]) -> None:
    world = World()
    for step in story:
        before = world.payment
        change = world.take(step)
        after = world.payment
        assert after.amount_paid >= before.amount_paid
        assert after.amount_refunded >= before.amount_refunded
        assert after.amount_paid == sum(attempt.amount_paid for attempt in world.attempts)
        assert 0 <= after.amount_refunded <= after.amount_paid
        assert after.status is before.status or after.status in MOVES[before.status]
        if change is not None:
            assert after.sequence == before.sequence + len(change.events)
            assert change.events or change.log  # nothing happens in silence


@settings(max_examples=EXAMPLES, deadline=None)
@given(steps)
def test_a_payment_is_paid_exactly_when_it_was_told_so_once(story: list[Step]) -> None:
    world = World()
    for step in story:
        world.take(step)
    told = [event for change in world.story for event in change.events]
    payment = world.payment
    whole = any(attempt.amount_paid >= attempt.amount for attempt in world.attempts)
    assert (payment.status in MONEY) == whole == (payment.paid_at is not None)
    assert told.count("payment.paid") == int(whole)
    if payment.amount_paid and not whole:
        assert payment.exception is Oddity.UNDERPAID
    if whole and payment.amount_paid != payment.amount:
        assert payment.exception is not None  # a person hears of money that does not fit
        assert "payment.exception" in told


@settings(max_examples=EXAMPLES, deadline=None)
@given(steps, observations, st.integers(0, 3))
def test_the_same_observation_twice_changes_nothing_more(story: list[Step], seen: Observation, number: int) -> None:
    world = World()
    for step in story:
        world.take(step)
    attempt = number % len(world.attempts)
    world.see(world.attempts[attempt], seen)
    assert world.see(world.attempts[attempt], seen) is None


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.lists(of_one_charge, max_size=6), st.randoms(use_true_random=False))
def test_the_order_in_which_one_charge_is_told_of_does_not_change_its_money(told: list[Observation], chance) -> None:  # type: ignore[no-untyped-def]
    shuffled = list(told)
    chance.shuffle(shuffled)
    one, other = World(), World()
    for seen in told:
        one.see(one.attempts[0], seen)
    for seen in shuffled:
        other.see(other.attempts[0], seen)
    assert _money(one.payment) == _money(other.payment)


def _money(payment: Payment) -> tuple[int, int, bool]:
    return payment.amount_paid, payment.amount_refunded, payment.status in MONEY


@settings(max_examples=EXAMPLES, deadline=None)
@given(steps)
def test_no_move_is_refused_after_its_money_was_seen(story: list[Step]) -> None:
    """Money that an attempt was told of is on the attempt: no later or illegal move makes it vanish."""
    world = World()
    for step in story:
        world.take(step)
    for attempt in list(world.attempts):
        seen = Observation(source=Source.LOOKUP, status=Status.PAID, amount=50_000, currency="IDR")
        world.see(attempt, replace(seen, provider_trx_id=attempt.provider_trx_id))
        assert world.attempts[attempt.number - 1].amount_paid == 50_000


@settings(max_examples=EXAMPLES // 2, deadline=None)
@given(steps)
def test_the_story_is_unbroken(story: list[Step]) -> None:
    world = World()
    for step in story:
        world.take(step)
    for earlier, later in pairwise(world.story):
        assert later.payment.sequence >= earlier.payment.sequence
        assert later.log_payload.get("from", earlier.payment.status) == earlier.payment.status


def test_money_back_of_an_underpaid_payment_invents_no_money() -> None:
    world = World()
    for seen in (
        Observation(source=Source.PROVIDER, status=Status.PENDING, amount=ASKED, currency="IDR", qris_payload=QR),
        Observation(source=Source.WEBHOOK, status=Status.PAID, amount=9_000, currency="IDR"),
        Observation(source=Source.WEBHOOK, status=Status.REFUNDED, amount_refunded=9_000),
    ):
        world.see(world.attempts[0], seen)
    payment = world.payment
    assert (payment.status, payment.amount_paid, payment.amount_refunded) == (Status.PENDING, 9_000, 9_000)


def test_a_refund_after_a_second_payment_of_a_refunded_one_is_counted() -> None:
    world = World()
    paid = Observation(source=Source.WEBHOOK, status=Status.PAID, amount=ASKED, currency="IDR")
    shown = Observation(source=Source.PROVIDER, status=Status.PENDING, amount=ASKED, currency="IDR", qris_payload=QR)
    world.see(world.attempts[0], shown)
    world.take(Step(0, None))
    for attempt in (0, 1):
        world.see(world.attempts[attempt], paid)
        world.see(
            world.attempts[attempt],
            Observation(source=Source.WEBHOOK, status=Status.REFUNDED, amount_refunded=5_000 if attempt else ASKED),
        )
    assert (world.payment.status, world.payment.amount_refunded) == (Status.REFUNDED, 20_000)
