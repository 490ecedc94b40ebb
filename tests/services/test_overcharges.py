"""What was kept too much is the same, whether it is listed or found by reconciling the day."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.clock import FakeClock
from tests.support.installation import Installation

# From 16 January on nothing may be kept. 15:30 UTC is 22:30 of the 15th in WIB, and 00:30 of the 16th in WIT.
RATES = [
    {"since": since, "criteria": ["UMI"], "basis_points": points}
    for since, points in (("2026-01-01", 70), ("2026-01-16", 0))
]
BEFORE_MIDNIGHT = datetime(2026, 1, 15, 15, 30, tzinfo=UTC)
REPORT = "order_id,amount,fee,settlement_date,transacted_at\nINV-1,15000,105,2026-01-17,2026-01-15T15:30:00Z\n"


@pytest.mark.parametrize(("merchant", "outlet", "over"), [("Asia/Jakarta", "WIT", [105]), ("Asia/Jayapura", "WIB", [])])
async def test_the_rate_is_that_of_the_outlets_day_everywhere(
    tmp_path: Path, merchant: str, outlet: str, over: list[int]
) -> None:
    flags = {"timezone": merchant, "outlets": {"far": {"timezone": outlet}}, "mdr": {"rates": RATES}}
    clock = FakeClock(BEFORE_MIDNIGHT)
    async with Installation(tmp_path / "data", clock, flags).running() as shop:
        await shop.webhook(await shop.create(outlet="far"))
        await shop.client.post("/settlements/import", params={"provider": "simulator"}, content=REPORT)
        listed = (await shop.client.get("/settlements/overcharges")).json()["data"]
        day = clock().astimezone(shop.settings.zones.of_place("far")).date()
        clock.advance(2 * 86_400)
        report = (await shop.client.post("/reconciliations", json={"date": day.isoformat()})).json()
    assert [one["over"] for one in listed] == over
    assert [one["difference"] for one in report["exceptions"] if one["class"] == "fee"] == over
