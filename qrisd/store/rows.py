"""How structures lie in the database: as JSON text."""

from __future__ import annotations

from typing import Any

from pydantic_core import to_json as to_json_bytes


def to_json(value: Any) -> str:
    return to_json_bytes(value).decode()
