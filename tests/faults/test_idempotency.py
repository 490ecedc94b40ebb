"""ID: the same request, in every way it can come again."""

from __future__ import annotations

import asyncio
from contextlib import closing
from typing import Any

import httpx
import pytest

from qrisd.services import api_keys
from qrisd.store import api_keys as stored_keys
from qrisd.store.db import connect
from tests.support.installation import Installation

pytestmark = pytest.mark.usefixtures("check_everything")

ORDER: dict[str, Any] = {"order_id": "INV-1", "amount": 15_000}
KEY = {"Idempotency-Key": "k-1"}


async def _create(shop: Installation, headers: dict[str, str] | None = None, **changed: Any) -> httpx.Response:
    return await shop.client.post("/payments", json={**ORDER, **changed}, headers=headers)


async def test_the_same_key_and_body_replay_the_stored_answer(shop: Installation, charged: list[str]) -> None:
    """ID-02"""
    first = await _create(shop, KEY)
    await shop.webhook(first.json())
    again = await _create(shop, KEY)
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert (again.headers["Idempotent-Replayed"], "Idempotent-Replayed" in first.headers) == ("true", False)
    assert len(charged) == 1


@pytest.mark.parametrize("changed", [{"amount": 15_001}, {"order_id": "INV-2"}, {"description": "other"}])
async def test_a_key_used_with_another_body_is_refused(
    shop: Installation, charged: list[str], changed: dict[str, Any]
) -> None:
    """ID-03"""
    await _create(shop, KEY)
    other = await _create(shop, KEY, **changed)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert len(charged) == len(shop.rows("SELECT id FROM payments")) == 1


@pytest.mark.parametrize("headers", [KEY, None])
async def test_fifty_equal_requests_at_once_make_one_charge(
    shop: Installation, charged: list[str], headers: dict[str, str] | None
) -> None:
    """ID-04"""
    answers = await asyncio.gather(*(_create(shop, headers) for _ in range(50)))
    codes = {answer.status_code: answer.json().get("code") for answer in answers}
    assert [answer.status_code for answer in answers].count(201) >= 1
    assert codes.keys() <= {200, 201, 409}
    assert codes.get(409) in (None, "idempotency_in_progress")
    assert all(answer.headers["Retry-After"] for answer in answers if answer.status_code == 409)
    assert len({answer.json()["id"] for answer in answers if answer.status_code != 409}) == 1
    assert len(charged) == len(shop.rows("SELECT id FROM attempts")) == 1


async def test_fifty_orders_at_once_under_one_key_make_one_charge(shop: Installation, charged: list[str]) -> None:
    """ID-04"""
    answers = await asyncio.gather(*(_create(shop, KEY, order_id=f"INV-{number}") for number in range(50)))
    assert sorted(answer.status_code for answer in answers) == [201] + [422] * 49
    assert len(charged) == 1


async def test_two_api_keys_may_use_the_same_idempotency_key(shop: Installation) -> None:
    """ID-05"""
    other = {"Authorization": f"Bearer {shop.new_key()}", **KEY}
    mine = await _create(shop, KEY)
    theirs = await _create(shop, other, order_id="INV-2", amount=20_000)
    assert (mine.status_code, theirs.status_code) == (201, 201)
    assert (await _create(shop, KEY)).json() == mine.json()
    assert (await _create(shop, other, order_id="INV-2", amount=20_000)).json() == theirs.json()


async def test_a_request_still_running_is_said_to_be_in_progress(shop: Installation, charged: list[str]) -> None:
    """ID-06"""
    first = asyncio.create_task(_create(shop, KEY, metadata={"simulator": "slow"}))
    await asyncio.sleep(0.3)
    assert len(charged) == 1
    second = await _create(shop, KEY, metadata={"simulator": "slow"})
    assert (second.status_code, second.json()["code"]) == (409, "idempotency_in_progress")
    assert (await first).status_code == 201
    assert (await _create(shop, KEY, metadata={"simulator": "slow"})).headers["Idempotent-Replayed"] == "true"


async def test_a_retry_after_an_unknown_outcome_asks_and_does_not_charge_again(
    shop: Installation, charged: list[str]
) -> None:
    """ID-07"""
    lost = {"metadata": {"simulator": "lose_answer"}}
    first = await _create(shop, KEY, **lost)
    assert (first.status_code, first.json()["status"]) == (202, "CREATED")
    assert first.headers["Retry-After"]
    again = await _create(shop, KEY, **lost)
    assert (again.status_code, again.json()["status"], again.json()["id"]) == (201, "PENDING", first.json()["id"])
    assert (await _create(shop, KEY, **lost)).headers["Idempotent-Replayed"] == "true"
    assert len(charged) == 1


