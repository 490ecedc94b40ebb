"""How each provider has answered lately, from real traffic."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final

from qrisd.domain.errors import ProviderRejected

UNHEALTHY_AFTER: Final = 3  # failures in a row; a refusal is an answer, so it is none


class ProviderHealth:
    """`note()` takes the outcome of every call. `count(provider, verb, outcome)` is told of each."""

    def __init__(self, count: Callable[[str, str, str], None]) -> None:
        self._failures_in_a_row: Counter[str] = Counter()
        self._count = count

    def note(self, provider: str, verb: str, error: Exception | None) -> None:
        """One call to `provider` ended: with an answer (`error` None or a refusal), or without one."""
        failed = error is not None and not isinstance(error, ProviderRejected)
        self._failures_in_a_row[provider] = self._failures_in_a_row[provider] + 1 if failed else 0
        outcome = "answered" if error is None else type(error).__name__.removeprefix("Provider").lower()
        self._count(provider, verb, outcome)

    def is_healthy(self, provider: str) -> bool:
        return self._failures_in_a_row[provider] < UNHEALTHY_AFTER
