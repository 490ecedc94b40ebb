"""A merchant's server on loopback: it keeps a book of what it was told, and goes wrong as scripted."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from tests.fakes.script import Fault, Script
from tests.fakes.server import LoopbackServer, Reply, Request
from tests.fakes.wire import spoiled


@dataclass(frozen=True, slots=True)
class Told:
    """One callback as it arrived. `is_genuine` is the word of the public verifier."""

    id: str
    headers: Mapping[str, str]
    body: bytes
    event: dict[str, Any]
    is_genuine: bool
    answered: int | None


class FakeReceiver:
    """`script.next("callback", Fault.TIMEOUT)` or with a `reply` makes the next callback go wrong."""

    def __init__(self, secret: str = "") -> None:
        self.secret = secret
        self.script = Script()
        self.book: list[Told] = []
        self._server = LoopbackServer(self._handle)
        self._arrived = asyncio.Condition()

    @property
    def url(self) -> str:
        return f"{self._server.url}/hooks/qrisd"

    async def start(self) -> None:
        await self._server.start()

    async def stop(self) -> None:
        await self._server.stop()

    @property
    def received(self) -> list[Told]:
        """What it answered with success."""
        return [one for one in self.book if one.answered is not None and 200 <= one.answered < 300]

    async def wait_for(self, count: int, within_s: float = 10.0) -> list[Told]:
        """What has arrived, once that is at least `count` callbacks."""
        async with asyncio.timeout(within_s), self._arrived:
            await self._arrived.wait_for(lambda: len(self.book) >= count)
        return self.book

    async def _handle(self, request: Request) -> Reply:
        step = self.script.take("callback")
        await asyncio.sleep(step.delay_s)
        reply = step.reply or Reply(204)
        lost = step.fault in (Fault.TIMEOUT, Fault.DROP_AFTER_EFFECT, Fault.DROP_BEFORE_EFFECT)
        told = Told(
            id=request.headers.get("webhook-id", ""),
            headers=request.headers,
            body=request.body,
            event=request.json(),
            is_genuine=self._verify(request),
            answered=None if lost else 500 if step.fault is Fault.ERROR_AFTER_EFFECT else reply.status,
        )
        async with self._arrived:
            self.book.append(told)
            self._arrived.notify_all()
        return spoiled(reply, step.fault, step.seconds)

    def _verify(self, request: Request) -> bool:
        try:
            Webhook(self.secret).verify(request.body, dict(request.headers), json_parse=False)
        except (WebhookVerificationError, ValueError, RuntimeError):
            return False
        return True
