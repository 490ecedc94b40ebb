"""WH-16: forged webhooks in masses beside the real ones, while the provider cannot be asked."""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path
from typing import Any

import httpx

from tests.faults.provider_stage import Stage, stage

REAL = 60
FLOODERS = 12
# Providers wait 5 to 15 seconds for an answer; on a free machine the slowest takes a fraction of one.
SHORTEST_WAIT_S = 5.0


async def test_real_webhooks_are_answered_in_time_through_a_flood_of_forged_ones(tmp_path: Path) -> None:
    async with stage(tmp_path, "midtrans", random.Random(16), share=0.0, may_do_nothing=False) as on:
        for number in range(REAL):
            answer = await on.client.post("/payments", json={"order_id": f"INV-{number}", "amount": 15_000})
            assert answer.status_code == 201, answer.text
        bodies = [_settled(on, reference) for reference in on.fake.book]
        on.script.hangs = True
        refused: list[int] = []
        flood = [asyncio.create_task(_flood(on, bodies, refused)) for _ in range(FLOODERS)]
        slowest_s = await _deliver(on, bodies)
        for task in flood:
            task.cancel()
        await asyncio.gather(*flood, return_exceptions=True)
        assert slowest_s < SHORTEST_WAIT_S
        assert len(refused) > 10 * REAL
        assert set(refused) == {401}
        assert on.rows("SELECT count(*) FROM webhook_events")[0][0] == REAL
        on.script.hangs = False
        await _all_paid(on)


def _settled(on: Stage, reference: str) -> dict[str, Any]:
    on.pay(reference, notified=False)
    body: dict[str, Any] = on.fake.notification(on.fake.book[reference])
    return body


async def _flood(on: Stage, bodies: list[dict[str, Any]], refused: list[int]) -> None:
    async with httpx.AsyncClient(base_url=on.server.url, timeout=30) as client:
        while True:
            forged = {**random.choice(bodies), "signature_key": "0" * 128}
            refused.append((await client.post("/webhooks/midtrans", json=forged)).status_code)


async def _deliver(on: Stage, bodies: list[dict[str, Any]]) -> float:
    """Send the real ones; the seconds the slowest answer took."""
    slowest_s = 0.0
    for body in bodies:
        began = time.monotonic()
        answer = await on.client.post("/webhooks/midtrans", json=body)
        slowest_s = max(slowest_s, time.monotonic() - began)
        assert (answer.status_code, answer.json()["outcome"]) == (200, "checking")
        await asyncio.sleep(0.03)
    return slowest_s


async def _all_paid(on: Stage) -> None:
    deadline = time.monotonic() + 60
    while on.rows("SELECT count(*) FROM payments WHERE status != 'PAID'")[0][0]:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.5)
