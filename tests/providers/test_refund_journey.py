"""A refund through the whole product at every provider that gives money back: once, whatever happens to the answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from qrisd.domain.permissions import Role
from qrisd.store.db import connect
from tests.fakes.script import Fault
from tests.fakes.xendit import FakeXendit
from tests.faults.history import database_violations
from tests.providers.kinds import KINDS, REFUNDING, Kind
from tests.support.clock import FakeClock
from tests.support.installation import Installation
from tests.support.refunds import Json, ask, asked, becomes, decide, person, says


@dataclass(slots=True)
class Stage:
    """A shop at this kind of provider, and its fake."""

    kind: Kind
    fake: Any
    shop: Installation

    async def paid(self, issuer: str | None = None) -> Json:
        """A payment that was paid there, and that we have asked about; from the fake's own issuer or this one."""
        payment = await self.shop.create()
        self.fake.pay(self.reference, **({"issuer": issuer} if issuer else {}))
        answer = await self.shop.client.post(f"/payments/{payment['id']}/check")
        assert answer.json()["status"] == "PAID", answer.text
        found: Json = answer.json()
        return found

    @property
    def reference(self) -> str:
        return str(self.shop.rows("SELECT reference FROM attempts")[0]["reference"])

    def given_back(self) -> int:
        """Rupiah that the provider's own book says went back."""
        entry = self.fake.book[self.reference]
        if isinstance(self.fake, FakeXendit):
            return sum(refund.amount for refund in entry.refunds)
        return int(entry.refunded)

    async def approved(self, payment: Json, **body: Any) -> Json:
        refund = await asked(self.shop, payment, **body)
        key = person(self.shop, Role.FINANCE, f"f{refund['amount']}")[1]
        assert (await decide(self.shop, refund, "approve", key)).status_code == 200
        return refund


@pytest.fixture(params=REFUNDING)
async def stage(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stage]:
    async with staged(request.param, tmp_path) as made:
        yield made


@asynccontextmanager
async def staged(name: str, tmp_path: Path) -> AsyncIterator[Stage]:
    kind = KINDS[name]
    fake = kind.fake()
    await fake.start()
    table = {"base_url": fake.url, "timeout": 2, **kind.table(fake, tmp_path)}
    flags = {"providers": {kind.name: table}, "default_provider": kind.name}
    async with Installation(tmp_path / "data", FakeClock(datetime.now(UTC)), flags).running() as shop:
        yield Stage(kind, fake, shop)
    await fake.stop()


def violations(shop: Installation) -> list[str]:
    with closing(connect(shop.data_dir.database, read_only=True)) as conn:
        return database_violations(conn)


async def ends_well(stage: Stage, refund: Json) -> None:
    """The refund is accepted, and done at the latest when the provider says so of the whole payment."""
    accepted = await becomes(stage.shop, refund, "PENDING", "DONE", steps_s=2)
    assert stage.given_back() == refund["amount"]
    if accepted["status"] == "DONE":
        assert (await stage.shop.get(refund["payment_id"]))["amount_refunded"] == refund["amount"]
    assert violations(stage.shop) == []


async def test_all_of_it_goes_back(stage: Stage) -> None:
    await ends_well(stage, await stage.approved(await stage.paid()))


@pytest.mark.parametrize("fault", [Fault.DROP_AFTER_EFFECT, Fault.ERROR_AFTER_EFFECT, Fault.DROP_BEFORE_EFFECT])
async def test_whatever_happens_to_the_answer_it_goes_back_once(stage: Stage, fault: Fault) -> None:
    payment = await stage.paid()
    stage.fake.script.next(stage.kind.words.refund_call, fault)
    refund = await stage.approved(payment)
    await ends_well(stage, refund)
    references = {one["reference"] for one in stage.shop.rows("SELECT reference FROM refunds")}
    assert references == {refund["reference"]}


# What only some providers do


@pytest.fixture
async def xendit(tmp_path: Path) -> AsyncIterator[Stage]:
    async with staged("xendit-v3", tmp_path) as made:
        yield made


async def test_a_payment_from_a_bank_xendit_cannot_refund_is_left_to_hands(xendit: Stage) -> None:
    payment = await xendit.paid("BNI")
    (way, *by_hand) = (await xendit.shop.client.get(f"/payments/{payment['id']}/refundable")).json()["ways"]
    assert (way["possible"], way["issuer"]) == (False, "BNI")
    assert way["why_not"] == ["xendit cannot refund payments from BNI: give it back by hand"]
    assert [one["possible"] for one in by_hand] == [True, True]
    refused = await ask(xendit.shop, payment)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "method")
    assert "cannot refund payments from BNI" in refused.json()["detail"]
    assert xendit.given_back() == 0


async def test_a_payment_from_cimb_goes_back_in_part_and_a_day_later_as_a_whole(xendit: Stage) -> None:
    payment = await xendit.paid("CIMB NIAGA")
    refused = await ask(xendit.shop, payment)
    assert "24 hours after the payment" in refused.json()["detail"]
    assert (await ask(xendit.shop, payment, amount=5_000)).status_code == 201
    later = await xendit.shop.create("INV-2")
    xendit.fake.pay(xendit.shop.rows("SELECT reference FROM attempts ORDER BY rowid")[1]["reference"], issuer="CIMB")
    await xendit.shop.client.post(f"/payments/{later['id']}/check")
    xendit.shop.clock.advance(86_460)
    assert (await ask(xendit.shop, later)).status_code == 201


async def test_a_payment_from_nobody_knows_where_is_tried_with_a_remark(xendit: Stage) -> None:
    payment = await xendit.paid("Koperasi Maju")
    (way, *_) = (await xendit.shop.client.get(f"/payments/{payment['id']}/refundable")).json()["ways"]
    assert (way["possible"], way["issuer"]) == (True, "Koperasi Maju")
    assert ["Koperasi Maju" in remark for remark in way["remarks"]] == [True]
    refund = await xendit.approved(payment)
    assert "by hand" in (await becomes(xendit.shop, refund, "FAILED", steps_s=2))["detail"]


async def test_a_refund_waits_until_the_balance_is_topped_up(xendit: Stage) -> None:
    payment = await xendit.paid()
    xendit.fake.balance = 0
    refund = await xendit.approved(payment)
    waiting = await says(xendit.shop, refund, "balance is too small")
    assert (waiting["status"], xendit.given_back()) == ("APPROVED", 0)
    assert (await xendit.shop.client.get("/providers")).json()["data"][0]["circuit"] == "closed"
    xendit.fake.balance = 15_000
    await becomes(xendit.shop, refund, "PENDING", "DONE", steps_s=60)
    assert xendit.given_back() == 15_000
    assert violations(xendit.shop) == []


@pytest.mark.parametrize(("kind", "issuer"), [("midtrans", "dana"), ("doku", "93600999"), ("snap-bank", "93600999")])
async def test_who_issued_the_payers_wallet_is_kept(tmp_path: Path, kind: str, issuer: str) -> None:
    async with staged(kind, tmp_path) as made:
        await made.paid()
        assert made.shop.rows("SELECT issuer FROM attempts") == [{"issuer": issuer}]
