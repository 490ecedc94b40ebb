"""The audit log, for those who look into what others did."""

from __future__ import annotations

from typing import Final

from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

from qrisd.api.requests import read_moment, read_query, read_row_cursor, read_whole_number
from qrisd.domain.errors import Forbidden
from qrisd.schemas import audit_resource
from qrisd.services.api_keys import Caller
from qrisd.store import audit_log
from qrisd.store.audit_log import Filter
from qrisd.store.db import Database

PARAMETERS: Final = ("since", "who", "action", "what", "limit", "cursor")


class AuditApi:
    def __init__(self, db: Database) -> None:
        self._db = db

    async def find(self, request: Request, caller: Caller) -> Response:
        query = read_query(request, PARAMETERS)
        if caller.outlets is not None:
            raise Forbidden("This API key is limited to some outlets, but the audit log is of all of them.")
        limit = read_whole_number(query, "limit", least=1, most=100, default=20)
        wanted = Filter(
            since=read_moment(query, "since"),
            who=query.get("who"),
            action=query.get("action"),
            what=query.get("what"),
            before=read_row_cursor(query),
        )
        found = await self._db.read(lambda conn: audit_log.find(conn, wanted, limit + 1))
        page = found[:limit]
        cursor = str(page[-1].id) if len(found) > limit else None
        body = {"data": [audit_resource(entry) for entry in page], "next_cursor": cursor}
        return Response(to_json(body), media_type="application/json")
