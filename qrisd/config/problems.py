"""What is wrong with the settings, in words that say what to do; all of it at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError

UNKNOWN_SETTING: Final = "there is no such setting; see docs/configuration.md, or remove it"


class ProviderProblems(ValueError):
    """What is wrong in the `providers` tables: (setting, what to do)."""

    def __init__(self, problems: list[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{name}: {text}" for name, text in problems))
        self.problems = problems


def problems_of(error: ValidationError) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for item in error.errors(include_input=False, include_url=False):
        cause = item.get("ctx", {}).get("error")
        if isinstance(cause, ProviderProblems):
            found += cause.problems
        else:
            found.append((".".join(map(str, item["loc"])), _advice(item["type"], item["msg"], item.get("ctx", {}))))
    return found


def _advice(kind: str, message: str, limits: Mapping[str, Any]) -> str:
    if kind == "extra_forbidden":
        return UNKNOWN_SETTING
    if kind in ("dict_type", "model_type"):
        return "is a table, not a value; see docs/configuration.md"
    if kind in ("too_short", "string_too_short"):
        return f"is too short; give at least {limits['min_length']} characters"
    if kind in ("too_long", "string_too_long"):
        return f"is too long; give at most {limits['max_length']} characters"
    if kind in ("int_parsing", "int_type", "int_from_float"):
        return "must be a whole number"
    return message.removeprefix("Value error, ").replace("Input should be", "must be")


def listing(problems: list[tuple[str, str]]) -> str:
    lines = [f"  {name}: {text}" for name, text in problems]
    return "The settings cannot be used:\n" + "\n".join(lines)
