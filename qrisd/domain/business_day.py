"""The merchant's day in the merchant's time zone."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo


def bounds(day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """The first moment of `day` and the first of the next, in UTC: a moment t is in it when start <= t < end."""
    start = datetime.combine(day, time.min, zone)
    end = datetime.combine(day + timedelta(days=1), time.min, zone)
    return start.astimezone(UTC), end.astimezone(UTC)


def of(moment: datetime, zone: ZoneInfo) -> date:
    """The business day an aware moment falls in."""
    return moment.astimezone(zone).date()
