"""What the settings may say of a layout."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from qrisd.reports.settings import LayoutSettings


def described(date_format: str) -> LayoutSettings:
    return LayoutSettings(provider="bri", like="plain", date_format=date_format)


@pytest.mark.parametrize(
    "date_format",
    ["%d/%m/%Y", "%d %b %Y, %H:%M", "%d-%B-%y", "%d/%m/%y %H.%M.%S WIB", "%m/%d/%Y %I:%M %p", "%Y%m%d%H%M%S%z"],
)
def test_a_format_with_a_day_a_month_and_a_year_is_taken(date_format: str) -> None:
    assert described(date_format).date_format == date_format


@pytest.mark.parametrize(
    ("date_format", "said"),
    [
        ("%d %b", "must have %d, a month"),
        ("%m/%Y", "must have %d, a month"),
        ("%d %Y", "must have %d, a month"),
        ("%%d %m %Y", "must have %d, a month"),
        ("%d %m %b %Y", "says the month twice"),
        ("%d %m %Y %y", "says the year twice"),
        ("%A %d %m %Y", "'%A' is not read"),
        ("%d %m %Y %Q", "'%Q' is not read"),
        ("%d %m %Y %", "'%' is not read"),
    ],
)
def test_a_format_that_cannot_be_followed_is_refused(date_format: str, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        described(date_format)
