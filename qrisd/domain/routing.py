"""Which provider is asked first, and which ones may be asked after it."""

from __future__ import annotations

from collections.abc import Callable, Sequence


def route(order: Sequence[str], requested: str | None, is_resting: Callable[[str], bool]) -> tuple[str, ...]:
    """The providers to ask, first to last. A request that names one gets that one alone. Providers that rest after
    failures come last, in their order: asked only when all others refuse."""
    if requested is not None:
        return (requested,)
    return (*(name for name in order if not is_resting(name)), *(name for name in order if is_resting(name)))
