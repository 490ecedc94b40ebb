"""How structures lie in the database, as JSON text, and how many values go into a statement."""

from __future__ import annotations

from collections.abc import Sized
from typing import Any

from pydantic_core import to_json as to_json_bytes


def to_json(value: Any) -> str:
    return to_json_bytes(value).decode()


def marks(values: Sized) -> str:
    """A question mark for each value: "?, ?, ?"."""
    return ", ".join("?" * len(values))
