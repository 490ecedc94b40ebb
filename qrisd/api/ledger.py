"""The ledger, for those who look after the money: its balances, and the entries of one payment."""

from __future__ import annotations

from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

from qrisd.api.requests import read_query
from qrisd.domain.errors import Forbidden
from qrisd.schemas import entry_resource
from qrisd.services.api_keys import Caller
from qrisd.services.payments import Payments, known_to
from qrisd.store import ledger
from qrisd.store.db import Database


class LedgerApi:
    def __init__(self, db: Database, payments: Payments) -> None:
        self._db = db
        self._payments = payments

    async def balances(self, request: Request, caller: Caller) -> Response:
        read_query(request, ())
        if caller.outlets is not None:
            raise Forbidden("The accounts are those of all outlets; this API key is limited to some.")
        found = await self._db.read(ledger.balances)
        return _json([{"account": account, "balance": balance} for account, balance in found.items()])

    async def of_payment(self, request: Request, caller: Caller) -> Response:
        read_query(request, ())
        payment = known_to(caller.outlets, await self._payments.get(request.path_params["id"]))
        entries = await self._db.read(lambda conn: ledger.of_payment(conn, payment.id))
        return _json([entry_resource(entry) for entry in entries])


def _json(data: list[dict[str, object]]) -> Response:
    return Response(to_json({"data": data}), media_type="application/json")
