"""Host names to addresses, beside the event loop: a name server that hangs holds up only those who ask for it."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final

_MOST_LOOK_UPS: Final = 32

Answers = list[str]


def _ask_the_system(host: str, port: int) -> Answers:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class SystemResolver:
    """Asks as the system is set up to. One look-up for a name at a time, which all who ask meanwhile share; each in a
    daemon thread, so that one that hangs delays neither others nor the end of the process."""

    def __init__(self, ask: Callable[[str, int], Answers] = _ask_the_system) -> None:
        self._ask = ask
        self._asking: dict[tuple[str, int], asyncio.Future[Answers]] = {}

    async def __call__(self, host: str, port: int) -> Answers:
        """The addresses of `host`. Raises OSError when there are none, or when too many look-ups hang already."""
        key = (host, port)
        if key not in self._asking:
            if len(self._asking) >= _MOST_LOOK_UPS:
                raise OSError("too many look-ups wait already")
            self._asking[key] = self._begin(key)
        return await asyncio.shield(self._asking[key])

    def _begin(self, key: tuple[str, int]) -> asyncio.Future[Answers]:
        future: asyncio.Future[Answers] = asyncio.get_running_loop().create_future()
        future.add_done_callback(lambda done: self._finish(key, done))
        threading.Thread(target=self._run, args=(key, future), name="callback-dns", daemon=True).start()
        return future

    def _finish(self, key: tuple[str, int], done: asyncio.Future[Answers]) -> None:
        del self._asking[key]
        if not done.cancelled():
            done.exception()  # nobody may be waiting for it any more

    def _run(self, key: tuple[str, int], future: asyncio.Future[Answers]) -> None:
        try:
            answers, error = self._ask(*key), None
        except (OSError, UnicodeError) as raised:
            answers, error = [], OSError(str(raised))
        with suppress(RuntimeError):  # the loop has ended meanwhile
            future.get_loop().call_soon_threadsafe(_settle, future, answers, error)


def _settle(future: asyncio.Future[Answers], answers: Answers, error: OSError | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(answers)
    else:
        future.set_exception(error)
