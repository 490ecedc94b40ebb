"""The page of roles says what the table says."""

from __future__ import annotations

from tests.docs.roles import PAGE, page


def test_the_page_of_roles_is_not_stale() -> None:
    assert PAGE.read_text() == page()
