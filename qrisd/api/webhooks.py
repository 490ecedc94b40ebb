"""Where providers' notifications arrive, and where some first fetch a token from us."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

from qrisd.domain.errors import NotFound, QrisdError
from qrisd.providers.base import Acknowledges, IssuesTokens, Provider, WebhookAnswer
from qrisd.services.webhooks import Webhooks


class WebhooksApi:
    """Nothing slow happens before the answer. `count(provider, outcome)` is told of every webhook."""

    def __init__(
        self,
        service: Webhooks,
        providers: Mapping[str, Provider],
        clock: Callable[[], datetime],
        count: Callable[[str, str], None],
    ) -> None:
        self._service = service
        self._providers = providers
        self._clock = clock
        self._count = count

    async def receive(self, request: Request) -> Response:
        name = request.path_params["provider"]
        provider = self._providers.get(name)
        body = await request.body()
        try:
            outcome = await self._service.receive(name, request.headers, body)
        except QrisdError as error:
            self._count(name if provider else "unknown", type(error).__name__)
            if isinstance(provider, Acknowledges):
                return _said(provider.acknowledge(None, error, self._clock()))
            raise
        self._count(name, outcome)
        if isinstance(provider, Acknowledges):
            return _said(provider.acknowledge(outcome, None, self._clock()))
        return _said(WebhookAnswer(200, {"received": True, "outcome": outcome}, {}))

    async def issue_token(self, request: Request) -> Response:
        provider = self._providers.get(request.path_params["provider"])
        if not isinstance(provider, IssuesTokens):
            raise NotFound("No provider fetches tokens here.")
        body = await request.body()
        return _said(provider.issue_token(request.headers, body, self._clock()))


def _said(answer: WebhookAnswer) -> Response:
    return Response(to_json(answer.body), answer.status, answer.headers, "application/json")
