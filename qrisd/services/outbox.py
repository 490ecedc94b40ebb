"""Which callback is tried when: what is due goes out, and a server that is slow or dead holds up only itself.

The database says what waits; this process, the only one that sends, says what is under way. A callback stays due until
its outcome is stored, so that a crash at any moment means it is sent again.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import structlog

from qrisd.domain.callback import Callback, Try
from qrisd.services.delivering import Delivery
from qrisd.store import callback_endpoints, callbacks
from qrisd.store.db import Connection, Database

log = structlog.get_logger()

LOOKS_EVERY_S: Final = 0.5
# Between two looks at the database, so that many commits and ends of tries share one.
PAUSE_S: Final = 0.01
AT_ONCE: Final = 64
AT_ONCE_PER_SERVER: Final = 8
# Servers that have not just answered fast: many of them may hang without taking all the room.
AT_ONCE_PER_UNPROVEN: Final = 2
AT_ONCE_ALL_UNPROVEN: Final = 32
FAST_MS: Final = 2_000
MOST_REMEMBERED: Final = 1_000
RESTS_AFTER: Final = 5  # tries in a row without any answer
FIRST_REST_S: Final = 5.0
LONGEST_REST_S: Final = 30.0
FINISHES_WITHIN_S: Final = 3.0


@dataclass(slots=True)
class _Server:
    """What is known of one merchant's server since we run."""

    running: int = 0
    is_fast: bool = False
    unanswered: int = 0
    rests: int = 0
    rests_until: float = 0.0
    payments: set[str] = field(default_factory=set)

    def room(self, now: float) -> int:
        """How many more tries may begin."""
        if now < self.rests_until:
            return 0
        if self.unanswered >= RESTS_AFTER:
            return 1 - self.running
        return (AT_ONCE_PER_SERVER if self.is_fast else AT_ONCE_PER_UNPROVEN) - self.running

    def learn(self, tried: Try, now: float) -> None:
        """One without any answer rests for a while, then a single try sees whether it is back."""
        self.is_fast = tried.status_code is not None and tried.latency_ms < FAST_MS
        if tried.status_code is not None:
            self.unanswered = self.rests = 0
            self.rests_until = 0.0
            return
        self.unanswered += 1
        if self.unanswered >= RESTS_AFTER:
            self.rest(now)

    def rest(self, now: float) -> None:
        """Leave it alone, longer each time."""
        self.rests_until = now + min(FIRST_REST_S * 2**self.rests, LONGEST_REST_S)
        self.rests = min(self.rests + 1, 10)


class Outbox:
    """`run` looks and sends; `wake` says that something may be due."""

    def __init__(
        self,
        *,
        db: Database,
        delivery: Delivery,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._db = db
        self._delivery = delivery
        self._clock = clock
        self._monotonic = monotonic
        self._news = asyncio.Event()
        self._servers: defaultdict[str, _Server] = defaultdict(_Server)
        self._tries: dict[str, asyncio.Task[None]] = {}

    def wake(self) -> None:
        """Something was stored, or there is room again."""
        self._news.set()

    async def run(self) -> None:
        """Send what is due now, then wait for news, but not for long: a pause may end, or a command may write."""
        self._news.clear()
        await self.look()
        try:
            async with asyncio.timeout(LOOKS_EVERY_S):
                await self._news.wait()
        except TimeoutError:
            self._forget_idle()

    async def look(self) -> None:
        """Begin every try that is due and has room; servers with the fewest under way come first."""
        if len(self._tries) >= AT_ONCE:
            return
        # What is under way now may have ended when the answer comes, which would still call it due.
        under_way = set(self._tries)
        due, off = await self._db.read(self._due)
        unproven = sum(one.running for one in self._servers.values() if not one.is_fast)
        for callback in sorted(due, key=lambda one: self._servers[one.origin].running):
            if callback.id in under_way or callback.endpoint in off or not self._may_begin(callback, unproven):
                continue
            unproven += not self._servers[callback.origin].is_fast
            self._begin(callback)
        given_up = {callback.endpoint for callback in due} & off
        if given_up:
            await self._db.write(lambda conn: _bury(conn, given_up))

    def _due(self, conn: Connection) -> tuple[list[Callback], set[str]]:
        """What is due, and the endpoints that are switched off. What is under way is among the first, so that twice as
        many as may run are enough."""
        due = callbacks.due(conn, self._clock(), 2 * AT_ONCE_PER_SERVER)
        return due, set(callback_endpoints.switched_off(conn))

    def _may_begin(self, callback: Callback, unproven: int) -> bool:
        """Events of one payment go out one after the other, as far as they wait together. `unproven` tries are under
        way at servers that have not just answered fast."""
        server = self._servers[callback.origin]
        if len(self._tries) >= AT_ONCE or callback.payment_id in server.payments:
            return False
        return server.room(self._monotonic()) > 0 and (server.is_fast or unproven < AT_ONCE_ALL_UNPROVEN)

    def _begin(self, callback: Callback) -> None:
        server = self._servers[callback.origin]
        server.running += 1
        server.payments.add(callback.payment_id)
        self._tries[callback.id] = asyncio.create_task(self._try(callback, server))

    async def _try(self, callback: Callback, server: _Server) -> None:
        try:
            server.learn(await self._delivery.attempt(callback), self._monotonic())
        except Exception:  # whatever it was, it shall not be sent again at once, and again
            server.rest(self._monotonic())
            log.exception("callback failed", callback=callback.id)
        finally:
            server.running -= 1
            server.payments.discard(callback.payment_id)
            del self._tries[callback.id]
            self.wake()

    def _forget_idle(self) -> None:
        if len(self._servers) > MOST_REMEMBERED:
            self._servers = defaultdict(_Server, {name: one for name, one in self._servers.items() if one.running})

    async def finish(self) -> None:
        """Give the tries under way a moment; those that take longer are made again after the start."""
        tasks = list(self._tries.values())
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=FINISHES_WITHIN_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)


def _bury(conn: Connection, endpoints: set[str]) -> None:
    """Give up what waits for those of `endpoints` that are still switched off."""
    for endpoint, why_off in callback_endpoints.switched_off(conn).items():
        if endpoint in endpoints:
            callbacks.bury(conn, endpoint, f"its endpoint is switched off: {why_off}")
