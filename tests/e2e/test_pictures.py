"""The guides in Indonesian show what there is: each of their steps can be walked, each of their pictures was drawn."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import pytest
from babel.messages.pofile import read_po
from playwright.sync_api import Browser, Page

from qrisd.web.languages import CATALOGUE
from tests.e2e.conftest import Shop
from tests.e2e.pictures import GUIDES, PICTURES, named, story
from tests.support.server import LiveServer

MOST_BYTES: Final = 600_000
HINT: Final = "run: python -m tests.e2e.pictures"
OF_THE_GUIDES: Final = {"Warna dan kata"}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with LiveServer(tmp_path_factory.mktemp("guides") / "data") as server:
        yield Shop(server)


@pytest.fixture(scope="module")
def words(browser: Browser, shop: Shop) -> dict[str, str]:
    """What the page of each picture says, on the way that the guides describe."""
    seen: dict[str, str] = {}

    def take(page: Page, name: str) -> None:
        seen[name] = page.locator("body").inner_text()

    story(browser, shop, take)
    return seen


def test_every_picture_of_the_guides_can_be_drawn(words: dict[str, str]) -> None:
    assert not named() - set(words), "no step of tests/e2e/pictures.py draws these"
    assert not set(words) - named(), "no guide shows these"


def test_every_picture_of_the_guides_is_there_and_they_are_small() -> None:
    there = {path.stem for path in PICTURES.iterdir()}
    assert not named() - there, HINT
    assert not there - named(), HINT
    assert sum(path.stat().st_size for path in PICTURES.iterdir()) < MOST_BYTES


@pytest.mark.parametrize("guide", ["mulai.md", "kasir.md"])
def test_what_a_guide_sets_in_bold_is_what_a_page_says(guide: str) -> None:
    with CATALOGUE.open("rb") as file:
        said = " ".join(str(message.string) for message in read_po(file, locale="id"))
    names = re.findall(r"\*\*([A-Z][^*]{2,30})\*\*", (GUIDES / guide).read_text())
    assert len(names) > 5
    assert [name for name in names if name not in said and name not in OF_THE_GUIDES] == []
