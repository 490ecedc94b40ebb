"""The feed: every event once and in order, whoever writes, whoever reads, from wherever."""

from __future__ import annotations

import asyncio
import json
import random
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from qrisd.store import events
from qrisd.store.db import connect
from tests.support.clock import FakeClock
from tests.support.installation import Installation
from tests.support.server import LiveServer

WRITERS = READERS = 8
PAYMENTS_EACH = 12
IN_ALL = WRITERS * PAYMENTS_EACH * 2  # each payment tells of PENDING and of PAID


async def feed(shop: Installation, **query: Any) -> tuple[list[dict[str, Any]], int]:
    """One page and where to go on."""
    answer = await shop.client.get("/events", params=query, timeout=90)
    assert answer.status_code == 200, answer.text
    page = answer.json()
    return page["data"], page["next_after"]


async def follow(shop: Installation, luck: random.Random, count: int) -> list[dict[str, Any]]:
    """The first `count` events, in pages of any size."""
    seen: list[dict[str, Any]] = []
    after = 0
    while len(seen) < count:
        page, after = await feed(shop, after=after, limit=luck.randint(1, 100), wait=60)
        seen += page
    return seen


async def jump(shop: Installation, luck: random.Random, count: int) -> None:
    """From cursors anywhere: what comes begins right behind the cursor and leaves nothing out."""
    newest = 0
    while newest < count:
        after = luck.randint(0, newest)
        page, next_after = await feed(shop, after=after, limit=luck.randint(1, 100), wait=60)
        assert [one["id"] for one in page] == list(range(after + 1, after + 1 + len(page)))
        assert next_after == page[-1]["id"]
        newest = max(newest, next_after)


async def sell(shop: Installation, writer: int) -> None:
    for number in range(PAYMENTS_EACH):
        payment = await shop.create(f"INV-{writer}-{number}")
        await shop.webhook(payment)


async def test_every_event_comes_once_and_in_order_while_eight_write(shop: Installation) -> None:
    lucks = [random.Random(seed) for seed in range(READERS)]
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        readers = [group.create_task(follow(shop, luck, IN_ALL)) for luck in lucks]
        for number, luck in enumerate(lucks):
            group.create_task(jump(shop, luck, IN_ALL))
            group.create_task(sell(shop, number))
    stored = shop.rows("SELECT id, body FROM events ORDER BY id")
    assert [row["id"] for row in stored] == list(range(1, IN_ALL + 1))
    told = [{"id": row["id"], **json.loads(row["body"])} for row in stored]
    for reader in readers:
        assert reader.result() == told
    for payment_id in {one["data"]["id"] for one in told}:
        of_one = [(one["sequence"], one["type"]) for one in told if one["data"]["id"] == payment_id]
        assert of_one == [(1, "payment.pending"), (2, "payment.paid")]


async def test_a_till_that_was_off_for_a_night_catches_up_page_by_page(tmp_path: Path, clock: FakeClock) -> None:
    installation = Installation(tmp_path / "data", clock)
    async with installation.running() as shop:
        await shop.create("INV-EVENING")
        _, after = await feed(shop)
        for number in range(9):
            await shop.webhook(await shop.create(f"INV-NIGHT-{number}"))
    caught_up: list[int] = []
    async with installation.running() as shop:
        page, after = await feed(shop, after=after, limit=7)
        caught_up += [one["id"] for one in page]
    async with installation.running() as shop:
        await shop.webhook(await shop.create("INV-MORNING"))
        while page:
            page, after = await feed(shop, after=after, limit=7)
            assert len(page) <= 7
            caught_up += [one["id"] for one in page]
    assert caught_up == list(range(2, 22))
    assert after == 21


async def test_a_waiting_till_hears_of_a_commit(shop: Installation) -> None:
    payment = await shop.create()
    async with asyncio.timeout(20):
        waiting = asyncio.create_task(feed(shop, after=1, wait=60))
        await asyncio.sleep(0.1)
        await shop.webhook(payment)
        page, after = await waiting
    assert [(one["id"], one["type"], one["data"]["status"]) for one in page] == [(2, "payment.paid", "PAID")]
    assert after == 2


async def test_a_waiting_till_hears_of_what_another_process_stored(shop: Installation) -> None:
    payment = await shop.create()
    async with asyncio.timeout(20):
        waiting = asyncio.create_task(feed(shop, after=1, wait=60))
        await asyncio.sleep(0.5)
        with closing(connect(shop.data_dir.database)) as conn:
            events.add(conn, payment["id"], 2, "payment.expired", '{"type":"payment.expired"}', shop.clock())
        page, _ = await waiting
    assert page == [{"id": 2, "type": "payment.expired"}]


async def test_nothing_new_is_an_empty_page_that_goes_on_where_it_was(shop: Installation) -> None:
    assert await feed(shop) == ([], 0)
    await shop.create()
    assert await feed(shop, after=1) == ([], 1)
    assert await feed(shop, after=1, wait=1) == ([], 1)


async def test_latest_is_only_what_comes_from_now_on(shop: Installation) -> None:
    assert await feed(shop, after="latest") == ([], 0)
    payment = await shop.create()
    assert await feed(shop, after="latest") == ([], 1)
    async with asyncio.timeout(20):
        waiting = asyncio.create_task(feed(shop, after="latest", wait=60))
        await asyncio.sleep(0.1)
        await shop.webhook(payment)
        page, after = await waiting
    assert ([one["type"] for one in page], after) == (["payment.paid"], 2)


@pytest.mark.parametrize("after", ["-1", "x", "1.5", "", " 1", "1e3", "LATEST", "9" * 16, "٣"])
async def test_a_cursor_that_is_none_is_refused(shop: Installation, after: str) -> None:
    answer = await shop.client.get("/events", params={"after": after})
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")


@pytest.mark.parametrize("after", ["3", "9" * 15])
async def test_a_cursor_from_before_a_restore_is_refused_at_once(shop: Installation, after: str) -> None:
    await shop.webhook(await shop.create())
    answer = await shop.client.get("/events", params={"after": after, "wait": 60})
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (422, "validation_failed")
    assert [one["field"] for one in problem["errors"]] == ["after"]
    assert "the newest is 2." in problem["errors"][0]["message"]


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "wait=61", "wait=-1", "cursor=1", "after=1&after=2"])
async def test_what_the_feed_does_not_take_is_refused(shop: Installation, query: str) -> None:
    assert (await shop.client.get(f"/events?{query}")).status_code == 400


async def test_a_till_needs_no_more_than_the_scope_of_the_feed(shop: Installation) -> None:
    shop.client.headers["Authorization"] = f"Bearer {shop.new_key('events:read')}"
    assert (await shop.client.get("/events")).status_code == 200
    assert (await shop.client.get("/payments")).status_code == 403


async def test_a_till_that_waits_is_sent_home_when_the_service_stops(server: LiveServer) -> None:
    headers = {"Authorization": f"Bearer {server.key}"}
    async with asyncio.timeout(20), httpx.AsyncClient(base_url=server.url, headers=headers, timeout=90) as client:
        waiting = asyncio.create_task(client.get("/events", params={"wait": 60}))
        await asyncio.sleep(0.3)
        assert await asyncio.to_thread(server.terminate) == 0
        answer = await waiting
    assert (answer.status_code, answer.json()) == (200, {"data": [], "next_after": 0})
