"""When an attempt is looked at again."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from qrisd.domain.payment import Attempt, Status
from qrisd.domain.watching import never_arrived, next_check_at
from tests.domain.test_payment import NOW, attempt


def pause_s(one: Attempt, age_s: float, *, polled: bool = True) -> float:
    now = NOW + timedelta(seconds=age_s)
    later = next_check_at(one, polled=polled, now=now)
    assert later is not None
    return (later - now).total_seconds()


def test_an_unknown_outcome_is_asked_about_with_growing_pauses() -> None:
    unknown = attempt(Status.CREATED)
    assert [pause_s(replace(unknown, checks=checks), 0) for checks in range(8)] == [1, 3, 5, 10, 20, 30, 30, 30]


@pytest.mark.parametrize(("age_s", "expected_s"), [(0, 3), (119, 3), (121, 10), (599, 10), (601, 30), (899, 1)])
def test_a_live_qr_is_polled_often_at_first_and_never_past_its_end(age_s: float, expected_s: float) -> None:
    assert pause_s(attempt(), age_s) == expected_s


def test_a_provider_that_tells_by_itself_is_asked_only_at_the_end() -> None:
    assert pause_s(attempt(), 100, polled=False) == 800


@pytest.mark.parametrize("polled", [True, False])
def test_a_payment_that_closes_before_its_qr_ends_is_looked_at_when_it_closes(polled: bool) -> None:
    long = attempt(expires_at=NOW + timedelta(hours=48))
    closes_at = NOW + timedelta(seconds=4_000)
    asked = NOW + timedelta(seconds=3_995)
    assert next_check_at(long, polled=polled, now=asked, closes_at=closes_at) == closes_at


def test_a_qr_that_outlives_its_time_stays_watched() -> None:
    assert pause_s(attempt(), 900) == 5
    assert pause_s(attempt(), 4_000) == 60
    assert pause_s(attempt(), 9_000) == 300


@pytest.mark.parametrize("status", [Status.PAID, Status.EXPIRED, Status.FAILED, Status.CANCELLED])
def test_an_ended_attempt_is_left_alone(status: Status) -> None:
    assert next_check_at(attempt(status), polled=True, now=NOW) is None


@pytest.mark.parametrize(
    ("age_s", "checks", "status", "gone"),
    [
        (59, 9, Status.CREATED, False),
        (60, 0, Status.CREATED, False),
        (60, 1, Status.CREATED, True),
        (600, 9, Status.PENDING, False),
    ],
)
def test_a_charge_is_given_up_only_after_a_grace_and_several_answers(
    age_s: float, checks: int, status: Status, gone: bool
) -> None:
    asked = replace(attempt(status), checks=checks)
    assert never_arrived(asked, NOW + timedelta(seconds=age_s)) is gone
