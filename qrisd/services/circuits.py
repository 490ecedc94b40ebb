"""One circuit breaker per provider, moved by real traffic: a provider that does not answer is left alone for a while.

closed: calls go through. open: nothing is sent until its rest is over. half_open: one call is let through to see.
A provider that does not know our keys is left alone as well, at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Literal

import structlog

from qrisd.domain.errors import ProviderError, ProviderKeysRefused, ProviderRejected, ProviderUnreachable

log = structlog.get_logger()

OPENS_AFTER: Final = 5  # failures in a row; a refusal is an answer, so it is none
FIRST_REST_S: Final = 5.0
LONGEST_REST_S: Final = 30.0
LONGEST_ASKED_REST_S: Final = 300.0  # a provider may ask for more with Retry-After, but not for ever

State = Literal["closed", "open", "half_open"]


@dataclass(slots=True)
class _Circuit:
    failures_in_a_row: int = 0
    rests: int = 0
    open_until: float = 0.0
    trying: bool = False
    trouble: str | None = None


class Circuits:
    """`count(provider, verb, outcome)` is told of every call."""

    def __init__(
        self,
        providers: Iterable[str],
        count: Callable[[str, str, str], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._circuits = {name: _Circuit() for name in providers}
        self._count = count
        self._monotonic = monotonic

    def state(self, provider: str) -> State:
        circuit = self._circuits[provider]
        if not circuit.rests:
            return "closed"
        return "open" if self._monotonic() < circuit.open_until else "half_open"

    def states(self) -> dict[str, State]:
        """Every provider's state, by name."""
        return {name: self.state(name) for name in self._circuits}

    def trouble(self, provider: str) -> str | None:
        """Why it is left alone, in the words of its last error; None while its circuit is closed."""
        return self._circuits[provider].trouble

    def enter(self, provider: str) -> bool:
        """Ask to call `provider`; True when this call is the one that is let through to see.

        Raises ProviderUnreachable, and nothing is sent, while it rests or is being tried."""
        circuit, state = self._circuits[provider], self.state(provider)
        if state == "open" or (state == "half_open" and circuit.trying):
            wait_s = max(1.0, circuit.open_until - self._monotonic())
            text = f"{provider} is left alone for {wait_s:.0f} s, so nothing was sent: {circuit.trouble}"
            raise ProviderUnreachable(provider, text)
        is_trial = state == "half_open"
        circuit.trying = circuit.trying or is_trial
        return is_trial

    def leave(self, provider: str, verb: str, error: Exception | None, *, is_trial: bool = False) -> None:
        """The call that `enter` let through has ended: with an answer (`error` None or a refusal), or without one.
        `is_trial` is what `enter` said of it."""
        circuit = self._circuits[provider]
        if is_trial:
            circuit.trying = False
        keys_refused = verb == "create_qr" and isinstance(error, ProviderKeysRefused)
        answered = error is None or (isinstance(error, ProviderRejected) and not keys_refused)
        outcome = "answered" if error is None else type(error).__name__.removeprefix("Provider").lower()
        self._count(provider, verb, outcome)
        if answered:
            self._close(provider, circuit)
            return
        circuit.failures_in_a_row += 1
        asked_rest_s = error.retry_after_s if isinstance(error, ProviderError) else None
        # Many calls may be under way when it breaks: those that end afterwards say nothing new, and prolong nothing.
        breaks = asked_rest_s or keys_refused or circuit.failures_in_a_row >= OPENS_AFTER
        if is_trial or (breaks and not circuit.rests):
            circuit.trouble = str(error)
            self._open(provider, circuit, LONGEST_REST_S if keys_refused else asked_rest_s)

    def _open(self, provider: str, circuit: _Circuit, asked_rest_s: float | None) -> None:
        rest_s = min(FIRST_REST_S * 2**circuit.rests, LONGEST_REST_S)
        if asked_rest_s:
            rest_s = min(max(asked_rest_s, 1.0), LONGEST_ASKED_REST_S)
        if not circuit.rests:
            log.error("provider left alone", provider=provider, rest_s=rest_s, why=circuit.trouble)
        circuit.rests = min(circuit.rests + 1, 10)
        circuit.open_until = self._monotonic() + rest_s

    def _close(self, provider: str, circuit: _Circuit) -> None:
        if circuit.rests:
            log.info("provider answers again", provider=provider)
        self._circuits[provider] = _Circuit()
