from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from qrisd.domain.payment import Attempt, Observation, Payment, Source, Status, apply
from qrisd.domain.refund import (
    Ability,
    Absorbed,
    Method,
    Refund,
    Way,
    absorb,
    ask_at,
    blackout_end,
    content_hash,
    crowded_out,
    left_of,
    never_arrived,
    refused_until,
    retry_at,
    ways,
)
from qrisd.domain.refund import Status as R
from tests.support import payments as sample

NOW = sample.NOW
_AROUND_A_DAY = (timedelta(hours=24, seconds=-1), timedelta(hours=24))
CAN = Ability(refund=True, partial=True, window_days=None, blackout=None)


def attempt(number: int = 1, **facts: Any) -> Attempt:
    paid = {"provider": "bank", "status": Status.PAID, "amount_paid": 15_000}
    return sample.attempt(id=f"a{number}", number=number, reference=f"REF{number}", **{**paid, **facts})


def payment(**facts: Any) -> Payment:
    paid = {"provider": "bank", "status": Status.PAID, "amount_paid": 15_000, "paid_at": NOW}
    return sample.payment(**{**paid, **facts})


def refund(name: str, amount: int, status: R = R.REQUESTED, **facts: Any) -> Refund:
    given: dict[str, Any] = {
        "id": name,
        "payment_id": "p-1",
        "attempt_id": "a1",
        "reference": name,
        "method": Method.PROVIDER,
        "reason": "not served",
        "evidence": None,
        "requested_by": "api_key:k",
        "content_hash": "",
        "created_at": NOW,
        "updated_at": NOW,
    }
    return Refund(**{**given, **facts, "amount": amount, "status": status})


def way(found: list[Way], method: Method) -> Way:
    return next(one for one in found if one.method is method)


# What may be given back


def test_what_is_promised_is_not_left() -> None:
    assert left_of(payment(amount_refunded=2_000), [refund("r", 5_000)]) == 8_000


def test_all_that_came_can_go_back_by_its_provider_or_by_hand() -> None:
    found = ways(payment(), [attempt()], [], {"bank": CAN}, NOW)
    assert [(one.method, one.most, one.why_not) for one in found] == [
        (Method.PROVIDER, 15_000, ()),
        (Method.CASH, 15_000, ()),
        (Method.TRANSFER, 15_000, ()),
    ]


def test_a_payment_that_was_paid_twice_goes_back_by_each_attempt() -> None:
    twice = payment(amount_paid=30_000)
    found = ways(twice, [attempt(1), attempt(2)], [refund("r", 4_000, attempt_id="a2")], {"bank": CAN}, NOW)
    assert [(one.attempt and one.attempt.number, one.most) for one in found[:2]] == [(2, 11_000), (1, 15_000)]
    assert way(found, Method.CASH).most == 26_000


@pytest.mark.parametrize(
    ("can", "said"),
    [
        (None, "no longer configured"),
        (replace(CAN, refund=False), "gives no money back for us"),
        (replace(CAN, window_days=7), "for 7 days"),
    ],
)
def test_a_provider_that_gives_nothing_back_says_why_and_leaves_it_to_hands(can: Ability | None, said: str) -> None:
    old = payment(paid_at=NOW - timedelta(days=7))
    found = ways(old, [attempt()], [], {} if can is None else {"bank": can}, NOW)
    assert said in way(found, Method.PROVIDER).why_not[0]
    assert way(found, Method.CASH).why_not == ()


def test_the_window_is_open_up_to_its_last_moment() -> None:
    can = replace(CAN, window_days=7)
    (found, *_) = ways(payment(), [attempt()], [], {"bank": can}, NOW + timedelta(days=7, seconds=-1))
    assert (found.why_not, found.until) == ((), NOW + timedelta(days=7))


def test_all_or_nothing_ends_with_the_first_part() -> None:
    can = replace(CAN, partial=False)
    assert ways(payment(), [attempt()], [], {"bank": can}, NOW)[0].why_not == ()
    part = refund("r", 1_000, method=Method.CASH, attempt_id=None)
    assert "all or nothing" in ways(payment(), [attempt()], [part], {"bank": can}, NOW)[0].why_not[0]


SOME = replace(CAN, issuers=("DANA", "CIMB"), whole_after_hours={"CIMB": 24})


def test_an_issuer_the_provider_cannot_refund_is_named_and_left_to_hands() -> None:
    found = ways(payment(), [attempt(issuer="BNI")], [], {"bank": SOME}, NOW)
    assert way(found, Method.PROVIDER).why_not == ("bank cannot refund payments from BNI: give it back by hand",)
    assert way(found, Method.CASH).why_not == ()


