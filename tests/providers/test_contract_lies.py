"""The contract over all providers: an answer that is not about our charge, or about another amount, is refused."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest

from qrisd.domain.payment import Status, contradiction
from tests.providers.bench import REFERENCE, Bench, attempt_of, charge
from tests.providers.kinds import KINDS

LONG_S = 49 * 3600
OTHER = "SOMEBODY-ELSES"


@dataclass(frozen=True, slots=True)
class Lies:
    """Members of a provider's answers: of another amount, of none in whole rupiah, and of another charge."""

    amount: dict[str, Any]
    broken: dict[str, Any]
    reference: dict[str, Any]


def _snap(value: str) -> dict[str, Any]:
    return {"amount": {"value": value, "currency": "IDR"}}


SNAP = Lies(_snap("14000.00"), _snap("15000.50"), {"partnerReferenceNo": OTHER})
LIES = {
    "midtrans": Lies({"gross_amount": "14000.00"}, {"gross_amount": "15000.50"}, {"order_id": OTHER}),
    "xendit-v3": Lies({"request_amount": 14_000}, {"request_amount": 15_000.5}, {"reference_id": OTHER}),
    "xendit-qr": Lies({"amount": 14_000}, {"amount": 15_000.5}, {"reference_id": OTHER}),
    "snap-bank": SNAP,
    "doku": SNAP,
    "nicepay-snap": SNAP,
    "nicepay-v2": Lies({"amt": "14000"}, {"amt": "15000.5"}, {"referenceNo": OTHER}),
}
each_lies = pytest.mark.parametrize(
    ("bench", "lies"), [pytest.param(kind, LIES[kind], id=kind) for kind in KINDS], indirect=["bench"]
)


@each_lies
async def test_a_charge_for_another_amount_is_contradicted(bench: Bench, lies: Lies) -> None:
    bench.fake.script.next("charge", fields=lies.amount)
    seen = await bench.provider.create_qr(charge())
    asked = replace(attempt_of(seen, bench.kind.name), status=Status.CREATED, provider_trx_id=None)
    assert contradiction(asked, "IDR", seen) == "amount_mismatch"


@each_lies
async def test_a_charge_under_another_reference_is_contradicted(bench: Bench, lies: Lies) -> None:
    bench.fake.script.next("charge", fields=lies.reference)
    assert (await bench.provider.create_qr(charge())).contradiction == "reference_mismatch"


@each_lies
async def test_a_live_qr_of_another_amount_is_contradicted(bench: Bench, lies: Lies) -> None:
    attempt = await bench.charged()
    bench.fake.script.next("status", fields=lies.amount)
    assert contradiction(attempt, "IDR", await bench.provider.fetch_status(attempt)) == "amount_mismatch"


@each_lies
async def test_an_amount_that_is_not_whole_rupiah_is_contradicted(bench: Bench, lies: Lies) -> None:
    attempt = await bench.charged()
    bench.fake.script.next("status", fields=lies.broken)
    assert (await bench.provider.fetch_status(attempt)).contradiction == "amount_format"


async def test_a_qr_ends_by_the_providers_own_clock(bench: Bench) -> None:
    attempt = await bench.charged()
    bench.fake.advance(LONG_S)
    assert (await bench.provider.fetch_status(attempt)).status in (Status.EXPIRED, Status.CANCELLED)


async def test_money_after_its_time_is_still_seen(bench: Bench) -> None:
    attempt = await bench.charged()
    bench.fake.advance(LONG_S)
    bench.fake.pay(REFERENCE)
    assert (await bench.provider.fetch_status(attempt)).status is Status.PAID
