"""What merchants see of callbacks, and what they can do about them."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook

from qrisd.api.shapes.callbacks import Callback, CallbackDetails, CallbackPage, Endpoints, Pinged, Replayed, Resumed
from qrisd.services import callbacks as service
from qrisd.store.db import connect
from tests.api.test_openapi import assert_exactly
from tests.fakes.receiver import FakeReceiver
from tests.fakes.server import Reply
from tests.support.clock import FakeClock
from tests.support.installation import Installation

SECRET = "whsec_" + "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVowMTIz"
GIVE_UP = "UPDATE callbacks SET status = 'DEAD', next_try_at = NULL, delivered_at = NULL, reason = 'given up'"


@pytest.fixture
async def receiver() -> AsyncIterator[FakeReceiver]:
    fake = FakeReceiver(SECRET)
    await fake.start()
    yield fake
    await fake.stop()


@pytest.fixture
async def shop(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Installation]:
    callbacks = {"allow_loopback": True, "secret": SECRET}
    async with Installation(tmp_path / "data", clock, {"callbacks": callbacks}).running() as running:
        yield running


async def told(shop: Installation, receiver: FakeReceiver, *order_ids: str) -> list[dict[str, Any]]:
    """Payments whose first callback has arrived, oldest first."""
    payments = [await shop.create(order_id, callback_url=receiver.url) for order_id in order_ids]
    await until_tried(shop, len(order_ids))
    return payments


async def until_tried(shop: Installation, count: int) -> None:
    for _ in range(1_000):
        if len(shop.rows("SELECT id FROM callback_tries")) >= count:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"fewer than {count} tries were made")


def change(shop: Installation, statement: str, *values: Any) -> None:
    with closing(connect(shop.data_dir.database)) as conn:
        assert conn.execute(statement, values).rowcount


def switch_off(shop: Installation, url: str) -> None:
    change(shop, "INSERT INTO callback_endpoints VALUES (?, NULL, NULL, '2026-01-15T03:00:00.000Z', 'it is gone')", url)


async def listed(shop: Installation, **query: Any) -> list[dict[str, Any]]:
    answer = await shop.client.get("/callbacks", params=query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["data"]
    return found


async def post(shop: Installation, path: str, body: Any = None) -> tuple[int, Any]:
    answer = await shop.client.post(path, json=body)
    return answer.status_code, answer.json()


async def test_what_was_sent_is_listed_newest_first_and_read_with_its_tries(
    shop: Installation, receiver: FakeReceiver
) -> None:
    receiver.script.next("callback", reply=Reply(500, b"database is locked"))
    first, second = await told(shop, receiver, "INV-1", "INV-2")
    newer, older = await listed(shop)
    assert [newer["payment_id"], older["payment_id"]] == [second["id"], first["id"]]
    assert (older["status"], older["reason"], older["tries"]) == ("WAITING", "answered HTTP 500", 1)
    details = (await shop.client.get(f"/callbacks/{older['id']}")).json()
    assert_exactly(CallbackDetails, details)
    assert details["body"] == receiver.book[0].event
    assert [(one["status_code"], one["answer"]) for one in details["history"]] == [(500, "database is locked")]


async def test_pages_follow_each_other_and_filters_narrow_them(shop: Installation, receiver: FakeReceiver) -> None:
    payments = await told(shop, receiver, "INV-1", "INV-2", "INV-3")
    first = (await shop.client.get("/callbacks?limit=2")).json()
    assert_exactly(CallbackPage, first)
    rest = (await shop.client.get("/callbacks", params={"limit": 2, "cursor": first["next_cursor"]})).json()
    assert rest["next_cursor"] is None
    seen = [one["payment_id"] for one in first["data"] + rest["data"]]
    assert seen == [payment["id"] for payment in reversed(payments)]
    assert len(await listed(shop, payment_id=payments[1]["id"])) == 1
    assert len(await listed(shop, endpoint=receiver.url + "?a=1", status="DELIVERED")) == 3
    assert await listed(shop, status="DEAD") == []
    assert await listed(shop, endpoint="https://elsewhere.example/") == []
    assert len(await listed(shop, since="2026-01-15T10:00:00+07:00")) == 3
    assert await listed(shop, since="2026-01-15T03:00:01Z") == []


@pytest.mark.parametrize(
    "query",
    ["status=PAID", "since=yesterday", "since=2026-02-30T00:00:00Z", "cursor=x", "limit=0", "endpoint=http://["],
)
async def test_a_list_that_cannot_be_understood_is_refused(shop: Installation, query: str) -> None:
    answer = await shop.client.get(f"/callbacks?{query}")
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")


async def test_a_replayed_callback_arrives_again_under_its_id(shop: Installation, receiver: FakeReceiver) -> None:
    await told(shop, receiver, "INV-1")
    (before,) = await listed(shop)
    status, answer = await post(shop, f"/callbacks/{before['id']}/replay")
    assert_exactly(Callback, answer)
    assert (status, answer["status"], answer["tries"]) == (202, "WAITING", 0)
    first, again = await receiver.wait_for(2)
    assert (again.id, again.body) == (first.id, first.body)
    await until_tried(shop, 2)
    history = (await shop.client.get(f"/callbacks/{before['id']}")).json()["history"]
    assert len(history) == 2


async def test_replaying_to_an_endpoint_that_is_off_says_to_resume_it(
    shop: Installation, receiver: FakeReceiver
) -> None:
    await told(shop, receiver, "INV-1")
    switch_off(shop, receiver.url)
    (callback,) = await listed(shop)
    status, problem = await post(shop, f"/callbacks/{callback['id']}/replay")
    assert (status, problem["code"]) == (409, "endpoint_off")
    assert "it is gone" in problem["detail"]
    assert "resume" in problem["detail"]
    answer = await post(shop, "/callbacks/replay", {"payment_id": callback["payment_id"]})
    assert answer == (200, {"replayed": 0, "switched_off": 1})
    assert (await listed(shop))[0]["status"] == "DELIVERED"


async def test_many_are_replayed_by_condition_in_bounded_steps(
    shop: Installation, receiver: FakeReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "BATCH", 2)
    await told(shop, receiver, *(f"INV-{number}" for number in range(5)))
    assert await post(shop, "/callbacks/replay", {"status": "DEAD"}) == (200, {"replayed": 0, "switched_off": 0})
    assert (await post(shop, "/callbacks/replay", {"since": "2026-01-15T03:00:01Z"}))[1]["replayed"] == 0
    status, answer = await post(shop, "/callbacks/replay", {"endpoint": receiver.url, "status": "DELIVERED"})
    assert_exactly(Replayed, answer)
    assert (status, answer["replayed"]) == (200, 5)
    await until_tried(shop, 10)
    assert sorted(one.id for one in receiver.book[:5]) == sorted(one.id for one in receiver.book[5:])


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body"),
        ({"status": None}, "body"),
        ({"status": "PAID"}, "status"),
        ({"since": 1}, "since"),
        ({"since": "2026-01-15"}, "since"),
        ({"endpoint": "http://["}, "endpoint"),
        ({"all": True}, "all"),
    ],
)
async def test_a_replay_must_say_of_what(shop: Installation, body: dict[str, Any], field: str) -> None:
    status, problem = await post(shop, "/callbacks/replay", body)
    assert (status, [one["field"] for one in problem["errors"]]) == (422, [field])


async def test_an_endpoint_that_is_gone_is_listed_and_resuming_it_sends_everything(
    shop: Installation, receiver: FakeReceiver
) -> None:
    receiver.script.next("callback", reply=Reply(410))
    await told(shop, receiver, "INV-1")
    (endpoint,) = (await shop.client.get("/callbacks/endpoints")).json()["data"]
    assert_exactly(Endpoints, {"data": [endpoint]})
    assert (endpoint["url"], endpoint["reason"], endpoint["dead"]) == (receiver.url, "it answered 410 Gone", 1)
    metrics = (await shop.client.get("/metrics")).text
    assert "qrisd_callback_endpoints_off 1.0" in metrics
    assert "qrisd_callbacks_waiting 0.0" in metrics
    status, answer = await post(shop, "/callbacks/endpoints/resume", {"url": receiver.url})
    assert_exactly(Resumed, answer)
    assert (status, answer["replayed"]) == (200, 1)
    assert (await shop.client.get("/callbacks/endpoints")).json()["data"] == []
    await until_tried(shop, 2)
    assert [one["status"] for one in await listed(shop)] == ["DELIVERED"]


async def test_an_endpoint_that_is_not_off_cannot_be_resumed(shop: Installation) -> None:
    status, problem = await post(shop, "/callbacks/endpoints/resume", {"url": "https://shop.example/hooks"})
    assert (status, problem["code"]) == (404, "not_found")


async def test_a_ping_is_signed_and_its_curl_sends_the_very_same_request(
    shop: Installation, receiver: FakeReceiver
) -> None:
    assert shutil.which("curl"), "curl is not installed"
    status, answer = await post(shop, "/callbacks/test", {"url": receiver.url + "?it's=[1]"})
    assert_exactly(Pinged, answer)
    assert (status, answer["delivered"], answer["status_code"]) == (200, True, 204)
    process = await asyncio.create_subprocess_shell(answer["curl"], stdout=asyncio.subprocess.PIPE)
    await process.communicate()
    sent, by_hand = receiver.book
    assert sent.event == {"type": "ping", "timestamp": "2026-01-15T03:00:00.000Z", "sequence": 0, "data": {}}
    assert by_hand.body == sent.body
    signed = ("content-type", "webhook-id", "webhook-timestamp", "webhook-signature")
    assert [by_hand.headers[name] for name in signed] == [sent.headers[name] for name in signed]
    proof = Webhook(SECRET).sign(sent.id, shop.clock(), sent.body.decode())
    assert sent.headers["webhook-signature"] == proof
    assert shop.rows("SELECT id FROM callback_tries") == []


async def test_a_ping_that_is_not_taken_says_why(shop: Installation, receiver: FakeReceiver) -> None:
    receiver.script.next("callback", reply=Reply(401, b"bad signature"))
    _, answer = await post(shop, "/callbacks/test", {"url": receiver.url})
    assert (answer["delivered"], answer["status_code"], answer["answer"]) == (False, 401, "bad signature")
    await receiver.stop()
    _, answer = await post(shop, "/callbacks/test", {"url": receiver.url})
    assert (answer["delivered"], answer["status_code"]) == (False, None)
    assert answer["error"]
    await receiver.start()


@pytest.mark.parametrize(
    "url", ["ftp://shop.example/", "http://10.0.0.1/", "http://user@shop.example/", "shop.example"]
)
async def test_a_ping_goes_only_where_a_callback_may_go(shop: Installation, url: str) -> None:
    status, problem = await post(shop, "/callbacks/test", {"url": url})
    assert (status, [one["field"] for one in problem["errors"]]) == (422, ["url"])


@pytest.mark.parametrize(("method", "path"), [("GET", "/callbacks/msg_0"), ("POST", "/callbacks/msg_0/replay")])
async def test_a_callback_that_is_not_there_is_not_found(shop: Installation, method: str, path: str) -> None:
    answer = await shop.client.request(method, path)
    assert (answer.status_code, answer.json()["detail"]) == (404, "There is no such callback.")


async def test_only_what_was_given_up_is_listed_and_replayed_when_asked_so(
    shop: Installation, receiver: FakeReceiver
) -> None:
    await told(shop, receiver, "INV-1", "INV-2")
    change(shop, f"{GIVE_UP} WHERE event_id = 1")
    assert [one["event_id"] for one in await listed(shop, status="DEAD", limit=1)] == [1]
    assert (await post(shop, "/callbacks/replay", {"status": "DEAD"}))[1]["replayed"] == 1
    await until_tried(shop, 3)


async def test_metrics_are_answered_though_the_database_cannot_be_read(shop: Installation) -> None:
    with closing(sqlite3.connect(shop.data_dir.database)) as conn:
        conn.execute("ALTER TABLE callback_endpoints RENAME TO lost")
    answer = await shop.client.get("/metrics")
    assert answer.status_code == 200
    assert "qrisd_job_runs" in answer.text
