"""Looks at every attempt whose time to be looked at has come: unknown outcomes, live QRs, and those that are over."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Final

import structlog

from qrisd.domain.errors import QrisdError
from qrisd.domain.payment import Attempt
from qrisd.services.watching import Watcher

log = structlog.get_logger()

EVERY_S: Final = 0.15
AT_ONCE_PER_PROVIDER: Final = 8


class Watch:
    """One tick starts what is due, at most so many questions at once per provider, and does not wait for slow ones: a
    provider that hangs holds up only itself."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher
        self._asking: dict[asyncio.Task[None], str] = {}

    async def run(self) -> None:
        busy = Counter(self._asking.values())
        for attempt in await self._watcher.due(AT_ONCE_PER_PROVIDER):
            if busy[attempt.provider] >= AT_ONCE_PER_PROVIDER:
                continue
            busy[attempt.provider] += 1
            task = asyncio.create_task(self._look(attempt))
            self._asking[task] = attempt.provider
            task.add_done_callback(self._asking.pop)

    async def _look(self, attempt: Attempt) -> None:
        """One attempt that cannot be looked at must not stop the others."""
        try:
            await self._watcher.look(attempt)
        except QrisdError as error:
            log.warning("attempt not looked at", attempt=attempt.id, provider=attempt.provider, why=str(error))
        except Exception:
            log.exception("attempt not looked at", attempt=attempt.id, provider=attempt.provider)

    async def finish(self) -> None:
        """Wait for the questions that are under way."""
        while self._asking:
            await asyncio.wait(list(self._asking))
