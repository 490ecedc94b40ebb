"""The page of capabilities says what the adapters say."""

from __future__ import annotations

from tests.docs.capabilities import PAGE, page


def test_the_page_of_capabilities_is_not_stale() -> None:
    assert PAGE.read_text() == page()
