"""Pages of a list: followed by their cursor, and by nothing else."""

from __future__ import annotations

import base64

import pytest

from tests.support.installation import Installation


async def test_pages_follow_each_other_while_payments_are_made(shop: Installation) -> None:
    made = [(await shop.create(f"INV-{n}"))["id"] for n in range(5)]
    first = (await shop.client.get("/payments?limit=2")).json()
    await shop.create("INV-LATER")
    second = (await shop.client.get("/payments", params={"limit": 2, "cursor": first["next_cursor"]})).json()
    third = (await shop.client.get("/payments", params={"limit": 2, "cursor": second["next_cursor"]})).json()
    pages = [one["id"] for page in (first, second, third) for one in page["data"]]
    assert pages == list(reversed(made))
    assert third["next_cursor"] is None


@pytest.mark.parametrize(
    "forged",
    [
        b"[" * 5000,
        b'["2026-01-01", "\\ud800"]',
        b"2026-01-15T03:00:00.000Z",
        b"2026-01-15T03:00:00.000Z ' OR 1=1 --",
        b"\xff\xfe",
        b"",
    ],
    ids=lambda forged: repr(forged[:12]),
)
async def test_a_forged_cursor_is_refused(shop: Installation, forged: bytes) -> None:
    cursor = base64.urlsafe_b64encode(forged).decode()
    answer = await shop.client.get("/payments", params={"cursor": cursor})
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")


@pytest.mark.parametrize("text", ["a", "é", "%%%", "=", " "])
async def test_a_cursor_that_is_no_cursor_is_refused(shop: Installation, text: str) -> None:
    assert (await shop.client.get("/payments", params={"cursor": text})).status_code == 400
