"""The ledger over the API."""

from __future__ import annotations

from pathlib import Path

from tests.support.clock import FakeClock
from tests.support.installation import Installation


async def test_the_ledger_is_read_over_the_api(tmp_path: Path, clock: FakeClock) -> None:
    async with Installation(tmp_path / "data", clock, {}).running() as shop:
        payment = await shop.create()
        await shop.webhook(payment)
        accounts = (await shop.client.get("/ledger")).json()["data"]
        assert accounts == [
            {"account": "receivable:simulator", "balance": 15_000},
            {"account": "sales", "balance": 15_000},
        ]
        (entry,) = (await shop.client.get(f"/payments/{payment['id']}/ledger")).json()["data"]
        assert (entry["kind"], entry["debit"], entry["credit"]) == ("paid", "receivable:simulator", "sales")
        assert (await shop.client.get("/payments/nothing/ledger")).status_code == 404


async def test_a_key_of_one_outlet_sees_no_other_outlets_entries(tmp_path: Path, clock: FakeClock) -> None:
    async with Installation(tmp_path / "data", clock, {}).running() as shop:
        payment = await shop.create(outlet="bandung")
        key = shop.new_key("ledger:read", outlets=frozenset({"main"}))
        limited = {"Authorization": f"Bearer {key}"}
        assert (await shop.client.get(f"/payments/{payment['id']}/ledger", headers=limited)).status_code == 404
        assert (await shop.client.get("/ledger", headers=limited)).status_code == 403