def test_an_issuer_the_provider_can_refund_goes_without_a_remark() -> None:
    (found, *_) = ways(payment(), [attempt(issuer="ID_DANA")], [], {"bank": SOME}, NOW)
    assert (found.most, found.why_not, found.remarks) == (15_000, (), ())


@pytest.mark.parametrize(("issuer", "said"), [(None, "did not say who"), ("Koperasi Maju", "whether Koperasi Maju is")])
def test_an_issuer_nobody_knows_may_be_tried_with_a_remark(issuer: str | None, said: str) -> None:
    (found, *_) = ways(payment(), [attempt(issuer=issuer)], [], {"bank": SOME}, NOW)
    assert (found.most, found.why_not) == (15_000, ())
    assert [said in remark and "may refuse" in remark for remark in found.remarks] == [True]


def test_the_issuer_does_not_matter_where_the_provider_names_none() -> None:
    (found, *_) = ways(payment(), [attempt(issuer="BNI")], [], {"bank": CAN}, NOW)
    assert (found.why_not, found.remarks) == ((), ())


def test_an_issuer_that_first_takes_parts_only_takes_all_of_it_a_day_later() -> None:
    early, late = (ways(payment(), [attempt(issuer="CIMB")], [], {"bank": SOME}, NOW + age)[0] for age in _AROUND_A_DAY)
    assert (early.most, early.why_not, late.most, late.remarks) == (14_999, (), 15_000, ())
    assert "CIMB takes all of it back only 24 hours after the payment" in early.remarks[0]


def test_the_rest_of_a_payment_is_a_part_and_goes_at_once() -> None:
    part = attempt(issuer="CIMB", amount_refunded=5_000)
    (found, *_) = ways(payment(amount_refunded=5_000), [part], [], {"bank": SOME}, NOW)
    assert (found.most, found.remarks) == (10_000, ())


def test_an_issuer_that_takes_parts_only_waits_where_the_provider_gives_no_parts() -> None:
    (found, *_) = ways(payment(), [attempt(issuer="CIMB")], [], {"bank": replace(SOME, partial=False)}, NOW)
    assert "24 hours after the payment" in found.why_not[0]


def test_nothing_is_left_when_all_is_promised() -> None:
    found = ways(payment(), [attempt()], [refund("r", 15_000)], {"bank": CAN}, NOW)
    assert all("given back already, or is promised" in one.why_not[0] for one in found)


@pytest.mark.parametrize(
    ("local", "end"),
    [
        ("2026-01-15T23:54", None),
        ("2026-01-15T23:55", "2026-01-16T06:00"),
        ("2026-01-16T00:00", "2026-01-16T06:00"),
        ("2026-01-16T05:59", "2026-01-16T06:00"),
        ("2026-01-16T06:00", None),
    ],
)
def test_a_blackout_over_midnight_ends_in_the_morning(local: str, end: str | None) -> None:
    moment = datetime.fromisoformat(f"{local}:00+07:00").astimezone(UTC)
    expected = datetime.fromisoformat(f"{end}:00+07:00") if end else None
    assert blackout_end("23:55-06:00 WIB", moment) == expected


@pytest.mark.parametrize(("zone", "hour"), [("WIB", 5), ("WITA", 4), ("WIT", 3)])
def test_a_blackout_at_noon_is_that_of_its_zone(zone: str, hour: int) -> None:
    inside = datetime(2026, 1, 15, hour, 30, tzinfo=UTC)
    assert blackout_end(f"12:00-13:00 {zone}", inside) == datetime(2026, 1, 15, hour + 1, 0, tzinfo=UTC)
    assert blackout_end(f"12:00-13:00 {zone}", inside + timedelta(hours=1)) is None


def test_a_text_that_is_no_blackout_is_an_error() -> None:
    with pytest.raises(ValueError, match="23:55-06:00 WIB"):
        blackout_end("at night", NOW)


# What an approval is for


@pytest.mark.parametrize(
    "changed",
    [
        {"amount": 5_001},
        {"payment_id": "q"},
        {"attempt_id": "a2"},
        {"method": Method.CASH},
        {"reason": "another"},
        {"evidence": "another"},
        {"requested_by": "another"},
    ],
)
def test_every_part_of_the_content_is_in_its_hash(changed: dict[str, Any]) -> None:
    one = refund("r", 5_000)
    assert content_hash(replace(one, **changed)) != content_hash(one)
    assert content_hash(replace(one, status=R.DONE, tries=7, detail="x")) == content_hash(one)


