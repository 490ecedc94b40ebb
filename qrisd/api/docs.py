"""The API's description: as OpenAPI, and as a page that needs no other host."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from qrisd.domain.errors import NotFound

STATIC: Final = Path(__file__).parent.parent / "web" / "static"
VENDORED: Final = STATIC / "swagger-ui"
PAGE: Final = STATIC / "docs" / "index.html"
FILES: Final = {
    "swagger-ui-bundle.js": (VENDORED, "text/javascript"),
    "swagger-ui-bundle.js.LICENSE.txt": (VENDORED, "text/plain"),
    "swagger-ui.css": (VENDORED, "text/css"),
    "docs.js": (STATIC / "docs", "text/javascript"),
    "docs.css": (STATIC / "docs", "text/css"),
}
# blob: is how the page shows the QR it fetched as PNG.
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
FOR_EVER: Final = "public, max-age=31536000, immutable"
FOR_A_WHILE: Final = "public, max-age=300"


async def openapi(request: Request) -> Response:
    from qrisd.api.openapi import openapi_json  # nothing else needs the description: it is made when it is asked for

    return Response(openapi_json(), headers={"Cache-Control": FOR_A_WHILE}, media_type="application/json")


async def page(request: Request) -> Response:
    headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-cache"}
    return Response(await run_in_threadpool(PAGE.read_bytes), headers=headers, media_type="text/html")


async def file(request: Request) -> Response:
    """A file of the page. What the page asks for by version never changes; raises NotFound for any other name."""
    name = request.path_params["file"]
    if name not in FILES:
        raise NotFound("The page has no such file.")
    folder, media_type = FILES[name]
    caching = FOR_EVER if "v" in request.query_params else FOR_A_WHILE
    content = await run_in_threadpool((folder / name).read_bytes)
    return Response(content, headers={"Cache-Control": caching}, media_type=media_type)
