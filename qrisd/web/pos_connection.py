"""/pos/connection: whether payments can be taken right now, in words for the person at the till."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from qrisd.services.connectivity import Connectivity, Findings
from qrisd.web.forms import read_form
from qrisd.web.guard import Person
from qrisd.web.limits import PosLimits
from qrisd.web.pages import Pages


class ConnectionPage:
    """The handlers."""

    def __init__(self, *, pages: Pages, connectivity: Connectivity, limits: PosLimits) -> None:
        self._pages = pages
        self._connectivity = connectivity
        self._limits = limits

    async def show(self, request: Request, person: Person) -> Response:
        return self._drawn(request, person, None)

    async def test(self, request: Request, person: Person) -> Response:
        await read_form(request)
        self._limits.test_connection.count(person.id)
        return self._drawn(request, person, await self._connectivity.run())

    def _drawn(self, request: Request, person: Person, findings: Findings | None) -> Response:
        facts = {"person": person, "findings": findings, "path": "/pos/connection"}
        return self._pages.draw(request, "pos/connection.html", 200, **facts)
