"""What all fake providers share: a clock, a script, a server on loopback, and notifications that wait to be delivered.

Nothing of the product is used here, so that the two cannot share a mistake.
"""

from __future__ import annotations

import asyncio
import json
import random
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Generic, TypeVar

import httpx

from tests.fakes.script import NO_EFFECT, Script, Step
from tests.fakes.server import LoopbackServer, Reply, Request
from tests.fakes.wire import spoiled

Waiting = TypeVar("Waiting")


class FakeProvider(ABC, Generic[Waiting]):
    """Start it, point the adapter's `base_url` at `url`, and be the bank: `pay()`, `advance()`, `deliver()`.

    A fake keeps its own `book` and says which `action` a request is, how it is answered, and how a notification is
    posted. `notify_url` is where notifications go, `outbox` holds those that wait."""

    # How long it waits before it sends a notification again, in seconds.
    intervals_s: Sequence[float] = ()

    def __init__(self) -> None:
        self.script = Script()
        self.calls: list[Request] = []
        self.outbox: deque[Waiting] = deque()
        self.notify_url: str | None = None
        self._offset = timedelta(0)
        self._server = LoopbackServer(self._handle)

    @property
    def url(self) -> str:
        """What to set as `base_url`."""
        return self._server.url

    @property
    def now(self) -> datetime:
        """The fake's own clock."""
        return datetime.now(UTC) + self._offset

    async def start(self) -> None:
        """Begin to listen."""
        await self._server.start()

    async def stop(self) -> None:
        """Drop every connection and stop."""
        await self._server.stop()

    def advance(self, seconds: float) -> None:
        """Move the fake's clock; what is due happens."""
        self._offset += timedelta(seconds=seconds)
        self.settle_due()

    # Notifications

    async def deliver(self, *, copies: int = 1, shuffle_seed: int | None = None, time_scale: float = 0.0) -> list[int]:
        """Send everything in the outbox, and again until it is taken or given up; `time_scale` 1 keeps real intervals.

        Returns every status that came back, in order; 0 for none."""
        waiting = [each for each in self.outbox for _ in range(copies)]
        self.outbox.clear()
        if shuffle_seed is not None:
            random.Random(shuffle_seed).shuffle(waiting)
        async with httpx.AsyncClient(trust_env=False, timeout=15) as client:
            return [status for each in waiting for status in await self._delivered(client, each, time_scale)]

    async def _delivered(self, client: httpx.AsyncClient, waiting: Waiting, time_scale: float) -> list[int]:
        statuses: list[int] = []
        for pause_s in (0, *self.intervals_s):
            await asyncio.sleep(pause_s * time_scale)
            try:
                statuses.append((await self.post(client, waiting)).status_code)
            except httpx.HTTPError:
                statuses.append(0)
            if statuses[-1] // 100 == 2 or self.gives_up(statuses):
                break
        return statuses

    def gives_up(self, statuses: list[int]) -> bool:
        """Whether it stops before its intervals are used up, after these answers."""
        return False

    @abstractmethod
    async def post(self, client: httpx.AsyncClient, waiting: Waiting) -> httpx.Response:
        """Send one notification as this provider does, signed."""

    # The API

    async def _handle(self, request: Request) -> Reply:
        self.calls.append(request)
        self.settle_due()
        action = self.action(request)
        step = self.script.take(action)
        if step.reply is not None or step.fault in NO_EFFECT:
            return spoiled(step.reply or Reply(), step.fault, step.seconds)
        return spoiled(_lying(await self.answer(request, action, step), step), step.fault, step.seconds)

    async def answer(self, request: Request, action: str, step: Step) -> Reply:
        """The work and its answer, before anything goes wrong on the way out."""
        await asyncio.sleep(step.delay_s)
        return self.work(request, action)

    @abstractmethod
    def action(self, request: Request) -> str:
        """The name a script uses for this request."""

    @abstractmethod
    def work(self, request: Request, action: str) -> Reply:
        """Do what is asked and say so."""

    @abstractmethod
    def settle_due(self) -> None:
        """Let happen what is due by the fake's clock."""


def _lying(reply: Reply, step: Step) -> Reply:
    """The answer with the step's fields over its own; those that are None are left out."""
    if not step.fields:
        return reply
    body = {**json.loads(reply.body), **step.fields}
    told = {name: value for name, value in body.items() if value is not None}
    return Reply(reply.status, json.dumps(told).encode(), reply.headers)
