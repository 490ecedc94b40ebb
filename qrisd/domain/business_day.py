"""The merchant's day in the merchant's time zone, and an outlet's in its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
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


@dataclass(frozen=True, slots=True)
class Zones:
    """The merchant's zone, and those of the outlets that keep another one. Every moment of an outlet is in exactly one
    business day."""

    merchant: ZoneInfo
    of_outlet: Mapping[str, ZoneInfo] = field(default_factory=dict)

    def of_place(self, outlet: str | None) -> ZoneInfo:
        """The zone that an outlet keeps, and the merchant's for None."""
        return self.merchant if outlet is None else self.of_outlet.get(outlet, self.merchant)

    def day_of(self, moment: datetime, outlet: str) -> date:
        """The outlet's business day an aware moment falls in."""
        return of(moment, self.of_place(outlet))

    def bounds(self, day: date, outlet: str) -> tuple[datetime, datetime]:
        """The first moment of the outlet's `day` and the first of its next, in UTC."""
        return bounds(day, self.of_place(outlet))

    def reach(self, day: date) -> tuple[datetime, datetime]:
        """From when until when, in UTC, it is this day anywhere: the end is not included."""
        spans = [bounds(day, zone) for zone in {self.merchant, *self.of_outlet.values()}]
        return min(start for start, _ in spans), max(end for _, end in spans)
