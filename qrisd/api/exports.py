"""Exports: a table of some business days as a file."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from datetime import datetime
from functools import partial
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from qrisd.api.requests import acting, bad_query, read_day, read_query
from qrisd.domain.business_day import Zones
from qrisd.domain.errors import NotFound
from qrisd.services import exporting
from qrisd.services.api_keys import Caller
from qrisd.services.exporting import Format, Made, Wanted
from qrisd.store.db import Database
from qrisd.store.export_tables import TABLES

PARAMETERS: Final = ("from", "to", "outlet", "provider", "totals", "bom")
MEDIA_TYPES: Final = {
    Format.CSV: "text/csv; charset=utf-8",
    Format.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


class ExportsApi:
    """The handler. One export is made at a time, so that payments keep the processor; sending it is not counted."""

    def __init__(self, db: Database, zones: Zones, clock: Callable[[], datetime]) -> None:
        self._db = db
        self._zones = zones
        self._clock = clock
        self._one_at_a_time = asyncio.Semaphore(1)

    async def export(self, request: Request, caller: Caller) -> Response:
        query = read_query(request, PARAMETERS)
        table, _, ending = request.path_params["file"].partition(".")
        if table not in TABLES or ending not in list(Format):
            raise NotFound(f"There is no such export; take one of {', '.join(TABLES)}, with .csv or .xlsx.")
        wanted, kind = _wanted(table, query, caller), Format(ending)
        totals, bom = _flag(query, "totals"), _flag(query, "bom")
        made = partial(exporting.make, self._db.path, wanted, self._zones, kind, totals=totals, bom=bom)
        stack = ExitStack()
        try:
            async with self._one_at_a_time:
                export = await run_in_threadpool(stack.enter_context, made())
            note = partial(exporting.note, wanted=wanted, made=export, by=acting(request, caller), now=self._clock())
            await self._db.write(note)
        except BaseException:
            stack.close()
            raise
        return _file(export, f"{table}-{wanted.first}-{wanted.last}.{kind}", MEDIA_TYPES[kind], stack)


def _wanted(table: str, query: Mapping[str, str], caller: Caller) -> Wanted:
    first, last = read_day(query, "from"), read_day(query, "to")
    if first is None or last is None:
        raise bad_query("from" if first is None else "to", "is missing; send a business day like 2026-01-15")
    return Wanted(
        table=TABLES[table],
        first=first,
        last=last,
        outlet=query.get("outlet"),
        provider=query.get("provider"),
        outlets=caller.outlets,
    )


def _flag(query: Mapping[str, str], name: str) -> bool:
    if query.get(name, "false") not in ("true", "false"):
        raise bad_query(name, "must be true or false")
    return query.get(name) == "true"


def _file(export: Made, name: str, media_type: str, stack: ExitStack) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return StreamingResponse(_until_closed(export, stack), 200, headers, media_type)


def _until_closed(export: Made, stack: ExitStack) -> Iterator[bytes]:
    with stack:
        yield from export.chunks
