"""Days and times of a report's cells: ISO 8601, a spreadsheet's own dates, or what the layout's format says.

A time without a zone is in the layout's zone. A day alone stays that day; a time becomes the merchant's business day.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from qrisd.domain import business_day
from qrisd.reports.month_names import in_digits

Cell = object

_ISO: Final = re.compile(
    r"(20[0-9]{2}-[0-9]{2}-[0-9]{2})"
    r"(?:[T ]([0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?) ?(Z|UTC|WIB|WITA|WIT|[+-][0-9]{2}:?[0-9]{2})?)?"
)
_OFFSET: Final = re.compile(r"(?:UTC|GMT)?([+-])([0-9]{1,2})(?::?([0-9]{2}))?")
_YEARS: Final = range(2000, 2100)
_NAMED: Final = {"Z": "UTC", "GMT": "UTC", "WIB": "Asia/Jakarta", "WITA": "Asia/Makassar", "WIT": "Asia/Jayapura"}


class MomentReader:
    """Reads the cells of one column. `zone` is the report's, `ours` the merchant's, `date_format` as for strptime, with
    the names of months in English or Indonesian."""

    def __init__(self, zone: tzinfo, ours: ZoneInfo, date_format: str | None = None) -> None:
        self._zone = zone
        self._ours = ours
        self._format = date_format

    def moment(self, cell: Cell, zone: tzinfo | None = None) -> datetime:
        """When it was, in UTC; a day alone is its beginning. `zone` is the row's own, where it has one. Raises
        ValueError saying how to write it."""
        found = self._read(cell)
        if not isinstance(found, datetime):
            found = datetime.combine(found, time.min)
        return (found if found.tzinfo else found.replace(tzinfo=zone or self._zone)).astimezone(UTC)

    def day(self, cell: Cell, zone: tzinfo | None = None) -> date:
        """The business day. Raises ValueError saying how to write it."""
        found = self._read(cell)
        if not isinstance(found, datetime):
            return found
        aware = found if found.tzinfo else found.replace(tzinfo=zone or self._zone)
        return business_day.of(aware, self._ours)

    def _read(self, cell: Cell) -> datetime | date:
        found = self._parsed(cell)
        if found.year not in _YEARS:
            raise ValueError("is no day or time that exists")
        return found

    def _parsed(self, cell: Cell) -> datetime | date:
        if isinstance(cell, date):  # a datetime, too
            return cell
        if not isinstance(cell, str):
            raise ValueError("is no date")
        if self._format is not None:
            return _by_format(cell.strip(), self._format)
        return _iso(cell.strip())


def zone_of(text: str) -> tzinfo:
    """A zone as reports write it: +0700, UTC, GMT+7, WIB, Asia/Jakarta. Raises ValueError."""
    return _zone(text.strip())


@lru_cache(maxsize=64)
def _zone(text: str) -> tzinfo:
    offset = _OFFSET.fullmatch(text.upper())
    if offset is not None:
        ahead = timedelta(hours=int(offset[2]), minutes=int(offset[3] or 0))
        if ahead < timedelta(hours=24):
            return timezone(ahead if offset[1] == "+" else -ahead)
    try:
        return ZoneInfo(_NAMED.get(text.upper(), text))
    except (KeyError, ValueError, OSError):
        raise ValueError("is no time zone; one is written like +0700, UTC, WIB or Asia/Jakarta") from None


def _iso(text: str) -> datetime | date:
    parts = _ISO.fullmatch(text)
    if parts is None:
        raise ValueError("is no date like 2026-01-15 or 2026-01-15 10:03:21; if it is another kind, say date_format")
    day, hour, zone = parts.groups()
    try:
        if hour is None:
            return date.fromisoformat(day)
        moment = datetime.fromisoformat(f"{day}T{_to_microseconds(hour)}")
    except ValueError:
        raise ValueError("is no day or time that exists") from None
    return moment if zone is None else moment.replace(tzinfo=_zone(zone))


def _to_microseconds(hour: str) -> str:
    whole, dot, fraction = hour.partition(".")
    return f"{whole}.{fraction[:6]:0<6}" if dot else whole


def _by_format(text: str, date_format: str) -> datetime | date:
    try:
        found = datetime.strptime(*in_digits(text, date_format))
    except ValueError:
        raise ValueError(f"is not written as the layout's date_format {date_format!r} says") from None
    return found if "%H" in date_format or "%I" in date_format else found.date()
