"""Whether a request that changes something was made by a page of ours."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.requests import Request


def is_same_origin(request: Request, address: str) -> bool:
    """What the browser says of the page that made the request; False where it says nothing.

    Browsers send Sec-Fetch-Site only where they trust the connection; over plain http in a shop's network Origin has
    to do. It must name the host that was asked, or `address`, which is how we name ourselves."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    host = _host_of(request.headers.get("origin", ""))
    return host is not None and host in (request.headers.get("host"), _host_of(address))


def _host_of(address: str) -> str | None:
    """The host, with the port where one is named; None for what is no address."""
    try:
        return urlsplit(address).netloc or None
    except ValueError:
        return None
