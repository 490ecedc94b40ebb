"""Days and times of a report's cells."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from qrisd.reports.moments import MomentReader, zone_of

WIB = ZoneInfo("Asia/Jakarta")


@pytest.mark.parametrize(
    ("cell", "moment", "day"),
    [
        ("2026-01-15T17:00:00.000Z", "2026-01-15T17:00:00+00:00", "2026-01-16"),
        ("2026-01-15T16:59:59Z", "2026-01-15T16:59:59+00:00", "2026-01-15"),
        ("2026-01-15 17:00:00", "2026-01-15T17:00:00+00:00", "2026-01-16"),
        ("2026-01-15 23:59:59 +0700", "2026-01-15T16:59:59+00:00", "2026-01-15"),
        ("2026-01-16T00:00:00+07:00", "2026-01-15T17:00:00+00:00", "2026-01-16"),
        ("2026-01-16 00:00 WIB", "2026-01-15T17:00:00+00:00", "2026-01-16"),
        ("2026-01-15T03:03:21.123456789Z", "2026-01-15T03:03:21.123456+00:00", "2026-01-15"),
        ("2026-01-15", "2026-01-15T00:00:00+00:00", "2026-01-15"),
        (date(2026, 1, 15), "2026-01-15T00:00:00+00:00", "2026-01-15"),
        (datetime(2026, 1, 15, 17), "2026-01-15T17:00:00+00:00", "2026-01-16"),
    ],
)
def test_a_report_in_utc_falls_in_the_merchants_days(cell: object, moment: str, day: str) -> None:
    reader = MomentReader(UTC, WIB)
    assert reader.moment(cell).isoformat() == moment
    assert reader.day(cell).isoformat() == day


def test_the_rows_own_zone_wins_over_the_layouts() -> None:
    reader = MomentReader(UTC, WIB)
    assert reader.moment("2026-01-15 10:00:00", zone_of("+0700")) == datetime(2026, 1, 15, 3, tzinfo=UTC)
    assert reader.day("2026-01-15 23:30:00", zone_of("WIB")) == date(2026, 1, 15)
    assert reader.day("2026-01-15 23:30:00") == date(2026, 1, 16)


@pytest.mark.parametrize("text", ["+0700", "+07:00", "GMT+7", "UTC+07", "WIB", "Asia/Jakarta"])
def test_a_zone_is_read(text: str) -> None:
    assert datetime(2026, 1, 15, tzinfo=zone_of(text)).utcoffset() == datetime(2026, 1, 15, tzinfo=WIB).utcoffset()


@pytest.mark.parametrize("text", ["", "XIB", "+99:00", "../etc", "7"])
def test_what_is_no_zone_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no time zone"):
        zone_of(text)


@pytest.mark.parametrize(
    "cell", ["15/01/2026", "01-02-2026", "2026-13-01", "2026-01-15T25:00:00", "", "today", 46037.0]
)
def test_a_day_that_can_be_read_two_ways_or_none_is_refused(cell: object) -> None:
    with pytest.raises(ValueError):
        MomentReader(UTC, WIB).day(cell)


def test_the_layouts_format_is_followed() -> None:
    assert MomentReader(WIB, WIB, "%d/%m/%Y").day("02/01/2026") == date(2026, 1, 2)
    read = MomentReader(WIB, WIB, "%d-%m-%Y %H:%M").moment("02-01-2026 10:00")
    assert read == datetime(2026, 1, 2, 3, tzinfo=UTC)
    with pytest.raises(ValueError, match="date_format"):
        MomentReader(WIB, WIB, "%d/%m/%Y").day("2026-01-02")
