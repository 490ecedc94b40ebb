"""One payment followed live by many: against the real command, since a stream does not end by itself."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
import pytest

from tests.support.server import LiveServer

CLIENTS = 100
UNREADING = 20


@pytest.fixture
async def client(server: LiveServer) -> AsyncIterator[httpx.AsyncClient]:
    unlimited = httpx.Limits(max_connections=None)
    headers = {"Authorization": f"Bearer {server.key}"}
    async with httpx.AsyncClient(base_url=server.url, headers=headers, limits=unlimited, timeout=60) as client:
        yield client


async def create(client: httpx.AsyncClient) -> dict[str, Any]:
    payment: dict[str, Any] = (await client.post("/payments", json={"order_id": "INV-1", "amount": 15_000})).json()
    return payment


async def pay(server: LiveServer) -> None:
    ran = await asyncio.to_thread(server.run, "simulate-pay", "INV-1")
    assert ran.returncode == 0, ran.stdout + ran.stderr


async def commit_elsewhere(server: LiveServer) -> None:
    """Let another process store something that is nobody's payment, and the server notice."""
    assert (await asyncio.to_thread(server.run, "keys", "create", "--name", "till-2")).returncode == 0
    await asyncio.sleep(0.5)


@asynccontextmanager
async def stream(client: httpx.AsyncClient, payment_id: str, seen: str | None = None) -> AsyncIterator[httpx.Response]:
    headers = {} if seen is None else {"Last-Event-ID": seen}
    async with client.stream("GET", f"/payments/{payment_id}/events", headers=headers) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield answer


async def events_of(answer: httpx.Response) -> AsyncIterator[dict[str, str]]:
    """The fields of each block of the stream: events, the retry hint, comments under the empty name."""
    fields: dict[str, str] = {}
    async for line in answer.aiter_lines():
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        else:
            yield fields
            fields = {}


async def statuses(client: httpx.AsyncClient, payment_id: str, watching: asyncio.Semaphore) -> list[str]:
    """Every status one client is told of, until the stream ends."""
    told = []
    async with stream(client, payment_id) as answer:
        async for event in events_of(answer):
            if event.get("event") == "payment":
                told.append(json.loads(event["data"])["status"])
                watching.release()
    return told


async def test_a_hundred_see_paid_once_though_some_do_not_read_and_all_streams_end_at_shutdown(
    server: LiveServer, client: httpx.AsyncClient
) -> None:
    payment_id = (await create(client))["id"]
    told = asyncio.Semaphore(0)
    async with asyncio.timeout(60), AsyncExitStack() as unreading, asyncio.TaskGroup() as group:
        for _ in range(UNREADING):
            await unreading.enter_async_context(stream(client, payment_id))
        watchers = [group.create_task(statuses(client, payment_id, told)) for _ in range(CLIENTS)]
        for _ in range(CLIENTS):
            await told.acquire()
        await pay(server)
        for _ in range(CLIENTS):
            await told.acquire()
        await unreading.aclose()
        await commit_elsewhere(server)
        assert await asyncio.to_thread(server.terminate) == 0
    assert [watcher.result() for watcher in watchers] == [["PENDING", "PAID"]] * CLIENTS


async def test_a_stream_says_how_to_resume(client: httpx.AsyncClient) -> None:
    payment = await create(client)
    etag = (await client.get(f"/payments/{payment['id']}")).headers["etag"]
    async with stream(client, payment["id"]) as answer:
        received = events_of(answer)
        assert await anext(received) == {"retry": "2000"}
        event = await anext(received)
    assert (event["event"], event["id"]) == ("payment", etag.strip('"'))
    assert json.loads(event["data"]) == payment


async def test_what_the_client_has_seen_is_not_repeated_and_what_it_missed_comes_at_once(
    server: LiveServer, client: httpx.AsyncClient
) -> None:
    payment = await create(client)
    seen = (await client.get(f"/payments/{payment['id']}")).headers["etag"].strip('"')
    async with asyncio.timeout(30), stream(client, payment["id"], seen) as answer:
        received = events_of(answer)
        assert await anext(received) == {"retry": "2000"}
        await pay(server)
        assert json.loads((await anext(received))["data"])["status"] == "PAID"
    async with asyncio.timeout(30), stream(client, payment["id"], seen) as answer:
        received = events_of(answer)
        assert await anext(received) == {"retry": "2000"}
        assert json.loads((await anext(received))["data"])["status"] == "PAID"


async def test_a_payment_that_is_not_there_is_no_stream(client: httpx.AsyncClient) -> None:
    assert (await client.get("/payments/x/events")).status_code == 404


async def test_a_stream_ends_with_its_key(server: LiveServer, client: httpx.AsyncClient) -> None:
    payment = await create(client)
    made = await asyncio.to_thread(server.run, "keys", "create", "--name", "till-2", "--json")
    key = json.loads(made.stdout)
    client.headers["Authorization"] = f"Bearer {key['key']}"
    async with asyncio.timeout(30), stream(client, payment["id"]) as answer:
        received = events_of(answer)
        assert [(await anext(received)).get("event") for _ in range(2)] == [None, "payment"]
        assert (await asyncio.to_thread(server.run, "keys", "revoke", key["id"])).returncode == 0
        await pay(server)
        assert [one async for one in received] == []
