"""NICEPAY's direct API through the whole product, where it differs from the others."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

from tests.fakes.nicepay import FakeNicepay
from tests.fakes.script import Fault
from tests.support.clock import FakeClock
from tests.support.installation import Installation


async def test_money_on_a_registration_whose_answer_was_lost_is_found_by_its_notification(tmp_path: Path) -> None:
    """It cannot be asked about without its own id, which only the notification brings."""
    fake = FakeNicepay()
    await fake.start()
    nicepay = {"api": "v2", "imid": fake.imid, "merchant_key": fake.merchant_key, "base_url": fake.url, "timeout": 1}
    flags = {"providers": {"nicepay": nicepay}, "default_provider": "nicepay"}
    fake.script.next("charge", Fault.DROP_AFTER_EFFECT)
    async with Installation(tmp_path / "data", FakeClock(datetime.now(UTC)), flags).running() as shop:
        payment = await shop.create()
        assert payment["status"] == "CREATED"
        (reference,) = fake.book
        fake.pay(reference)
        answer = await shop.client.post("/webhooks/nicepay", data=fake.notification(fake.book[reference]))
        assert answer.status_code == 200
        for _ in range(100):
            payment = await shop.get(payment["id"])
            if payment["status"] == "PAID":
                break
            await asyncio.sleep(0.02)
        assert (payment["status"], payment["amount_paid"]) == ("PAID", 15_000)
    await fake.stop()
