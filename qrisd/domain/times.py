"""How a moment is written, in the database and to the outside alike."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

_RFC_3339: Final = re.compile(
    r"20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})"
)


@lru_cache(maxsize=1024)
def to_text(moment: datetime) -> str:
    """RFC 3339 UTC with milliseconds, `2026-01-15T03:00:00.000Z`: sorts as text. `moment` must be aware.

    Remembered, because one change writes its moment in many places."""
    utc = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    return utc.isoformat(timespec="milliseconds")[:-6] + "Z"


def to_text_or_none(moment: datetime | None) -> str | None:
    return None if moment is None else to_text(moment)


def from_text(text: str) -> datetime:
    """The aware UTC time that `to_text` wrote."""
    return datetime.fromisoformat(text)


def from_text_or_none(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def from_rfc3339(text: str) -> datetime:
    """The moment somebody wrote, in UTC. Raises ValueError saying how to write one."""
    try:
        if _RFC_3339.fullmatch(text):
            return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        pass
    raise ValueError("must be a time like 2026-01-15T03:00:00Z")
