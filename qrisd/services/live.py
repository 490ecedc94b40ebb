"""Who is waiting for payments to change. Woken by the commit itself, never by asking the database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from qrisd.domain.payment import Payment

Read = Callable[[], Coroutine[Any, Any, Payment]]


class Watch:
    """One waiter. `changed` is set by every change and cleared by whoever looks, before they look."""

    def __init__(self, crowd: Crowd) -> None:
        self.changed = asyncio.Event()
        self._crowd = crowd

    async def wait(self, until: float) -> bool:
        """True when something has changed, False when nothing did before `until`, on the clock of the loop."""
        try:
            async with asyncio.timeout_at(until):
                return await self.changed.wait()
        except TimeoutError:
            return False

    async def look(self, read: Read) -> Payment:
        """How the payment stands, by `read` or by what another waiter is reading already."""
        self.changed.clear()
        return await self._crowd.look(read)


class Crowd:
    """Everybody who waits for the same thing, and the one reading that serves all who look at the same time."""

    def __init__(self) -> None:
        self.watches: set[Watch] = set()
        self._reading: asyncio.Task[Payment] | None = None

    def wake(self) -> None:
        """It has changed."""
        self._reading = None  # it may have missed the change: it serves nobody who looks from now on
        for watch in self.watches:
            watch.changed.set()

    async def look(self, read: Read) -> Payment:
        if self._reading is None:
            self._reading = asyncio.create_task(read())
            self._reading.add_done_callback(self._has_read)
        return await asyncio.shield(self._reading)  # a waiter who leaves takes it from nobody

    def _has_read(self, reading: asyncio.Task[Payment]) -> None:
        if self._reading is reading:
            self._reading = None


class Live:
    """The waiters of this process: by payment id, and those who wait for any payment."""

    def __init__(self) -> None:
        self._crowds: dict[str, Crowd] = {}
        self._of_all = Crowd()
        self.closing = False

    @contextmanager
    def watching(self, payment_id: str) -> Iterator[Watch]:
        """Hear of the changes of one payment inside the block."""
        crowd = self._crowds.setdefault(payment_id, Crowd())
        with _watching(crowd) as watch:
            try:
                yield watch
            finally:
                if crowd.watches == {watch}:
                    del self._crowds[payment_id]

    @contextmanager
    def watching_all(self) -> Iterator[Watch]:
        """Hear of the changes of every payment inside the block."""
        with _watching(self._of_all) as watch:
            yield watch

    def tell(self, payment_id: str) -> None:
        """The payment has changed."""
        if payment_id in self._crowds:
            self._crowds[payment_id].wake()
        self._of_all.wake()

    def tell_all(self) -> None:
        """Something changed that we did not do ourselves, or everything ends: let every waiter look."""
        for crowd in (*self._crowds.values(), self._of_all):
            crowd.wake()

    def close(self) -> None:
        """Send every waiter home."""
        self.closing = True
        self.tell_all()


@contextmanager
def _watching(crowd: Crowd) -> Iterator[Watch]:
    watch = Watch(crowd)
    crowd.watches.add(watch)
    try:
        yield watch
    finally:
        crowd.watches.discard(watch)
