"""The feed: every event of every payment in the order of the commits, for a till with no public address."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from qrisd.api.auth import secret_of
from qrisd.api.requests import bad_query, read_query, read_whole_number
from qrisd.domain.errors import FieldError, Invalid
from qrisd.domain.permissions import Outlets
from qrisd.services.api_keys import Caller, Keyring
from qrisd.services.live import Live
from qrisd.store import events
from qrisd.store.db import Database
from qrisd.store.events import Event

MAX_WAIT_S: Final = 60
LATEST: Final = "latest"
_PARSED_ID: Final = re.compile(r"[0-9]{1,15}")


class EventsApi:
    """Answers from the stored bodies, and waits for the next commit where there is nothing to answer yet."""

    def __init__(self, db: Database, live: Live, keyring: Keyring) -> None:
        self._db = db
        self._live = live
        self._keyring = keyring

    async def find(self, request: Request, caller: Caller) -> Response:
        query = read_query(request, ("after", "wait", "limit"))
        wait_s = read_whole_number(query, "wait", least=0, most=MAX_WAIT_S, default=0)
        limit = read_whole_number(query, "limit", least=1, most=100, default=100)
        asked = _after(query)
        newest = await self._db.read(events.newest)
        after = newest if asked is None else asked
        if after > newest:
            raise Invalid(FieldError("after", _beyond(after, newest)))
        goes_on = partial(self._keyring.still, secret_of(request), caller)
        page = await self._page(after, limit, wait_s, caller.outlets, goes_on)
        return Response(_json(page, after), media_type="application/json")

    async def _page(
        self, after: int, limit: int, wait_s: int, outlets: Outlets, goes_on: Callable[[], Awaitable[bool]]
    ) -> Sequence[Event]:
        """The events behind `after`; none only when none came within `wait_s`, or the service or the caller's rights
        end."""
        until = asyncio.get_running_loop().time() + wait_s
        with self._live.watching_all() as watch:
            while True:
                watch.changed.clear()
                page = await self._db.read(partial(events.after, event_id=after, limit=limit, outlets=outlets))
                if page or self._live.closing or not await watch.wait(until) or not await goes_on():
                    return page


def _after(query: Mapping[str, str]) -> int | None:
    """The id of the last event the caller has; None for `latest`."""
    text = query.get("after", "0")
    if text == LATEST:
        return None
    if not _PARSED_ID.fullmatch(text):
        raise bad_query("after", f"must be the id of the last event you have, 0, or {LATEST}")
    return int(text)


def _beyond(after: int, newest: int) -> str:
    there_is = f"the newest is {newest}" if newest else "there are none yet"
    return (
        f"There is no event {after} here: {there_is}. If the service was restored from a backup, read your open "
        f"payments again, then go on with after={LATEST}."
    )


def _json(page: Sequence[Event], after: int) -> str:
    """The stored bodies as they are, each with its id in front."""
    data = ",".join(f'{{"id":{event.id},{event.body[1:]}' for event in page)
    return f'{{"data":[{data}],"next_after":{page[-1].id if page else after}}}'
