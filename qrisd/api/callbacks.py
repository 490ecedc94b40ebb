"""Callbacks, for those who receive them: what was sent, what waits, what was given up, and sending it again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any, Final

from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

from qrisd.api.requests import (
    acting,
    bad_query,
    read_body,
    read_moment,
    read_query,
    read_row_cursor,
    read_whole_number,
)
from qrisd.domain.callback import Callback, CallbackStatus, endpoint_of
from qrisd.domain.errors import Forbidden, NotFound
from qrisd.schemas import (
    PingUrl,
    ReplayCallbacks,
    ResumeEndpoint,
    callback_details,
    callback_resource,
    endpoint_resource,
    try_resource,
)
from qrisd.services import callbacks as service
from qrisd.services.api_keys import Caller
from qrisd.services.callbacks import Batch
from qrisd.services.delivering import Delivery
from qrisd.store import callback_tries, callbacks, payments
from qrisd.store.callbacks import Filter
from qrisd.store.db import Connection, Database

HISTORY_LIMIT: Final = 100
ENDPOINTS_LIMIT: Final = 100
LIST_PARAMETERS: Final = ("status", "endpoint", "payment_id", "since", "limit", "cursor")


class CallbacksApi:
    """The handlers. `problem` says why a URL cannot be a callback URL; `wake` tells the outbox of what is due."""

    def __init__(
        self,
        *,
        db: Database,
        delivery: Delivery,
        problem: Callable[[str], str | None],
        wake: Callable[[], None],
        clock: Callable[[], datetime],
    ) -> None:
        self._db = db
        self._delivery = delivery
        self._problem = problem
        self._wake = wake
        self._clock = clock

    async def find(self, request: Request, caller: Caller) -> Response:
        query = read_query(request, LIST_PARAMETERS)
        limit = read_whole_number(query, "limit", least=1, most=100, default=20)
        wanted = replace(_filter(query), outlets=caller.outlets)
        found = await self._db.read(lambda conn: callbacks.find(conn, wanted, limit + 1))
        page = found[:limit]
        cursor = str(page[-1].event_id) if len(found) > limit else None
        return _json({"data": [callback_resource(callback) for callback in page], "next_cursor": cursor})

    async def get(self, request: Request, caller: Caller) -> Response:
        read_query(request, ())
        callback = await self._known(request, caller)
        history = await self._db.read(lambda conn: callback_tries.of_callback(conn, callback.id, HISTORY_LIMIT))
        return _json(callback_details(callback, history))

    async def _known(self, request: Request, caller: Caller) -> Callback:
        """The callback the path names. Raises NotFound, also for one about a payment of an outlet out of their
        reach."""
        callback_id = request.path_params["id"]

        def look(conn: Connection) -> Callback | None:
            callback = callbacks.get(conn, callback_id)
            payment = payments.get(conn, callback.payment_id) if callback is not None else None
            return callback if payment is not None and caller.reaches(payment.outlet) else None

        callback = await self._db.read(look)
        if callback is None:
            raise NotFound("There is no such callback.")
        return callback

    async def replay(self, request: Request, caller: Caller) -> Response:
        read_query(request, ())
        callback_id, now = (await self._known(request, caller)).id, self._clock()
        by = acting(request, caller)
        callback = await self._db.write(lambda conn: service.replay(conn, callback_id, by, now))
        self._wake()
        return _json(callback_resource(callback), 202)

    async def replay_all(self, request: Request, caller: Caller) -> Response:
        read_query(request, ())
        wanted = await read_body(request, ReplayCallbacks)
        by, now = acting(request, caller), self._clock()
        first = Filter(**wanted.model_dump(), outlets=caller.outlets)
        begun = await self._db.write(lambda conn: service.begin_replay(conn, first, by, now))
        replayed, switched_off = await self._finish(begun, now)
        return _json({"replayed": replayed, "switched_off": switched_off})

    async def endpoints(self, request: Request, caller: Caller) -> Response:
        read_query(request, ())
        _refuse_limited(caller)
        found = await self._db.read(lambda conn: service.troubles(conn, ENDPOINTS_LIMIT))
        return _json({"data": [endpoint_resource(one.endpoint, one.waiting, one.dead) for one in found]})

    async def resume(self, request: Request, caller: Caller) -> Response:
        read_query(request, ())
        _refuse_limited(caller)
        url = (await read_body(request, ResumeEndpoint)).url
        by, now = acting(request, caller), self._clock()
        begun = await self._db.write(lambda conn: service.resume(conn, url, by, now))
        replayed, _ = await self._finish(begun, now)
        return _json({"url": url, "replayed": replayed})

    async def _finish(self, batch: Batch, now: datetime) -> tuple[int, int]:
        """Do what a replay has left to do; answers how many callbacks it sends again, and how many it cannot."""
        replayed, switched_off = batch.replayed, batch.switched_off
        self._wake()
        while (rest := batch.rest) is not None:
            batch = await self._db.write(partial(service.replay_batch, wanted=rest, now=now))
            replayed, switched_off = replayed + batch.replayed, switched_off + batch.switched_off
        return replayed, switched_off

    async def ping(self, request: Request, caller: Caller) -> Response:
        read_query(request, ())
        _refuse_limited(caller)
        url = (await read_body(request, PingUrl)).url
        tested = await service.ping(self._delivery, url, self._problem, self._clock())
        tried = try_resource(tested.tried)
        return _json({"delivered": tested.tried.succeeded, **tried, "curl": tested.curl})


def _refuse_limited(caller: Caller) -> None:
    """Receivers belong to the whole shop. Raises Forbidden for a key that is limited to some outlets."""
    if caller.outlets is not None:
        raise Forbidden("This API key is limited to some outlets, but receivers belong to all of them.")


def _json(value: Any, status_code: int = 200) -> Response:
    return Response(to_json(value), status_code, media_type="application/json")


def _filter(query: Mapping[str, str]) -> Filter:
    if "status" in query and query["status"] not in CallbackStatus.__members__:
        raise bad_query("status", f"must be one of {', '.join(CallbackStatus)}")
    return Filter(
        status=CallbackStatus(query["status"]) if "status" in query else None,
        endpoint=_endpoint(query),
        payment_id=query.get("payment_id"),
        since=read_moment(query, "since"),
        before=read_row_cursor(query),
    )


def _endpoint(query: Mapping[str, str]) -> str | None:
    try:
        return endpoint_of(query["endpoint"]) if "endpoint" in query else None
    except ValueError:
        raise bad_query("endpoint", "must be the web address that callbacks go to") from None
