"""The merchant's day."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from qrisd.domain import business_day
from qrisd.domain.business_day import Zones

JAKARTA = ZoneInfo("Asia/Jakarta")


def test_each_moment_falls_in_exactly_one_business_day() -> None:
    last = datetime(2026, 1, 15, 16, 59, 59, 999_000, tzinfo=UTC)
    first = datetime(2026, 1, 15, 17, 0, tzinfo=UTC)
    assert business_day.of(last, JAKARTA) == date(2026, 1, 15)
    assert business_day.of(first, JAKARTA) == date(2026, 1, 16)
    assert business_day.bounds(date(2026, 1, 15), JAKARTA)[1] == first
    assert business_day.bounds(date(2026, 1, 16), JAKARTA)[0] == first


def test_a_day_on_which_the_clocks_change_is_as_long_as_it_is() -> None:
    start, end = business_day.bounds(date(2026, 3, 8), ZoneInfo("America/New_York"))
    assert (end - start).total_seconds() == 23 * 3600


WITA = Zones(JAKARTA, {"bali": ZoneInfo("Asia/Makassar"), "papua": ZoneInfo("Asia/Jayapura")})


@pytest.mark.parametrize(("outlet", "midnight_utc"), [("main", 17), ("bali", 16), ("papua", 15)])
def test_an_outlet_keeps_its_own_day(outlet: str, midnight_utc: int) -> None:
    """SM-05"""
    first = datetime(2026, 1, 15, midnight_utc, 0, tzinfo=UTC)
    assert WITA.day_of(first, outlet) == date(2026, 1, 16)
    assert WITA.day_of(first - timedelta(milliseconds=1), outlet) == date(2026, 1, 15)


def test_a_day_reaches_from_its_first_outlet_to_its_last() -> None:
    start, end = WITA.reach(date(2026, 1, 16))
    assert start == datetime(2026, 1, 15, 15, 0, tzinfo=UTC)
    assert end == datetime(2026, 1, 16, 17, 0, tzinfo=UTC)
