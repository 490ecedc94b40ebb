"""A refund through the whole product at every provider that gives money back: once, whatever happens to the answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import closing
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
from tests.support.refunds import Json, asked, becomes, decide, person


@dataclass(slots=True)
class Stage:
    """A shop at this kind of provider, and its fake."""

    kind: Kind
    fake: Any
    shop: Installation

    async def paid(self) -> Json:
        """A payment that was paid there, and that we have asked about."""
        payment = await self.shop.create()
        self.fake.pay(self.reference)
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
    kind = KINDS[request.param]
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
