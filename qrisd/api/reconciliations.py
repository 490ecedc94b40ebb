"""Reconciliations: start one, see one, and do something about what it found."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any, Final

from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

from qrisd.api.requests import acting, bad_query, read_body, read_query, read_whole_number
from qrisd.day_report import drawing, resource, spreadsheet
from qrisd.domain.errors import FieldError, Forbidden, Invalid, NotFound
from qrisd.domain.reconciliation import Class, FindingStatus
from qrisd.domain.reconciliation_report import Report
from qrisd.schemas import ActOnException, EnterPayout, StartReconciliation
from qrisd.services import findings
from qrisd.services.api_keys import Caller
from qrisd.services.findings import Act
from qrisd.services.reconciling import Reconciling
from qrisd.store.db import Connection, Database
from qrisd.web.languages import language_of
from qrisd.web.pages import POLICY

# A small day is answered at once; after this long the caller is sent away to look again.
ANSWER_WITHIN_S: Final = 3.0
RETRY_AFTER_S: Final = "2"
ABSENT: Final = "This day has not been reconciled. Start it with POST /reconciliations."
FORMATS: Final = {"application/json": "json", "text/csv": "csv", "text/html": "html"}
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class ReconciliationsApi:
    """The handlers. `root` is the path of our address, "" mostly."""

    def __init__(
        self,
        *,
        db: Database,
        reconciling: Reconciling,
        providers: Mapping[str, object],
        root: str,
        clock: Callable[[], datetime],
    ) -> None:
        self._db = db
        self._reconciling = reconciling
        self._providers = providers
        self._root = root
        self._clock = clock
        self._started: set[asyncio.Task[Report]] = set()

    async def start(self, request: Request, caller: Caller) -> Response:
        read_query(request, ())
        _refuse_limited(caller)
        wanted = await read_body(request, StartReconciliation)
        day = self._day(wanted.date)
        if day is None:
            raise Invalid(FieldError("date", "Send a business day like 2026-01-15, today or yesterday."))
        task = asyncio.create_task(self._reconciling.run(day, wanted.provider, by=acting(request, caller)))
        self._started.add(task)
        task.add_done_callback(self._ended)
        await asyncio.wait({task}, timeout=ANSWER_WITHIN_S)
        if task.done():
            return _json(resource.resource(task.result()))
        answer = _json(self._running(day, wanted.provider), 202)
        answer.headers["Retry-After"] = RETRY_AFTER_S
        answer.headers["Location"] = f"{self._root}/reconciliations/{day}"
        return answer

    def _ended(self, task: asyncio.Task[Report]) -> None:
        self._started.discard(task)
        if not task.cancelled():
            task.exception()  # told to whoever waits; nobody may be

    def _running(self, day: date, provider: str | None) -> dict[str, Any]:
        progress = self._reconciling.progress(day, provider)
        return resource.running(day, provider, self._reconciling.timezone, progress)

    async def find(self, request: Request, caller: Caller) -> Response:
        query = read_query(request, ("limit", "cursor"))
        _refuse_limited(caller)
        limit = read_whole_number(query, "limit", least=1, most=100, default=20)
        before = self._day(query["cursor"]) if "cursor" in query else None
        if "cursor" in query and before is None:
            raise bad_query("cursor", "is not a next_cursor from this list")
        days = await self._reconciling.days(before, limit + 1)
        page = days[:limit]
        cursor = page[-1].run.day.isoformat() if len(days) > limit else None
        return _json({"data": [resource.day_resource(one) for one in page], "next_cursor": cursor})

    async def get(self, request: Request, caller: Caller) -> Response:
        query = read_query(request, ("provider", "format", "lang"))
        _refuse_limited(caller)
        day, provider = self._path_day(request), query.get("provider")
        form = _format(request, query)
        if form == "json" and self._reconciling.progress(day, provider) is not None:
            return _json(self._running(day, provider))
        report = await self._reconciling.report(day, provider)
        if report is None:
            raise NotFound(ABSENT)
        return self._shown(request, report, form)

    def _shown(self, request: Request, report: Report, form: str) -> Response:
        language = language_of(request)
        if form == "html":
            page = drawing.page(report, language, root=self._root)
            return Response(page, headers={"Content-Security-Policy": POLICY}, media_type="text/html")
        if form == "csv":
            name = f"reconciliation-{report.day}.csv"
            headers = {"Content-Disposition": f'attachment; filename="{name}"'}
            return Response("".join(spreadsheet.chunks(report, language)), headers=headers, media_type="text/csv")
        return _json(resource.resource(report))

    async def exceptions(self, request: Request, caller: Caller) -> Response:
        query = read_query(request, ("provider", "status", "class", "limit", "cursor"))
        _refuse_limited(caller)
        limit = read_whole_number(query, "limit", least=1, most=100, default=20)
        report = await self._reconciling.report(self._path_day(request), query.get("provider"))
        if report is None:
            raise NotFound(ABSENT)
        status, kind = _word(query, "status", FindingStatus), _word(query, "class", Class)
        found = [
            one
            for one in report.findings
            if status in (None, one.status.lower()) and kind in (None, one.difference.kind)
        ]
        ids = [one.difference.id for one in found]
        if query.get("cursor") not in (None, *ids):
            raise bad_query("cursor", "is not a next_cursor from this list")
        start = ids.index(query["cursor"]) + 1 if "cursor" in query else 0
        page = found[start : start + limit]
        cursor = page[-1].difference.id if start + limit < len(found) else None
        return _json({"data": [resource.finding_resource(one) for one in page], "next_cursor": cursor})

    async def act(self, request: Request, caller: Caller) -> Response:
        read_query(request, ())
        _refuse_limited(caller)
        wanted = await read_body(request, ActOnException)
        what, by, now = Act(**wanted.model_dump()), acting(request, caller), self._clock()
        unit = partial(findings.act, finding_id=request.path_params["id"], what=what, by=by, now=now)
        return _json(resource.finding_resource(await self._db.write(unit)))

    async def enter_payout(self, request: Request, caller: Caller) -> Response:
        read_query(request, ())
        _refuse_limited(caller)
        wanted = await read_body(request, EnterPayout)
        day = self._day(wanted.date)
        if day is None:
            raise Invalid(FieldError("date", "Send a business day like 2026-01-15."))
        if wanted.provider not in self._providers:
            raise Invalid(FieldError("provider", f"There is no such provider; there are {', '.join(self._providers)}."))
        by, now = acting(request, caller), self._clock()

        def unit(conn: Connection) -> None:
            findings.enter_payout(conn, wanted.provider, day, wanted.amount, by, now, why=wanted.reason)

        await self._db.write(unit)
        return _json({"provider": wanted.provider, "date": day.isoformat(), "amount": wanted.amount})

    def _path_day(self, request: Request) -> date:
        day = self._day(request.path_params["date"])
        if day is None:
            raise NotFound("Name a business day like 2026-01-15, today or yesterday.")
        return day

    def _day(self, text: str) -> date | None:
        today = self._reconciling.today
        if text in ("today", "yesterday"):
            return today if text == "today" else today - timedelta(days=1)
        try:
            day = date.fromisoformat(text) if _DAY.fullmatch(text) else None
        except ValueError:
            return None
        return day if day is not None and date(2000, 1, 1) <= day <= date(2200, 1, 1) else None


def _refuse_limited(caller: Caller) -> None:
    """Raises Forbidden for a key that is limited to some outlets: a day is that of the whole shop."""
    if caller.outlets is not None:
        raise Forbidden("A day is reconciled for all outlets; this API key is limited to some.")


def _format(request: Request, query: Mapping[str, str]) -> str:
    """What the query asks for, else the first of Accept that we can give."""
    if "format" in query:
        if query["format"] not in FORMATS.values():
            raise bad_query("format", f"must be one of {', '.join(FORMATS.values())}")
        return query["format"]
    accepted = [part.partition(";")[0].strip().lower() for part in request.headers.get("accept", "").split(",")[:20]]
    return next((FORMATS[one] for one in accepted if one in FORMATS), "json")


def _word(query: Mapping[str, str], name: str, words: type[Class] | type[FindingStatus]) -> str | None:
    known = [word.lower() for word in words]
    if query.get(name) not in (None, *known):
        raise bad_query(name, f"must be one of {', '.join(known)}")
    return query.get(name)


def _json(value: Any, status_code: int = 200) -> Response:
    return Response(to_json(value), status_code, media_type="application/json")
