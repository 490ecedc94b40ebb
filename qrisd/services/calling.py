"""Every call to a provider passes here: its circuit is asked first, its outcome noted, and no odd exception escapes."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

import structlog

from qrisd.domain.errors import ProviderError, ProviderUncertain
from qrisd.services.circuits import Circuits

T = TypeVar("T")
log = structlog.get_logger()


class ProviderCalls:
    """Makes calls to providers within their circuits."""

    def __init__(self, circuits: Circuits) -> None:
        self._circuits = circuits

    def is_resting(self, provider: str) -> bool:
        """True while the provider is left alone because it did not answer."""
        return self._circuits.state(provider) != "closed"

    def let_through(self, provider: str, wanted: int) -> int:
        """How many of `wanted` calls its circuit would let through now."""
        state = self._circuits.state(provider)
        return wanted if state == "closed" else min(wanted, 1) if state == "half_open" else 0

    async def make(self, provider: str, verb: str, call: Coroutine[Any, Any, T]) -> T:
        """The call's answer. Raises ProviderError only; whatever else an adapter raises leaves the outcome unknown."""
        try:
            is_trial = self._circuits.enter(provider)
        except ProviderError:
            call.close()
            raise
        error: Exception | None = ProviderUncertain(provider, "The call was cut off.")
        try:
            answer = await call
            error = None
            return answer
        except ProviderError as known:
            error = known
            raise
        except Exception as unknown:
            log.exception("provider adapter failed", provider=provider, verb=verb)
            error = ProviderUncertain(provider, "The provider's answer could not be understood.")
            raise error from unknown
        finally:
            self._circuits.leave(provider, verb, error, is_trial=is_trial)
