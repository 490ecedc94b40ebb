"""Looking at a page as it stands: by day and by night, on a phone, a tablet and a desk.

With SCREENSHOTS=DIRECTORY in the environment, what was looked at is left there as pictures.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, ViewportSize

from tests.e2e.accessibility import violations
from tests.e2e.conftest import DESK, PHONE

NARROW: Final[ViewportSize] = {"width": 320, "height": 640}
TABLET: Final[ViewportSize] = {"width": 768, "height": 1024}

AMOUNTS: Final = ("Rp125.000", "Rp1.250.000", "Rp10.000.000", "Rp999.999.999")
# Puts each amount wherever there is one, and answers those that do not stay in one piece and in their card.
BROKEN_AMOUNTS: Final = """(amounts) => [...document.querySelectorAll(".amount, .money, .total")].flatMap((place) => {
    const isWhole = (amount) => {
        place.textContent = amount;
        const range = document.createRange();
        range.selectNodeContents(place);
        const [line, ...more] = range.getClientRects();
        const card = place.closest(".card").getBoundingClientRect();
        return more.length === 0 && line.left >= card.left && line.right <= card.right
            && document.documentElement.scrollWidth <= innerWidth;
    };
    const was = place.textContent;
    const broken = amounts.filter((amount) => !isWhole(amount));
    place.textContent = was;
    return broken.map((amount) => place.className + ": " + amount);
})"""


def look(page: Page, name: str) -> None:
    """Fails on a serious violation by day or night, where anything is wider than the screen, and where an amount would
    break. Ends as it began."""
    for viewport in (NARROW, PHONE):
        page.set_viewport_size(viewport)
        broken = page.evaluate(BROKEN_AMOUNTS, AMOUNTS)
        assert not broken, (name, viewport, broken)
    for scheme in ("dark", "light"):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        found = violations(page)
        assert not found, (name, scheme, found)
        for viewport in (DESK, TABLET, PHONE):
            page.set_viewport_size(viewport)
            assert not page.evaluate("document.documentElement.scrollWidth > innerWidth"), (name, viewport)
            if viewport != TABLET:
                _keep(page, f"{name}-{viewport['width']}-{scheme}")


def _keep(page: Page, name: str) -> None:
    if "SCREENSHOTS" in os.environ:
        page.screenshot(path=Path(os.environ["SCREENSHOTS"]) / f"{name}.png", full_page=True)


@contextmanager
def watched(browser: Browser, url: str, **options: Any) -> Iterator[BrowserContext]:
    """A browser on a phone that must stay with the server at `url` and have nothing to complain about."""
    context = browser.new_context(**{"viewport": PHONE, "locale": "id-ID", **options})
    asked: list[Request] = []
    complaints: list[ConsoleMessage] = []
    faults: list[str] = []
    context.on("request", lambda request: asked.append(request))
    context.on("console", lambda message: complaints.append(message))
    context.on("weberror", lambda error: faults.append(str(error.error)))
    yield context
    context.close()
    elsewhere = [one.url for one in asked if not one.url.startswith((url, "data:", "blob:"))]
    assert not elsewhere, elsewhere
    faults += [_text(one) for one in complaints if one.type in ("error", "warning") and not _is_usual(one, asked)]
    assert not faults, faults


def _text(message: ConsoleMessage) -> str:
    return f"{message.text}: {message.location['url']}"


def _is_usual(message: ConsoleMessage, asked: list[Request]) -> bool:
    """Chromium notes of a page with a status of 4xx, which is shown as it should be, that it was not loaded."""
    pages = {one.url for one in asked if one.is_navigation_request()}
    return "status of 4" in message.text and message.location["url"].endswith(tuple(pages))
