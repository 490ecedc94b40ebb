"""A shop with paid payments, people who may ask and approve, and what they do about refunds."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import httpx

from qrisd.domain.permissions import Role
from tests.support.installation import Installation
from tests.support.people import add_person

ENDED = ("DONE", "FAILED", "REJECTED", "EXPIRED", "CANCELLED")
Json = dict[str, Any]


async def paid(shop: Installation, order_id: str = "INV-1", amount: int = 15_000) -> Json:
    """A payment whose money has come."""
    payment = await shop.create(order_id, amount)
    assert (await shop.webhook(payment)).status_code == 200
    return await shop.get(payment["id"])


def person(shop: Installation, role: Role, username: str = "", **more: Any) -> tuple[str, str]:
    """(id, an API key of theirs) of a new person."""
    user = add_person(shop, role, username, **more)
    return user.id, shop.new_key(name=username or role, user_id=user.id)


async def call(shop: Installation, method: str, path: str, key: str | None = None, **more: Any) -> httpx.Response:
    """One call with this API key; the shop's own where none is given."""
    headers = {**more.pop("headers", {}), **({"Authorization": f"Bearer {key}"} if key else {})}
    return await shop.client.request(method, path, headers=headers, **more)


async def ask(
    shop: Installation, payment: Mapping[str, Any], key: str | None = None, once: str | None = None, **body: Any
) -> httpx.Response:
    """Ask for a refund of this payment, under a new Idempotency-Key where none is given."""
    headers = {"Idempotency-Key": once or uuid4().hex}
    given = {"reason": "not served", **body}
    return await call(shop, "POST", f"/payments/{payment['id']}/refunds", key, json=given, headers=headers)


async def asked(shop: Installation, payment: Mapping[str, Any], key: str | None = None, **body: Any) -> Json:
    """A refund that is asked for; fails the test unless it is."""
    answer = await ask(shop, payment, key, **body)
    assert answer.status_code == 201, answer.text
    refund: Json = answer.json()
    return refund


async def decide(shop: Installation, refund: Mapping[str, Any], word: str, key: str, **body: Any) -> httpx.Response:
    """approve, reject or cancel, with this key."""
    return await call(shop, "POST", f"/refunds/{refund['id']}/{word}", key, json=body)


async def shown(shop: Installation, refund: Mapping[str, Any]) -> Json:
    """The refund as it is now."""
    answer = await shop.client.get(f"/refunds/{refund['id']}")
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


async def becomes(shop: Installation, refund: Mapping[str, Any], *statuses: str, steps_s: float = 0.0) -> Json:
    """The refund once it stands so; the shop's clock moves by `steps_s` seconds at every look."""
    for _ in range(200):
        found = await shown(shop, refund)
        if found["status"] in statuses:
            return found
        shop.clock.advance(steps_s)
        await asyncio.sleep(0.03)
    raise AssertionError(f"the refund stays {found['status']}: {found['detail']}")


async def says(shop: Installation, refund: Mapping[str, Any], text: str) -> Json:
    """The refund once its detail has this text."""
    for _ in range(200):
        found = await shown(shop, refund)
        if text in (found["detail"] or ""):
            return found
        await asyncio.sleep(0.03)
    raise AssertionError(f"the refund says: {found['detail']}")
