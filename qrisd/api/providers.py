"""Which providers are configured, what each can do, and whether it is healthy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

from qrisd.api.requests import read_query
from qrisd.providers.base import Provider
from qrisd.services.api_keys import Caller
from qrisd.services.circuits import Circuits


class ProvidersApi:
    def __init__(self, providers: Mapping[str, Provider], types: Mapping[str, str], circuits: Circuits) -> None:
        self._providers = providers
        self._types = types
        self._circuits = circuits

    async def find(self, request: Request, caller: Caller) -> Response:
        read_query(request, ())
        data = [
            {
                "name": name,
                "type": self._types[name],
                "healthy": self._circuits.state(name) == "closed",
                "circuit": self._circuits.state(name),
                "trouble": self._circuits.trouble(name),
                "capabilities": asdict(provider.capabilities),
            }
            for name, provider in self._providers.items()
        ]
        return Response(to_json({"data": data}), media_type="application/json")
