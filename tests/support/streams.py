"""Server-sent events, followed inside the test's process."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from tests.support.installation import Installation
from tests.support.people import Browser

PATIENCE_S: Final = 5.0


class Heard:
    """What a stream has said: `get()` is the next event's data, None once the stream has ended."""

    def __init__(self) -> None:
        self._events: asyncio.Queue[Any] = asyncio.Queue()

    def put(self, event: Any) -> None:
        self._events.put_nowait(event)

    async def get(self) -> Any:
        return await asyncio.wait_for(self._events.get(), PATIENCE_S)


@asynccontextmanager
async def follow(shop: Installation, browser: Browser, path: str) -> AsyncIterator[Heard]:
    """The stream at this path as the browser hears it. The test's HTTP client would wait for its end."""
    request, heard = browser.client.build_request("GET", path), Heard()

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        for line in message.get("body", b"").decode().splitlines():
            if line.startswith("data: "):
                heard.put(json.loads(line[6:]))

    scope = {
        "type": "http",
        "method": "GET",
        "path": request.url.path,
        "raw_path": request.url.raw_path,
        "query_string": b"",
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "client": ("192.0.2.7", 1),
        "scheme": "http",
        "http_version": "1.1",
        "root_path": "",
    }
    following = asyncio.create_task(shop.app(scope, receive, send))
    following.add_done_callback(lambda _: heard.put(None))
    try:
        yield heard
    finally:
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following
