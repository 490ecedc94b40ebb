"""/pos/proof: whether the money is there that a customer's screen or slip speaks of."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from qrisd.domain.proof import MAX_TEXT
from qrisd.services.proof import Proofs
from qrisd.web.forms import read_form
from qrisd.web.guard import Person
from qrisd.web.limits import Limit
from qrisd.web.pages import Pages
from qrisd.web.pos import actor


class ProofPages:
    """The handlers of /pos/proof. `limit` counts for each cashier: every check may ask providers."""

    def __init__(self, *, pages: Pages, proofs: Proofs, limit: Limit) -> None:
        self._pages = pages
        self._proofs = proofs
        self._limit = limit

    async def ask(self, request: Request, person: Person) -> Response:
        return self._drawn(request, person)

    async def check(self, request: Request, person: Person) -> Response:
        form = await read_form(request, "claim")
        self._limit.count(person.id)
        given = form["claim"][:MAX_TEXT]
        query, verdict = await self._proofs.check(given, person.outlets, actor(request, person))
        return self._drawn(request, person, given=given, query=query, verdict=verdict)

    def _drawn(self, request: Request, person: Person, **facts: Any) -> Response:
        facts = {"path": "/pos/proof", "given": "", "query": None, "verdict": None, "most": MAX_TEXT, **facts}
        return self._pages.draw(request, "till/proof.html", person=person, **facts)
