"""Days and times of a report's cells."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from qrisd.reports.moments import MomentReader, zone_of

WIB = ZoneInfo("Asia/Jakarta")
MONTHS = (
    "januari january jan",
    "februari pebruari february feb peb",
    "maret march mar",
    "april apr",
    "mei may",
    "juni june jun",
    "juli july jul",
    "agustus august agu agt ags agst aug",
    "september sept sep",
    "oktober october okt oct",
    "november nopember nov nop",
    "desember december des dec",
)


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


@pytest.mark.parametrize(
    ("date_format", "text", "moment"),
    [
        ("%d %b %Y, %H:%M", "17 Jan 2026, 10:03", "2026-01-17T03:03:00+00:00"),
        ("%d %b %Y, %H:%M", "17 Mei 2026, 10:03", "2026-05-17T03:03:00+00:00"),
        ("%d-%b-%y", "17-AGT-26", "2026-08-16T17:00:00+00:00"),
        ("%d-%b-%y", "17-Agu-26", "2026-08-16T17:00:00+00:00"),
        ("%d %B %Y", "17 Agustus 2026", "2026-08-16T17:00:00+00:00"),
        ("%d %B %Y", "17 August 2026", "2026-08-16T17:00:00+00:00"),
        ("%d %B %Y", "1 Okt 2026", "2026-09-30T17:00:00+00:00"),
        ("%B %d, %Y", "december 17, 2026", "2026-12-16T17:00:00+00:00"),
        ("%d%b%Y", "17Des2026", "2026-12-16T17:00:00+00:00"),
        ("%d/%m/%y %H.%M", "17/01/26 10.03", "2026-01-17T03:03:00+00:00"),
        ("%d %b %Y %H:%M WIB", "17 Nop 2026 10:03 WIB", "2026-11-17T03:03:00+00:00"),
        ("%d %b %Y %I:%M %p", "17 Pebruari 2026 01:03 PM", "2026-02-17T06:03:00+00:00"),
    ],
)
def test_names_of_months_and_short_years_are_read(date_format: str, text: str, moment: str) -> None:
    assert MomentReader(WIB, WIB, date_format).moment(text).isoformat() == moment


@pytest.mark.parametrize(
    ("name", "month"),
    [
        *[(name, number) for number, names in enumerate(MONTHS, 1) for name in names.split()],
        *[(name.upper(), number) for number, names in enumerate(MONTHS, 1) for name in names.split()],
    ],
)
def test_every_month_is_known_by_its_indonesian_and_english_names(name: str, month: int) -> None:
    assert MomentReader(WIB, WIB, "%d %b %Y").day(f"17 {name} 2026") == date(2026, month, 17)


@pytest.mark.parametrize("text", ["17 01 2026", "17 Foo 2026", "17 Mei Mei 2026", "31 Feb 2026", "17 2026"])
def test_what_has_no_month_by_name_is_refused_where_the_layout_has_names(text: str) -> None:
    with pytest.raises(ValueError, match="date_format"):
        MomentReader(WIB, WIB, "%d %b %Y").day(text)


def test_a_name_of_a_month_is_not_taken_for_a_number() -> None:
    with pytest.raises(ValueError, match="date_format"):
        MomentReader(WIB, WIB, "%d/%m/%Y").day("17/Jan/2026")


@pytest.mark.parametrize("cell", [date(1899, 12, 31), datetime(9999, 12, 31, 23, 59), date(2126, 1, 15)])
def test_a_day_of_another_century_is_refused(cell: date) -> None:
    reader = MomentReader(WIB, WIB)
    for read in (reader.day, reader.moment):
        with pytest.raises(ValueError, match="no day"):
            read(cell)


@pytest.mark.parametrize("text", ["15/01/0001", "15/01/9999", "15/01/1999"])
def test_a_format_does_not_bring_another_century_either(text: str) -> None:
    with pytest.raises(ValueError, match="no day"):
        MomentReader(WIB, WIB, "%d/%m/%Y").day(text)
