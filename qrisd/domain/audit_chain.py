"""The chain of the audit log: each row's hash covers the row and the hash of the row before it.

Whoever changes, takes out or moves a row would have to make every later hash anew, and the newest one is also known
outside the log.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

BEGINNING: Final = "0" * 64  # what stands in for the hash before the first row


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the audit log. `name` is the username or the API key's name, where `who` has one; `before` and `after`
    hold the fields that changed, never a secret; `hash` proves the row and all before it."""

    id: int
    at: datetime
    who: str
    name: str | None
    action: str
    what: str | None
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    why: str | None
    source: str | None
    hash: str


def link(previous: str, row_id: int, *content: str | None) -> str:
    """The hash of a row: SHA-256, in hex, over the JSON list of the hash before it, its id and its columns in the order
    of the table (at, who, action, what, before, after, why, source), without spaces and in ASCII."""
    text = json.dumps([previous, row_id, *content], separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
