"""The merchant's day."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from qrisd.domain import business_day

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
