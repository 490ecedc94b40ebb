"""Where providers' notifications arrive."""

from __future__ import annotations

from collections.abc import Callable

from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

from qrisd.domain.errors import QrisdError
from qrisd.services.webhooks import Webhooks


class WebhooksApi:
    """Nothing slow happens before the answer. `count(provider, outcome)` is told of every webhook."""

    def __init__(self, service: Webhooks, count: Callable[[str, str], None]) -> None:
        self._service = service
        self._count = count

    async def receive(self, request: Request) -> Response:
        provider = request.path_params["provider"]
        body = await request.body()
        try:
            outcome = await self._service.receive(provider, request.headers, body)
        except QrisdError as error:
            self._count(provider, type(error).__name__)
            raise
        self._count(provider, outcome)
        return Response(to_json({"received": True, "outcome": outcome}), media_type="application/json")
