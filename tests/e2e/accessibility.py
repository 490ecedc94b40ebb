"""axe-core, asked about a page as it stands in the browser."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from playwright.sync_api import Page

AXE: Final = Path(__file__).parents[2] / ".cache/node/node_modules/axe-core/axe.min.js"
GRAVE: Final = ("serious", "critical")


def violations(page: Page) -> list[str]:
    """The serious and critical ones, each with the elements that are at fault."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.read_text())  # not a script element, which the page's policy would refuse
    found = page.evaluate("async () => (await axe.run()).violations")
    return [
        f"{one['id']}: {one['help']}: {[node['html'] for node in one['nodes']]}"
        for one in found
        if one["impact"] in GRAVE
    ]