# What a provider gave back

SENT, ACCEPTED, WAITING, READY = R.UNKNOWN, R.PENDING, R.REQUESTED, R.APPROVED


@pytest.mark.parametrize(
    ("refunds", "amount", "taken", "rest"),
    [
        ([("x", 5_000, SENT)], 5_000, "x", 0),
        ([("x", 5_000, SENT)], 7_000, "x", 2_000),
        ([("x", 5_000, SENT)], 4_000, "", 4_000),
        ([("x", 5_000, SENT), ("y", 3_000, ACCEPTED)], 8_000, "yx", 0),
        ([("x", 5_000, SENT), ("y", 5_000, ACCEPTED)], 5_000, "y", 0),
        ([("x", 4_000, ACCEPTED), ("y", 10_000, SENT)], 10_000, "y", 0),
        ([("x", 4_000, ACCEPTED), ("y", 10_000, ACCEPTED), ("z", 1_000, SENT)], 11_000, "yz", 0),
        ([("x", 4_000, ACCEPTED), ("y", 10_000, SENT)], 9_000, "x", 5_000),
        ([("x", 5_000, WAITING)], 5_000, "x", 0),
        ([("x", 5_000, READY)], 6_000, "", 6_000),
        ([("x", 5_000, SENT), ("y", 2_000, READY)], 7_000, "xy", 0),
        ([], 5_000, "", 5_000),
    ],
)
def test_a_sum_given_back_is_first_what_was_sent(
    refunds: list[tuple[str, int, R]], amount: int, taken: str, rest: int
) -> None:
    found = absorb([refund(*one) for one in refunds], amount, None)
    assert ("".join(one.id for one in found.refunds), found.rest) == (taken, rest)


def test_a_refund_that_is_named_is_taken_whatever_the_sum() -> None:
    older, named = refund("x", 5_000, SENT), refund("y", 5_000, SENT)
    assert absorb([older, named], 5_000, "y") == Absorbed((named,), 0)
    assert absorb([named], 1_000, "y") == Absorbed((named,), 0)


def test_only_what_was_not_sent_gives_way_the_newest_first() -> None:
    waiting = [refund("1", 5_000, SENT), refund("2", 4_000, READY), refund("3", 3_000)]
    assert [one.id for one in crowded_out(waiting, -2_000)] == ["3"]
    assert [one.id for one in crowded_out(waiting, -9_000)] == ["3", "2"]
    assert crowded_out(waiting, 0) == []


def test_absence_settles_nothing_at_first() -> None:
    sent = refund("r", 5_000, R.UNKNOWN, sent_at=NOW, absences=1)
    assert not never_arrived(sent, NOW + timedelta(seconds=59))
    assert not never_arrived(replace(sent, absences=0), NOW + timedelta(seconds=600))
    assert never_arrived(sent, NOW + timedelta(seconds=60))


def test_pauses_grow_and_end() -> None:
    waits = [(retry_at(tries, NOW) - NOW).total_seconds() for tries in (0, 1, 5, 100)]
    assert waits == [1, 2, 32, 300]
    waits = [(ask_at(R.UNKNOWN, tries, NOW) - NOW).total_seconds() for tries in (1, 2, 100)]
    assert waits == [1, 3, 300]
    assert (ask_at(R.PENDING, 100, NOW) - NOW).total_seconds() == 900
    waits = [(refused_until(tries, NOW) - NOW).total_seconds() for tries in (0, 1, 2, 4, 100)]
    assert waits == [300, 300, 600, 2_400, 3_600]


# What it does to the payment


def test_money_given_by_hand_moves_the_payment_and_no_attempt() -> None:
    seen = Observation(source=Source.PERSON, given_by_hand=15_000, refund_id="r")
    change = apply(payment(), attempt(), seen, NOW)
    assert change is not None
    assert (change.payment.status, change.payment.amount_refunded) == (Status.REFUNDED, 15_000)
    assert (change.attempt, change.log, change.events) == (attempt(), "REFUND", ("payment.refunded",))


def test_more_than_came_is_never_counted_as_given_back() -> None:
    before = payment(status=Status.PARTIALLY_REFUNDED, amount_refunded=10_000)
    seen = Observation(source=Source.WEBHOOK, status=Status.REFUNDED, amount_refunded=15_000)
    change = apply(before, attempt(), seen, NOW)
    assert change is not None
    assert (change.payment.status, change.payment.amount_refunded) == (Status.REFUNDED, 15_000)
    assert change.attempt.amount_refunded == 15_000
