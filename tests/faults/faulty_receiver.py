"""A merchant's server that gets the first tries of every callback wrong, as planned, and keeps a small book of each."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Final

from standardwebhooks.webhooks import Webhook

from tests.fakes.script import Fault
from tests.fakes.server import Connection, LoopbackServer, Reply, Request
from tests.fakes.wire import spoiled

DRIPS_EVERY_S: Final = 0.01
_CHUNK: Final = b"x" * 16_384


async def endless(connection: Connection, head: bytes) -> None:
    """`head`, then a body or headers until the other side leaves."""
    await connection.send(head)
    while True:
        await connection.send(_CHUNK)


async def drips(connection: Connection, data: bytes) -> None:
    """A byte now and then, until the other side leaves."""
    for byte in data:
        await connection.send(bytes([byte]))
        await asyncio.sleep(DRIPS_EVERY_S)
    await connection.reader.read()


async def _says(connection: Connection, data: bytes) -> None:
    await connection.send(data)
    connection.writer.close()


def _endless_body(status: int) -> Reply:
    return Reply(wire=lambda connection: endless(connection, Reply(status).head(10**12)))


def _with_odd_pause(chance: random.Random, now: datetime) -> Reply:
    """503 with a Retry-After of any kind; one that asks for a day is rare, because it holds up the end of the run."""
    dates = [format_datetime(now + timedelta(seconds=seconds), usegmt=True) for seconds in (-3_600, 60, 3_600)]
    odd = ["-5", "soon", "0", "1", "60", "3600", "1.5", "", "٣", "Wed, 99 Foo 2026 25:61:61 GMT", "inf", *dates] * 4
    return Reply(503, headers={"Retry-After": chance.choice([*odd, "999999999999999999999"])})


# What it does wrong, how often beside the others, and how. None of these is a success.
FAILURES: Final[dict[str, tuple[int, Callable[[random.Random, datetime], Reply]]]] = {
    "500": (12, lambda chance, now: Reply(500, b"Sorry, an unexpected error happened")),
    "503 and an odd pause": (12, _with_odd_pause),
    "429": (10, lambda chance, now: Reply(429, headers={"Retry-After": str(chance.randint(0, 90))})),
    "401, 404, 418": (8, lambda chance, now: Reply(chance.choice((401, 404, 418)))),
    "redirect": (10, lambda chance, now: Reply(chance.choice((301, 302, 307)), headers={"Location": "/elsewhere"})),
    "drops": (12, lambda chance, now: spoiled(Reply(), Fault.DROP_AFTER_EFFECT)),
    "not HTTP": (8, lambda chance, now: Reply(wire=lambda connection: _says(connection, b"220 smtp ready\r\n"))),
    "cut headers": (8, lambda chance, now: Reply(wire=lambda connection: _says(connection, b"HTTP/1.1 200 OK\r\nA"))),
    "endless headers": (
        6,
        lambda chance, now: Reply(wire=lambda connection: endless(connection, b"HTTP/1.1 200 OK\r\nA: ")),
    ),
    "500 and an endless body": (6, lambda chance, now: _endless_body(500)),
    "drips headers": (1, lambda chance, now: Reply(wire=lambda connection: drips(connection, Reply().head()[:40]))),
    "hangs": (1, lambda chance, now: spoiled(Reply(), Fault.TIMEOUT)),
}
# How it succeeds, now and then oddly: the status counts, whatever becomes of the body.
SUCCESSES: Final[dict[str, tuple[int, Callable[[], Reply]]]] = {
    "plain": (94, lambda: Reply(204)),
    "endless body": (3, lambda: _endless_body(200)),
    "cut body": (3, lambda: spoiled(Reply(200, b"thank you"), Fault.CUT_BODY)),
}


@dataclass(slots=True)
class Entry:
    """One callback as the receiver saw it: its event, what still goes wrong, when it was signed, how often taken."""

    event: tuple[str, int]
    fates: list[str]
    signed_at: list[str] = field(default_factory=list)
    first_at: float = 0.0
    taken: int = 0


class FaultyReceiver:
    """`plan` has, for each callback that is new, what goes wrong with it first; without one all goes well. Everything
    that is wrong about a request itself is in `complaints`."""

    def __init__(
        self, secret: str, clock: Callable[[], datetime], chance: random.Random, plan: Sequence[list[str]] = ()
    ) -> None:
        self._verifier = Webhook(secret)
        self._clock = clock
        self._chance = chance
        self._plan: Iterator[list[str]] = iter(plan)
        self._is_faulty = bool(plan)
        self._server = LoopbackServer(self._handle)
        self.book: dict[str, Entry] = {}
        self.injected: Counter[str] = Counter()
        self.complaints: list[str] = []

    async def __aenter__(self) -> FaultyReceiver:
        await self._server.start()
        return self

    async def __aexit__(self, *raised: object) -> None:
        await self._server.stop()

    @property
    def url(self) -> str:
        return f"{self._server.url}/hooks/qrisd"

    @property
    def again(self) -> int:
        """How many requests came for what had been taken before."""
        return sum(entry.taken - 1 for entry in self.book.values() if entry.taken)

    async def _handle(self, request: Request) -> Reply:
        if request.path != "/hooks/qrisd":
            self.complaints.append(f"{request.path}: a redirect was followed")
            return Reply(200)
        entry = self._entry(request)
        if entry.fates:
            name = entry.fates.pop()
            self.injected[name] += 1
            return FAILURES[name][1](self._chance, self._clock())
        entry.taken += 1
        return self._success()

    def _entry(self, request: Request) -> Entry:
        told, callback_id = request.json(), request.headers.get("webhook-id", "")
        event = (told["data"]["id"], told["sequence"])
        if callback_id not in self.book:
            self.book[callback_id] = Entry(event, next(self._plan, []), first_at=time.monotonic())
        entry = self.book[callback_id]
        signed_at = request.headers.get("webhook-timestamp", "")
        if entry.event != event:
            self.complaints.append(f"{callback_id}: was {entry.event}, is {event}")
        if not self._is_genuine(request, callback_id, signed_at):
            self.complaints.append(f"{callback_id}: bad signature")
        if signed_at in entry.signed_at and self._is_faulty:
            self.complaints.append(f"{callback_id}: signed at {signed_at} twice")
        entry.signed_at.append(signed_at)
        return entry

    def _is_genuine(self, request: Request, callback_id: str, signed_at: str) -> bool:
        """What the public verifier would have signed at that moment; its own clock does not run fast."""
        moment = datetime.fromtimestamp(int(signed_at), UTC)
        signature = self._verifier.sign(callback_id, moment, request.body.decode())
        return signature in request.headers.get("webhook-signature", "").split()

    def _success(self) -> Reply:
        if not self._is_faulty:
            return Reply(204)
        weights = [weight for weight, _ in SUCCESSES.values()]
        (name,) = self._chance.choices(list(SUCCESSES), weights)
        return SUCCESSES[name][1]()
