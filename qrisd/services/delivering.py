"""One try of one callback: signed anew, sent, and what came of it stored."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final, Protocol

import structlog

from qrisd.callback_secrets import CallbackSecrets
from qrisd.domain.callback import (
    Callback,
    CallbackStatus,
    Endpoint,
    Try,
    after_try,
    endpoint_after,
    retry_after_s,
    without_secrets,
)
from qrisd.domain.callback_signature import signed_headers
from qrisd.domain.errors import StorageBusy, StorageUnavailable
from qrisd.net.guarded import Outcome
from qrisd.store import callback_endpoints, callback_tries, callbacks
from qrisd.store.db import Connection, Database

log = structlog.get_logger()

STORES_AGAIN_AFTER_S: Final = 1.0
HEADERS: Final = {"content-type": "application/json"}


class Posts(Protocol):
    """The way out to a merchant's server."""

    async def post(self, url: str, headers: Mapping[str, str], content: bytes) -> Outcome:
        """Send one POST and read the beginning of the answer. Raises nothing."""
        ...


class Delivery:
    """`luck()` is a random number from 0 to 1."""

    def __init__(
        self,
        *,
        db: Database,
        http: Posts,
        secrets: CallbackSecrets,
        clock: Callable[[], datetime],
        count: Callable[[Callback, Try], None],
        luck: Callable[[], float] = random.random,
    ) -> None:
        self._db = db
        self._http = http
        self._secrets = secrets
        self._clock = clock
        self._count = count
        self._luck = luck

    async def attempt(self, callback: Callback) -> Try:
        """Try a callback now and store how it went, as soon as the database takes it: until then it is not tried
        again, unless the process ends."""
        tried = await self.send(callback.id, callback.url, callback.body)
        present, off = await self._stored(callback.id, tried)
        self._count(present, tried)
        if off is not None:
            log.error("callback endpoint switched off", endpoint=off.url, why=off.reason)
        if present.status is CallbackStatus.DEAD:
            log.error("callback given up", callback=callback.id, payment=callback.payment_id, why=present.reason)
        return tried

    async def _stored(self, callback_id: str, tried: Try) -> tuple[Callback, Endpoint | None]:
        """The callback as it stands after the try, and its endpoint if that was just switched off."""
        luck, is_late = self._luck(), False
        while True:
            try:
                return await self._db.write(lambda conn: self._record(conn, callback_id, tried, luck))
            except (StorageBusy, StorageUnavailable) as error:
                if not is_late:
                    log.warning("callback not recorded yet", callback=callback_id, why=str(error))
                is_late = True
                await asyncio.sleep(STORES_AGAIN_AFTER_S)

    async def send(self, callback_id: str, url: str, body: str) -> Try:
        """Send `body` signed by every live secret; nothing is stored."""
        return await self.post(url, self.signed(callback_id, body), body)

    def signed(self, callback_id: str, body: str) -> Mapping[str, str]:
        """The headers that go with `body` when it is sent now."""
        return {**HEADERS, **signed_headers(self._secrets.live(), callback_id, body, self._clock())}

    async def post(self, url: str, headers: Mapping[str, str], body: str) -> Try:
        """Send exactly this; nothing is stored."""
        outcome = await self._http.post(url, headers, body.encode())
        now = self._clock()
        return Try(
            at=now,
            latency_ms=outcome.latency_ms,
            status_code=outcome.status,
            address=outcome.address,
            answer=without_secrets(outcome.excerpt) if outcome.status is not None else None,
            error=outcome.failure,
            retry_after_s=retry_after_s(outcome.retry_after, now),
        )

    def _record(self, conn: Connection, callback_id: str, tried: Try, luck: float) -> tuple[Callback, Endpoint | None]:
        callback = callbacks.get(conn, callback_id)
        assert callback is not None, "callbacks are never deleted"
        after = after_try(callback, tried, luck)
        callback_tries.add(conn, callback_id, tried)
        callbacks.save(conn, after)
        off = self._record_endpoint(conn, callback.endpoint, tried)
        present = callbacks.get(conn, callback_id)
        assert present is not None
        return present, off

    def _record_endpoint(self, conn: Connection, url: str, tried: Try) -> Endpoint | None:
        before = callback_endpoints.get(conn, url)
        after = endpoint_after(before, tried)
        if after == before:
            return None
        callback_endpoints.save(conn, after)
        if after.off_since is None:
            return None
        callbacks.bury(conn, url, f"its endpoint is switched off: {after.reason}")
        return after
