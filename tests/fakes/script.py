"""What a fake provider does wrong next: a queue of steps per action, taken one per request."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum, auto
from typing import Any

from tests.fakes.server import Reply


class Fault(StrEnum):
    """What happens on the wire. All but the two marked come after the work was done."""

    DROP_BEFORE_EFFECT = auto()  # no work is done
    RATE_LIMITED = auto()  # HTTP 429; no work is done; `seconds` becomes Retry-After
    DROP_AFTER_EFFECT = auto()
    ERROR_AFTER_EFFECT = auto()  # HTTP 500
    TIMEOUT = auto()  # silence until the caller leaves
    DRIP = auto()  # one byte every `seconds`
    HTML = auto()
    EMPTY = auto()
    CUT_JSON = auto()
    CUT_BODY = auto()  # fewer bytes than Content-Length says
    HUGE = auto()  # 50 MB
    GZIP_BOMB = auto()  # 50 kB that unpack to 50 MB
    REDIRECT = auto()


NO_EFFECT = frozenset({Fault.DROP_BEFORE_EFFECT, Fault.RATE_LIMITED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One request's fate: `delay_s` before the work, `reply` instead of work and answer, `fields` over the answer's
    own, `fault` on the way out."""

    fault: Fault | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    reply: Reply | None = None
    delay_s: float = 0.0
    seconds: float | None = None


class Script:
    """`script.next("charge", Fault.DROP_AFTER_EFFECT)` makes the next charge go wrong; unscripted requests go well."""

    def __init__(self) -> None:
        self._steps: defaultdict[str, deque[Step]] = defaultdict(deque)

    def next(
        self,
        action: str,
        fault: Fault | None = None,
        *,
        times: int = 1,
        fields: Mapping[str, Any] | None = None,
        reply: Reply | None = None,
        delay_s: float = 0.0,
        seconds: float | None = None,
    ) -> None:
        """Queue a step for the next `times` requests of `action`. A field set to None is left out of the answer."""
        step = Step(fault=fault, fields=fields or {}, reply=reply, delay_s=delay_s, seconds=seconds)
        self._steps[action].extend([step] * times)

    def take(self, action: str) -> Step:
        """The step for this request."""
        steps = self._steps[action]
        return steps.popleft() if steps else Step()

    @property
    def finished(self) -> bool:
        """True when every queued step was taken."""
        return not any(self._steps.values())
