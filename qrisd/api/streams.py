"""One payment followed live, by server-sent events."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Final

from sse_starlette import EventSourceResponse
from starlette.requests import Request
from starlette.responses import Response

from qrisd.api.auth import secret_of
from qrisd.api.rendered import Rendered, Rendering
from qrisd.api.requests import read_query
from qrisd.services.api_keys import Caller, Keyring
from qrisd.services.live import Live
from qrisd.services.payments import Payments, known_to

PING_EVERY_S: Final = 15
RECONNECT_AFTER_MS: Final = 2000

GoesOn = Callable[[], Awaitable[bool]]


class StreamsApi:
    """The handler; a commit wakes every stream of its payment, and all of them send the same rendering. A stream ends
    when its key does, or may do something else than it could."""

    def __init__(self, service: Payments, live: Live, rendered: Rendered, keyring: Keyring) -> None:
        self._service = service
        self._live = live
        self._rendered = rendered
        self._keyring = keyring

    async def follow(self, request: Request, caller: Caller) -> Response:
        read_query(request, ())
        payment = known_to(caller.outlets, await self._service.get(request.path_params["id"]))
        goes_on = partial(self._keyring.still, secret_of(request), caller)
        stream = self._stream(payment.id, request.headers.get("last-event-id"), goes_on)
        return EventSourceResponse(stream, ping=PING_EVERY_S, headers={"Cache-Control": "no-store"})

    async def _stream(self, payment_id: str, seen: str | None, goes_on: GoesOn) -> AsyncIterator[bytes]:
        """How the payment stands, unless that is what the client has `seen`, and every change, while it `goes_on`
        and until the end of the service."""
        yield b"retry: %d\r\n\r\n" % RECONNECT_AFTER_MS
        with self._live.watching(payment_id) as watch:
            while not self._live.closing:
                shown = self._rendered.of(await watch.look(partial(self._service.get, payment_id)))
                if not await goes_on():
                    return
                if shown.tag != seen:
                    seen = shown.tag
                    yield _event(shown)
                await watch.changed.wait()


def _event(shown: Rendering) -> bytes:
    return b"id: %s\r\nevent: payment\r\ndata: %s\r\n\r\n" % (shown.tag.encode(), shown.json)