@pytest.mark.parametrize(("behaviour", "status"), [("refuse", 502), ("unreachable", 503)])
@pytest.mark.parametrize("headers", [KEY, None])
async def test_a_refusal_is_not_replayed_for_ever(
    shop: Installation, charged: list[str], headers: dict[str, str] | None, behaviour: str, status: int
) -> None:
    """ID-07"""
    trouble = {"metadata": {"simulator": behaviour}}
    for _ in range(3):
        answer = await _create(shop, headers, **trouble)
        assert answer.status_code == status, answer.text
    # Every try is known to have made nothing, and is a charge of its own with a reference of its own.
    assert len(set(charged)) == len(shop.rows("SELECT id FROM attempts")) == 3
    assert len(shop.rows("SELECT id FROM payments")) == 1


async def test_a_request_that_never_began_stores_nothing_under_its_key(shop: Installation) -> None:
    """ID-08"""
    bad = await _create(shop, KEY, amount=0)
    assert (bad.status_code, bad.json()["code"]) == (422, "validation_failed")
    assert shop.rows("SELECT * FROM idempotency_keys") == []
    assert (await _create(shop, KEY)).status_code == 201


@pytest.mark.parametrize("headers", [None, {"Idempotency-Key": "k-2"}])
async def test_the_order_id_is_the_key_when_there_is_no_other(
    shop: Installation, charged: list[str], headers: dict[str, str] | None
) -> None:
    """ID-09"""
    first = await _create(shop, KEY)
    for _ in range(3):
        again = await _create(shop, headers)
        assert (again.status_code, again.headers.get("Idempotent-Replayed")) == (200, "true")
        assert again.json() == first.json()
    other = await _create(shop, amount=1)
    assert (other.status_code, other.json()["code"]) == (409, "order_id_taken")
    assert other.json()["existing"] in (first.json()["id"], first.json())
    assert len(charged) == 1


async def test_an_order_id_stays_taken_when_its_payment_is_over(shop: Installation, charged: list[str]) -> None:
    """ID-09"""
    first = await shop.create()
    await shop.client.post(f"/payments/{first['id']}/cancel")
    again = await _create(shop)
    assert (again.status_code, again.json()["status"]) == (200, "CANCELLED")
    assert len(charged) == 1


@pytest.mark.parametrize("key", [b"", b" ", b"a b", b"x" * 256, b"\x01", "kunci-é".encode(), b"\xff"])
async def test_a_key_that_cannot_be_read_is_refused(shop: Installation, key: bytes) -> None:
    """ID-10"""
    answer = await shop.client.post("/payments", json=ORDER, headers=[(b"Idempotency-Key", key)])
    assert (answer.status_code, answer.json()["code"]) == (400, "idempotency_key_invalid")
    assert shop.rows("SELECT id FROM payments") == []


async def test_two_keys_on_one_request_are_refused(shop: Installation) -> None:
    """ID-10"""
    answer = await shop.client.post("/payments", json=ORDER, headers=[("Idempotency-Key", one) for one in "ab"])
    assert answer.status_code == 400
    assert shop.rows("SELECT id FROM payments") == []


async def test_a_revoked_api_key_replays_nothing(shop: Installation) -> None:
    """ID-11"""
    first = await _create(shop, KEY)
    with closing(connect(shop.data_dir.database)) as conn:
        stored_keys.revoke(conn, shop.rows("SELECT id FROM api_keys")[0]["id"], shop.clock())
    again = await _create(shop, KEY)
    assert (again.status_code, again.json()["code"]) == (401, "unauthorized")
    assert first.json()["id"] not in again.text


async def test_a_rotated_api_key_keeps_its_idempotency_keys(shop: Installation, charged: list[str]) -> None:
    """ID-12"""
    first = await _create(shop, KEY)
    with closing(connect(shop.data_dir.database)) as conn:
        key_id = shop.rows("SELECT id FROM api_keys")[0]["id"]
        _, secret = api_keys.rotate(conn, key_id, shop.settings.environment, shop.clock())
    again = await _create(shop, {**KEY, "Authorization": f"Bearer {secret}"})
    assert (again.status_code, again.content, again.headers["Idempotent-Replayed"]) == (201, first.content, "true")
    assert len(charged) == 1
