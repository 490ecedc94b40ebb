"""What a browser is shown where no page answers: people get a page, programs the problem document."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match

from qrisd.web.pages import READING, Pages

Answer = Callable[[Request, Exception], Awaitable[Response]]

PERSON: Final = "text/html"
PROGRAM: Final = ("application/problem+json", "application/json")
KEPT: Final = ("allow", "retry-after")


class Refusals:
    """`shown` are the routes of the pages, `calls` those of the API, whose errors are problem documents always."""

    def __init__(self, pages: Pages, *, shown: Sequence[BaseRoute], calls: Sequence[BaseRoute]) -> None:
        self._pages = pages
        self._shown = shown
        self._calls = calls

    def handlers(self, problems: Mapping[Any, Answer]) -> dict[Any, Answer]:
        """Starlette's handlers of exceptions: those of `problems`, which answer with problem documents, and pages in
        the place of these for people."""
        return {kind: self._instead_of(answer) for kind, answer in problems.items()}

    def page(self, request: Request, status: int) -> Response | None:
        """The page that says no; None where a program has asked."""
        return self._pages.refused(request, status) if self._is_for_a_person(request) else None

    def _instead_of(self, answer: Answer) -> Answer:
        async def answered(request: Request, error: Exception) -> Response:
            problem = await answer(request, error)
            onward = self._without_slash(request) if problem.status_code == 404 else None
            shown = onward or self.page(request, problem.status_code)
            if shown is None:
                return problem
            shown.headers.update({name: problem.headers[name] for name in KEPT if name in problem.headers})
            return shown

        return answered

    def _is_for_a_person(self, request: Request) -> bool:
        if not prefers_html(request.headers.get("accept", "")):
            return False
        return _is_among(self._shown, request) or (request.method in READING and not _is_among(self._calls, request))

    def _without_slash(self, request: Request) -> Response | None:
        """On to the page that was meant by an address with a slash behind it."""
        path, query = request.scope["path"].rstrip("/"), request.scope["query_string"].decode("latin-1")
        if request.method not in READING or path == request.scope["path"] or not path:
            return None
        if not _is_among(self._shown, Request({**request.scope, "path": path})):
            return None
        onward = f"{self._pages.root}{quote(path)}{f'?{query}' if query else ''}"
        return Response(status_code=303, headers={"Location": onward})


def prefers_html(accepted: str) -> bool:
    """Whether the header Accept asks for a page rather than JSON, by name: browsers that open an address do."""
    weights = dict(map(_weighed, accepted.lower().split(",")[:20]))
    return weights.get(PERSON, 0.0) > max(weights.get(name, 0.0) for name in PROGRAM)


def _weighed(accepted: str) -> tuple[str, float]:
    """One part of Accept, "text/html;q=0.9", and its weight."""
    name, _, parameters = accepted.partition(";")
    weight = next((one.strip()[2:] for one in parameters.split(";") if one.strip().startswith("q=")), "1")
    try:
        return name.strip(), float(weight)
    except ValueError:
        return name.strip(), 0.0


def _is_among(routes: Sequence[BaseRoute], request: Request) -> bool:
    return any(route.matches(request.scope)[0] is not Match.NONE for route in routes)
