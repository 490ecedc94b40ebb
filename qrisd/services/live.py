"""Who is waiting for a payment to change. Woken by the commit itself, never by asking the database."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager


class Watch:
    """One waiter. `changed` is set by every change and cleared by whoever has looked."""

    def __init__(self) -> None:
        self.changed = asyncio.Event()


class Live:
    """The waiters of this process, by payment id."""

    def __init__(self) -> None:
        self._watches: dict[str, set[Watch]] = defaultdict(set)
        self.closing = False

    @contextmanager
    def watching(self, payment_id: str) -> Iterator[Watch]:
        """Hear of the changes of one payment inside the block."""
        watch = Watch()
        self._watches[payment_id].add(watch)
        try:
            yield watch
        finally:
            self._watches[payment_id].discard(watch)
            if not self._watches[payment_id]:
                del self._watches[payment_id]

    def tell(self, payment_id: str) -> None:
        """The payment has changed."""
        for watch in self._watches.get(payment_id, ()):
            watch.changed.set()

    def tell_all(self) -> None:
        """Something changed that we did not do ourselves, or everything ends: let every waiter look."""
        for watches in self._watches.values():
            for watch in watches:
                watch.changed.set()

    def close(self) -> None:
        """Send every waiter home."""
        self.closing = True
        self.tell_all()

    def __len__(self) -> int:
        return sum(map(len, self._watches.values()))
