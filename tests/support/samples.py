"""An example of the address of every page, so that tests can go to all of them. The list is the one table's own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from qrisd.api.operations import OPERATIONS
from qrisd.domain.permissions import PUBLIC, ROUTES

_VALUE: Final = re.compile(r"\{[\w:]+\}")
# What stands in the place of a pattern's value. A page with a new pattern needs a row.
_KINDS: Final[Mapping[str, str]] = {
    "/static/{file}": "file of the pages",
    "/docs/{file}": "file of the API's page",
    "/pay/{id}": "payment",
    "/pos/payments/{id}": "payment",
    "/pos/payments/{id}/receipt": "paid payment",
    "/pos/shifts/{id}": "shift",
    "/shifts/{id}": "shift",
    "/setup/{token}": "link",
}


def page_patterns() -> list[str]:
    """Whatever a browser may load and that ends: pages, and what they load."""
    read = {path: need for (method, path), need in ROUTES.items() if method == "GET"}
    return [
        path
        for path, need in read.items()
        if (need == PUBLIC or ("GET", path) not in OPERATIONS) and not path.endswith("/{id}/events")
    ]


def address_of(pattern: str, samples: Mapping[str, str]) -> str:
    """The pattern with the sample of its kind in it. KeyError for a pattern without a row."""
    if "{" not in pattern:
        return pattern
    kind = _KINDS.get(pattern) or _KINDS.get(pattern[: pattern.index("}") + 1])
    if kind is None:
        raise KeyError(f"the page {pattern} needs a sample: add it in tests/support/samples.py")
    return _VALUE.sub(samples[kind], pattern)
