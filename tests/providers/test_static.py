"""The merchant's own static QRIS: made dynamic here, paid on a person's word."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from qrisd.domain import qris
from qrisd.providers.static import StaticSettings
from tests.support.clock import FakeClock
from tests.support.installation import Installation

STATIC = qris.build(merchant_name="WARUNG UJI", merchant_city="JAKARTA", nmid="ID0000000000017")
WORD = {"amount": 15_000, "confirmed_by": "Siti", "provider_ref_no": "000123"}


@pytest.fixture
async def warung(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Installation]:
    flags: dict[str, Any] = {"providers": {"static": {"qris": STATIC}}, "default_provider": "static"}
    async with Installation(tmp_path / "data", clock, flags).running() as running:
        yield running


@pytest.fixture
async def unique(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Installation]:
    flags: dict[str, Any] = {
        "providers": {"static": {"qris": STATIC, "unique_amount": True}},
        "default_provider": "static",
    }
    async with Installation(tmp_path / "data", clock, flags).running() as running:
        yield running


async def test_the_qr_is_the_merchants_own_with_the_amount(warung: Installation) -> None:
    payment = await warung.create()
    reading = qris.read(payment["qris_payload"])
    assert reading.valid
    assert reading.qris is not None
    assert (reading.qris.amount, reading.qris.merchant_name, reading.qris.kind) == ("15000", "WARUNG UJI", "dynamic")


async def test_it_is_paid_on_a_named_persons_word_and_the_word_is_kept(warung: Installation) -> None:
    payment = await warung.create()
    answer = await warung.client.post(f"/payments/{payment['id']}/confirm", json=WORD)
    assert (answer.status_code, answer.json()["status"]) == (200, "PAID")
    assert answer.json()["provider_ref_no"] == "000123"
    timeline = (await warung.client.get(f"/payments/{payment['id']}/timeline")).json()["data"]
    assert timeline[-1]["event"] == "CONFIRMED"
    assert "confirmed by Siti with API key test" in timeline[-1]["payload"]["detail"]


async def test_a_second_word_changes_nothing(warung: Installation) -> None:
    payment = await warung.create()
    await warung.client.post(f"/payments/{payment['id']}/confirm", json=WORD)
    again = await warung.client.post(f"/payments/{payment['id']}/confirm", json=WORD)
    assert (again.status_code, again.json()["code"]) == (409, "wrong_state")
    assert (await warung.get(payment["id"]))["amount_paid"] == 15_000


async def test_nobody_can_confirm_what_a_provider_confirms_itself(shop: Installation) -> None:
    payment = await shop.create()
    answer = await shop.client.post(f"/payments/{payment['id']}/confirm", json=WORD)
    assert (answer.status_code, answer.json()["code"]) == (409, "wrong_state")
    assert (await shop.get(payment["id"]))["status"] == "PENDING"


async def test_a_key_without_the_scope_cannot_confirm(warung: Installation) -> None:
    payment = await warung.create()
    headers = {"Authorization": f"Bearer {warung.new_key('payments:write')}"}
    answer = await warung.client.post(f"/payments/{payment['id']}/confirm", json=WORD, headers=headers)
    assert answer.status_code == 403


async def test_money_after_the_time_is_late_once_somebody_says_so(warung: Installation) -> None:
    payment = await warung.create(expires_in=60)
    warung.clock.advance(61)
    for _ in range(60):
        if (await warung.get(payment["id"]))["status"] == "EXPIRED":
            break
        await asyncio.sleep(0.05)
    late = (await warung.client.post(f"/payments/{payment['id']}/confirm", json=WORD)).json()
    assert (late["status"], late["exception"]) == ("PAID", "late")


async def test_open_qrs_never_ask_for_the_same_amount(unique: Installation) -> None:
    payments = [await unique.create(f"INV-{number}") for number in range(60)]
    due = [payment["amount_due"] for payment in payments]
    assert len(set(due)) == 60
    assert all(15_001 <= amount <= 15_999 for amount in due)
    reading = qris.read(payments[0]["qris_payload"])
    assert reading.qris is not None
    assert reading.qris.amount_idr == due[0]


async def test_the_few_rupiah_more_are_not_an_overpayment(unique: Installation) -> None:
    payment = await unique.create()
    word = {**WORD, "amount": payment["amount_due"]}
    paid = (await unique.client.post(f"/payments/{payment['id']}/confirm", json=word)).json()
    assert (paid["status"], paid["exception"]) == ("PAID", None)


@pytest.mark.parametrize(
    "broken", [STATIC[:-4] + "0000", STATIC[:60], "https://example.com", STATIC.replace("5303360", "5303840")]
)
def test_a_static_qris_that_cannot_be_used_is_refused_at_start(broken: str) -> None:
    with pytest.raises(ValidationError):
        StaticSettings(qris=broken)
