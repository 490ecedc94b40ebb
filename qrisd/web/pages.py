"""Drawing a page: its template, its language, and the headers that let it load nothing but our own files."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import jinja2
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from qrisd.domain.business_day import Zones
from qrisd.domain.errors import Forbidden, NotFound, QrisdError
from qrisd.domain.permissions import ROUTES
from qrisd.web.cookies import Cookie
from qrisd.web.forms import own_path
from qrisd.web.languages import COOKIE, PARAMETER, Language, language_of, templates

FILES: Final = Path(__file__).parent / "static" / "pages"
MEDIA_TYPES: Final = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".webmanifest": "application/manifest+json",
}
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; manifest-src 'self'; "
    "worker-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
# Sent by a script that puts the answer in the place of the page, and reads there what was refused.
SWAP_HEADER: Final = "x-swap"
READING: Final = frozenset({"GET", "HEAD"})
REFUSALS: Final = {400: "unreadable", 403: "forbidden", 404: "not_found", 405: "forbidden", 413: "unreadable"}
FAVICON: Final = "pos-icon-192.png"
FOR_EVER: Final = "public, max-age=31536000, immutable"
FOR_A_WHILE: Final = "public, max-age=300"
A_YEAR: Final = timedelta(days=365)

Handler = Callable[[Request], Awaitable[Response]]


class Pages:
    """Draws templates. `zones` are those of the shop and its outlets; `is_secure`: we are reached over https, so that
    cookies may be bound to it; `root` is the path of our address, "" mostly."""

    def __init__(self, *, zones: Zones, is_secure: bool, root: str) -> None:
        self._zones = zones
        self._chosen_language = Cookie(COOKIE, is_secure=is_secure)
        self.root = root
        self._environments: dict[Language, jinja2.Environment] = {}

    def draw(self, request: Request, template: str, status: int = 200, **facts: Any) -> Response:
        """The page as a response; `facts` are what its template shows. For a script, whose browser would note every
        other status as a failure in its console, it is 200; `request.state.status` keeps what is meant."""
        language = language_of(request)
        facts = {"path": page_of(request), "next": None, "language": language, "root": self.root, **facts}
        text = self._environment(language).get_template(template).render(facts)
        request.state.status = status
        response = Response(text, 200 if SWAP_HEADER in request.headers else status, self.headers, "text/html")
        if request.query_params.get(PARAMETER) == language:
            self._chosen_language.put(response, language, A_YEAR)
        return response

    def page(self, handler: Handler) -> Handler:
        """`handler`, with what it refuses shown as a page."""

        async def shown(request: Request) -> Response:
            try:
                return await handler(request)
            except NotFound:
                return self.refused(request, 404)
            except Forbidden:
                return self.refused(request, 403)
            except QrisdError:
                return self.refused(request, 503)

        return shown

    def refused(self, request: Request, status: int) -> Response:
        """The page that says what this status means to whoever reads it."""
        # The address may be anything that somebody was led to: it must not lead on to another site.
        path = quote(own_path(page_of(request)) or "/")
        response = self.draw(request, "refused.html", status, kind=REFUSALS.get(status, "later"), path=path)
        if status >= 500:  # a script keeps its own page then, and says that it could not send
            response.status_code = status
        return response

    @property
    def headers(self) -> dict[str, str]:
        """What every answer of a page and of its pictures carries, beside what the edge adds to all."""
        headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-store"}
        # With "no-referrer" browsers would hide from us, too, that a form was sent by our own page.
        headers["Referrer-Policy"] = "same-origin"
        return headers

    def _environment(self, language: Language) -> jinja2.Environment:
        if language not in self._environments:
            self._environments[language] = self._made(language)
        return self._environments[language]

    def _made(self, language: Language) -> jinja2.Environment:
        made = templates(language)
        made.filters["moment"] = lambda moment, outlet=None: self._moment(moment, outlet, language)
        made.filters["clock_time"] = lambda moment, outlet=None: self._clock_time(moment, outlet, language)
        made.globals["file"] = lambda name: f"{self.root}/static/{name}?v={version(name)}"
        return made

    def _moment(self, moment: datetime, outlet: str | None, language: Language) -> str:
        """A moment as people of the shop's place, or the outlet's, write it: "15 Januari 2026 10.15 WIB"."""
        from babel.dates import format_datetime

        pattern = "d MMMM y HH.mm" if language == "id" else "d MMMM y HH:mm"
        local = moment.astimezone(self._zones.of_place(outlet))
        return f"{format_datetime(local, pattern, locale=language)} {local.tzname()}"

    def _clock_time(self, moment: datetime, outlet: str | None, language: Language) -> str:
        """The time of day there: "10.15"."""
        return f"{moment.astimezone(self._zones.of_place(outlet)):{'%H.%M' if language == 'id' else '%H:%M'}}"


def page_of(request: Request) -> str:
    """The path of the page that somebody is on: what was sent came from the nearest one further up that can be read."""
    path: str = request.scope["path"]
    if request.method in READING:
        return path
    # What is too large is refused before it has met its route.
    pattern, parts = getattr(request.scope.get("route"), "path", path).split("/"), path.split("/")
    # A part that is no value, like that of /me/second-factor/off, names what is done and not a page to come back to.
    depths = [len(pattern), *(depth for depth in range(len(pattern) - 1, 2, -1) if pattern[depth - 1][:1] == "{"), 2]
    readable = (depth for depth in depths if ("GET", "/".join(pattern[:depth])) in ROUTES)
    return "/".join(parts[: next(readable, 0)]) or "/"


@lru_cache(maxsize=64)
def version(name: str) -> str:
    """A file's address changes with its content."""
    return hashlib.sha256((FILES / name).read_bytes()).hexdigest()[:12]


async def favicon(request: Request) -> Response:
    """The icon for browsers that ask for it unbidden, which not all read as a drawing."""
    content = await run_in_threadpool((FILES / FAVICON).read_bytes)
    headers = {"Cache-Control": FOR_A_WHILE, "Content-Security-Policy": POLICY}
    return Response(content, headers=headers, media_type=MEDIA_TYPES[".png"])


async def file(request: Request) -> Response:
    """A file of the pages. Raises NotFound for any name that is not exactly one of them."""
    name = request.path_params["file"]
    path = FILES / name
    if "/" in name or name.startswith(".") or path.suffix not in MEDIA_TYPES or not path.is_file():
        raise NotFound("The pages have no such file.")
    caching = FOR_EVER if "v" in request.query_params else FOR_A_WHILE
    content = await run_in_threadpool(path.read_bytes)
    headers = {"Cache-Control": caching, "Content-Security-Policy": POLICY}  # a drawing opened by itself is a page, too
    return Response(content, headers=headers, media_type=MEDIA_TYPES[path.suffix])
