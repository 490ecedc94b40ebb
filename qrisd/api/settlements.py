"""Settlement reports: import one, read its lines, see where too much was kept."""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from pydantic_core import to_json
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from qrisd.api.json_body import BadBody
from qrisd.api.requests import acting, bad_query, read_day, read_query, read_row_cursor, read_whole_number
from qrisd.domain.business_day import Zones
from qrisd.domain.errors import Forbidden
from qrisd.domain.mdr import Mdr
from qrisd.domain.settlement import Imported, Kind
from qrisd.reports.sources import Reports, Source
from qrisd.schemas import import_resource, overcharge_resource, settlement_file_resource, settlement_resource
from qrisd.services import overcharges
from qrisd.services.api_keys import Caller
from qrisd.services.settlements import import_report
from qrisd.store import settlement_files, settlements
from qrisd.store.audit_log import Actor
from qrisd.store.db import Database, connect
from qrisd.store.settlements import Filter

LIST_PARAMETERS: Final = ("date", "provider", "kind", "file", "matched", "limit", "cursor")
FILE_PARAMETERS: Final = ("provider", "limit", "cursor")
OVERCHARGE_PARAMETERS: Final = ("from", "to", "provider", "limit", "cursor")
IMPORT_PARAMETERS: Final = ("provider", "name", "dry_run")
# An import may wait this long for others who write, and they for it: a little more than their own patience.
_BUSY_TIMEOUT_S: Final = 10.0
_FILE_ID: Final = re.compile(r"[0-9a-f-]{36}")


class SettlementsApi:
    """The handlers. One report is imported at a time, so that payments keep the processor."""

    def __init__(
        self, *, db: Database, reports: Reports, mdr: Mdr, zones: Zones, clock: Callable[[], datetime]
    ) -> None:
        self._db = db
        self._reports = reports
        self._mdr = mdr
        self._zones = zones
        self._clock = clock
        self._one_at_a_time = asyncio.Semaphore(1)

    async def find(self, request: Request, caller: Caller) -> Response:
        query = read_query(request, LIST_PARAMETERS)
        _refuse_limited(caller)
        limit, wanted = _limit(query), _filter(query)
        found = await self._db.read(lambda conn: settlements.find(conn, wanted, limit + 1))
        page = found[:limit]
        cursor = str(page[-1].id) if len(found) > limit else None
        return _json({"data": [settlement_resource(line) for line in page], "next_cursor": cursor})

    async def files(self, request: Request, caller: Caller) -> Response:
        query = read_query(request, FILE_PARAMETERS)
        _refuse_limited(caller)
        limit, before = _limit(query), _file_id(query, "cursor")
        find = partial(settlement_files.find, limit=limit + 1, provider=query.get("provider"), before=before)
        found = await self._db.read(find)
        page = found[:limit]
        cursor = page[-1].id if len(found) > limit else None
        return _json({"data": [settlement_file_resource(file) for file in page], "next_cursor": cursor})

    async def overcharges(self, request: Request, caller: Caller) -> Response:
        query = read_query(request, OVERCHARGE_PARAMETERS)
        _refuse_limited(caller)
        limit = _limit(query)
        since, until, before = read_day(query, "from"), read_day(query, "to"), read_row_cursor(query)
        wanted = Filter(since=since, until=until, provider=query.get("provider"), before=before)
        page = partial(overcharges.page, wanted=wanted, mdr=self._mdr, zones=self._zones, limit=limit)
        found, cursor = await self._db.read(page)
        data = [overcharge_resource(one.line, one.criteria, one.expected_fee) for one in found]
        return _json({"data": data, "next_cursor": None if cursor is None else str(cursor)})

    async def import_report(self, request: Request, caller: Caller) -> Response:
        query = read_query(request, IMPORT_PARAMETERS)
        _refuse_limited(caller)
        _refuse_form(request)
        dry_run, by = _flag(query, "dry_run") or False, acting(request, caller)
        if "provider" not in query:
            raise bad_query("provider", "is missing; say whose report it is")
        with _temporary() as path:
            source = self._reports.source(path, query.get("name", "upload"), query["provider"])
            await _receive(request, path)
            async with self._one_at_a_time:
                done = await run_in_threadpool(self._import, source, by, dry_run)
        return _json(import_resource(done), 200 if dry_run else 201)

    def _import(self, source: Source, by: Actor, dry_run: bool) -> Imported:
        with closing(connect(self._db.path, busy_timeout_s=_BUSY_TIMEOUT_S)) as conn:
            return import_report(conn, source, by, self._clock(), dry_run=dry_run)


@contextmanager
def _temporary() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="qrisd-report-") as folder:
        yield Path(folder) / "report"


async def _receive(request: Request, path: Path) -> None:
    """The body as a file; never all of it in memory."""
    with path.open("wb") as file:
        async for chunk in request.stream():
            file.write(chunk)


def _refuse_form(request: Request) -> None:
    """Raises BadBody for a form with parts, in which the file is only one of them. Any other media type is taken: what
    a file is, it says itself."""
    if request.headers.get("content-type", "").strip().lower().startswith("multipart/"):
        what = "send the file itself as the body, not a form: with curl --data-binary @FILE instead of -F"
        raise BadBody(415, "unsupported_media_type", f"This media type is not read; {what}.")


def _refuse_limited(caller: Caller) -> None:
    """Raises Forbidden for a key that is limited to some outlets."""
    if caller.outlets is not None:
        raise Forbidden("This API key is limited to some outlets, but settlements belong to all of them.")


def _limit(query: Mapping[str, str]) -> int:
    return read_whole_number(query, "limit", least=1, most=100, default=20)


def _filter(query: Mapping[str, str]) -> Filter:
    day = read_day(query, "date")
    if "kind" in query and query["kind"] not in list(Kind):
        raise bad_query("kind", f"must be one of {', '.join(Kind)}")
    return Filter(
        since=day,
        until=day,
        provider=query.get("provider"),
        kind=Kind(query["kind"]) if "kind" in query else None,
        file_id=_file_id(query, "file"),
        is_matched=_flag(query, "matched"),
        before=read_row_cursor(query),
    )


def _flag(query: Mapping[str, str], name: str) -> bool | None:
    if query.get(name) not in (None, "true", "false"):
        raise bad_query(name, "must be true or false")
    return None if name not in query else query[name] == "true"


def _file_id(query: Mapping[str, str], name: str) -> str | None:
    text = query.get(name)
    if text is not None and not _FILE_ID.fullmatch(text):
        raise bad_query(name, "is no id of a file from GET /settlements/files")
    return text


def _json(value: Any, status_code: int = 200) -> Response:
    return Response(to_json(value), status_code, media_type="application/json")
