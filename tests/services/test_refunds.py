"""How refunds are carried out: sent once under one reference, asked about until it is known how they ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from qrisd.cli.common import transaction
from qrisd.domain.permissions import Role
from qrisd.domain.refund import Status
from qrisd.providers.base import Capabilities
from qrisd.providers.simulator import Simulator
from qrisd.services.refunds import Party, resolve
from qrisd.store.audit_log import Actor
from qrisd.store.db import connect
from tests.fakes.refund_book import RefundBook, in_place_of_the_simulator
from tests.support.clock import FakeClock
from tests.support.installation import Installation
from tests.support.refunds import Json, ask, asked, becomes, decide, paid, person, says, shown


@pytest.fixture
def book() -> Iterator[RefundBook]:
    with in_place_of_the_simulator(RefundBook()) as opened:
        yield opened


@pytest.fixture
async def sri(shop: Installation) -> str:
    return person(shop, Role.FINANCE, "sri")[1]


def say_it_failed(shop: Installation, refund: Json, user_id: str) -> None:
    with closing(connect(shop.data_dir.database)) as conn, transaction(conn):
        party = Party(Actor(user_id, "test"), user_id)
        resolve(conn, refund["id"], party, shop.clock(), outcome=Status.FAILED, why="their letter")


async def approved(shop: Installation, key: str, payment: Json | None = None, **body: Any) -> Json:
    refund = await asked(shop, payment or await paid(shop), **body)
    answer = await decide(shop, refund, "approve", key)
    assert answer.status_code == 200, answer.text
    return refund


async def test_what_is_done_is_sent_once_with_what_the_provider_calls_it(
    shop: Installation, book: RefundBook, sri: str
) -> None:
    refund = await approved(shop, sri, amount=5_000)
    done = await becomes(shop, refund, "DONE")
    assert [(one.reference, one.amount, one.reason) for one in book.sent] == [
        (refund["reference"], 5_000, "not served")
    ]
    assert (done["provider_refund_id"], book.asked) == (f"R-{refund['reference']}", [])


async def test_what_is_accepted_is_asked_about_until_it_is_done(shop: Installation, book: RefundBook, sri: str) -> None:
    book.script.append("pending")
    refund = await approved(shop, sri)
    await becomes(shop, refund, "PENDING")
    assert (await shop.get(refund["payment_id"]))["amount_refunded"] == 0
    shop.clock.advance(20)
    await becomes(shop, refund, "PENDING")
    book.pending.clear()
    await becomes(shop, refund, "DONE", steps_s=20)
    assert (len(book.sent), book.total) == (1, 15_000)


async def test_a_refused_refund_frees_its_amount(shop: Installation, book: RefundBook, sri: str) -> None:
    book.script.append("refuse")
    refund = await approved(shop, sri)
    failed = await becomes(shop, refund, "FAILED")
    assert failed["detail"] == "the payer's wallet is closed"
    again = await approved(shop, sri, await shop.get(refund["payment_id"]))
    await becomes(shop, again, "DONE")
    assert [one.reference for one in book.sent] == [refund["reference"], again["reference"]]


async def test_an_accepted_refund_that_the_bank_sends_back_fails(
    shop: Installation, book: RefundBook, sri: str
) -> None:
    book.script.append("pending")
    book.questions.append("refuse")
    refund = await approved(shop, sri)
    assert (await becomes(shop, refund, "FAILED", steps_s=20))["detail"] == "the bank sent it back"
    assert (await shop.get(refund["payment_id"]))["status"] == "PAID"


@pytest.mark.parametrize("words", [["unreachable", "unreachable"], ["rejected"]])
async def test_what_was_surely_not_sent_is_sent_again_later(
    shop: Installation, book: RefundBook, sri: str, words: list[str]
) -> None:
    book.script.extend(words)
    refund = await approved(shop, sri)
    await becomes(shop, refund, "DONE", steps_s=5)
    assert {one.reference for one in book.sent} == {refund["reference"]}
    assert (len(book.sent), len(book.asked), book.total) == (len(words) + 1, 0, 15_000)


async def test_a_balance_too_small_is_waited_out_under_the_same_reference(
    shop: Installation, book: RefundBook, sri: str
) -> None:
    book.script.extend(["low_balance", "low_balance"])
    refund = await approved(shop, sri)
    waiting = await says(shop, refund, "the balance is too small")
    assert (waiting["status"], waiting["sent_at"], len(book.sent)) == ("APPROVED", None, 1)
    assert waiting["next_try_at"] == "2026-01-15T03:05:00.000Z"
    assert (await ask(shop, {"id": refund["payment_id"]})).status_code == 409, "its amount stays reserved"
    await becomes(shop, refund, "DONE", steps_s=60)
    assert [one.reference for one in book.sent] == [refund["reference"]] * 3
    assert (book.asked, book.total) == ([], 15_000)


async def test_what_waits_for_balance_can_be_withdrawn(shop: Installation, book: RefundBook, sri: str) -> None:
    book.script.append("low_balance")
    refund = await approved(shop, sri)
    await says(shop, refund, "the balance is too small")
    assert (await decide(shop, refund, "cancel", sri)).json()["status"] == "CANCELLED"
    shop.clock.advance(86_400)
    assert (await ask(shop, {"id": refund["payment_id"]})).status_code == 201
    assert len(book.sent) == 1


async def test_a_balance_too_small_for_what_never_arrived_is_waited_out_too(
    shop: Installation, book: RefundBook, sri: str
) -> None:
    book.script.extend(["lost_before", "low_balance"])
    refund = await approved(shop, sri)
    await becomes(shop, refund, "UNKNOWN")
    await becomes(shop, refund, "APPROVED", steps_s=20)
    await becomes(shop, refund, "DONE", steps_s=60)
    assert (len(book.sent), book.total) == (3, 15_000)


async def test_what_two_people_said_meanwhile_outlasts_a_balance_too_small(
    shop: Installation, book: RefundBook, sri: str
) -> None:
    book.script.extend(["lost_before", "hold_low_balance"])
    book.gate = asyncio.Event()
    refund = await approved(shop, sri)
    await becomes(shop, refund, "UNKNOWN")
    while len(book.sent) < 2:
        shop.clock.advance(20)
        await asyncio.sleep(0.03)
    for name in ("ani", "tono"):
        say_it_failed(shop, refund, person(shop, Role.FINANCE, name)[0])
    book.gate.set()
    await becomes(shop, refund, "FAILED", steps_s=20)
    assert len(book.sent) == 2


async def test_a_lost_answer_is_settled_by_asking(shop: Installation, book: RefundBook, sri: str) -> None:
    book.script.append("lost")
    refund = await approved(shop, sri)
    await becomes(shop, refund, "UNKNOWN")
    await becomes(shop, refund, "DONE", steps_s=2)
    assert (len(book.sent), book.total) == (1, 15_000)


async def test_what_never_arrived_is_sent_again_under_the_same_reference(
    shop: Installation, book: RefundBook, sri: str
) -> None:
    book.script.append("lost_before")
    refund = await approved(shop, sri)
    await becomes(shop, refund, "UNKNOWN")
    shop.clock.advance(30)
    await says(shop, refund, "no such refund")
    assert len(book.sent) == 1, "an absence this early settles nothing"
    await becomes(shop, refund, "DONE", steps_s=20)
    assert [one.reference for one in book.sent] == [refund["reference"]] * 2
    assert book.total == 15_000


async def test_a_state_nobody_knows_decides_nothing(shop: Installation, book: RefundBook, sri: str) -> None:
    book.script.append("odd")
    book.questions.extend(["odd", "odd"])
    refund = await approved(shop, sri)
    assert (await becomes(shop, refund, "DONE", steps_s=5))["status"] == "DONE"
    assert len(book.asked) == 3


async def test_an_answer_with_another_amount_is_not_believed(shop: Installation, book: RefundBook, sri: str) -> None:
    book.script.append("wrong_amount")
    refund = await approved(shop, sri, amount=5_000)
    assert (await says(shop, refund, "names another amount: 5001"))["status"] == "UNKNOWN"
    assert (await shop.get(refund["payment_id"]))["amount_refunded"] == 0


async def test_two_refunds_of_one_payment_go_one_after_the_other(
    shop: Installation, book: RefundBook, sri: str
) -> None:
    payment = await paid(shop)
    book.script.append("lost")
    first = await approved(shop, sri, payment, amount=5_000)
    await becomes(shop, first, "UNKNOWN")
    second = await approved(shop, sri, payment, amount=5_000)
    waiting = await becomes(shop, second, "APPROVED")
    assert waiting["sent_at"] is None
    await becomes(shop, second, "DONE", steps_s=2)
    assert [one.refunded_before for one in book.sent] == [0, 5_000]
    assert (await shop.get(payment["id"]))["amount_refunded"] == 10_000


@pytest.mark.parametrize(("method", "account"), [("cash", "cash"), ("transfer", "bank")])
async def test_money_given_by_hand_counts_once_it_is_approved(
    shop: Installation, book: RefundBook, sri: str, method: str, account: str
) -> None:
    refund = await asked(shop, await paid(shop), method=method, evidence="receipt 7")
    assert (await shop.get(refund["payment_id"]))["amount_refunded"] == 0
    await decide(shop, refund, "approve", sri)
    await becomes(shop, refund, "DONE")
    payment = await shop.get(refund["payment_id"])
    assert (payment["status"], payment["amount_refunded"], book.sent) == ("REFUNDED", 15_000, [])
    entries = shop.rows("SELECT credit_account FROM ledger_entries WHERE kind = 'refund_done'")
    assert entries == [{"credit_account": account}]


async def test_what_nobody_approves_in_time_ends(shop: Installation, sri: str) -> None:
    refund = await asked(shop, await paid(shop))
    shop.clock.advance(86_399)
    assert (await shown(shop, refund))["status"] == "REQUESTED"
    shop.clock.advance(1)
    late = await decide(shop, refund, "approve", sri)
    assert late.status_code == 409
    expired = await becomes(shop, refund, "EXPIRED")
    assert [(one["decision"], one["by"]) for one in expired["decisions"]] == [("expired", "clock")]
    assert (await ask(shop, {"id": refund["payment_id"]})).status_code == 201


# What the settings and the provider allow


@pytest.fixture
async def lenient(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Installation]:
    """A shop where up to 5,000 rupiah of a payment go back without approval."""
    flags = {"refunds": {"approval_above": 5_000}}
    async with Installation(tmp_path / "lenient", clock, flags).running() as running:
        yield running


async def test_little_goes_back_without_approval(lenient: Installation) -> None:
    payment = await paid(lenient)
    small = await asked(lenient, payment, amount=3_000)
    assert [(one["decision"], one["by"]) for one in small["decisions"]] == [("approved", "policy")]
    await becomes(lenient, small, "DONE")
    (row,) = lenient.rows("SELECT who, why FROM audit_log WHERE action = 'refund.approved'")
    assert row == {"who": "policy", "why": "at most Rp5.000 of one payment needs no approval"}


async def test_much_in_small_parts_needs_approval_all_the_same(lenient: Installation) -> None:
    payment = await paid(lenient)
    statuses = [(await asked(lenient, payment, amount=2_500))["status"] for _ in range(3)]
    assert statuses == ["APPROVED", "APPROVED", "REQUESTED"]
    assert (await asked(lenient, await paid(lenient, "INV-2"), amount=5_001))["status"] == "REQUESTED"


@pytest.fixture
def able(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Change what the simulator can do."""

    def change(**facts: Any) -> None:
        can: Capabilities = replace(Simulator.capabilities, **facts)
        monkeypatch.setattr(Simulator, "capabilities", can)

    return change


@pytest.mark.parametrize("facts", [{"refund": False}, {"confirmed_by_person": True}])
async def test_without_the_providers_refunds_only_hands_give_back(
    tmp_path: Path, clock: FakeClock, able: Any, facts: dict[str, bool]
) -> None:
    able(**facts)
    async with Installation(tmp_path / "data", clock).running() as shop:
        payment = await paid(shop)
        refused = await ask(shop, payment)
        assert refused.json()["errors"][0]["field"] == "method"
        assert "give it back by hand" in refused.json()["detail"]
        refund = await asked(shop, payment, method="transfer", evidence="BCA 123")
        _, sri = person(shop, Role.FINANCE)
        await decide(shop, refund, "approve", sri)
        await becomes(shop, refund, "DONE")


async def test_a_provider_that_gives_back_all_or_nothing_gives_no_part(
    tmp_path: Path, clock: FakeClock, able: Any
) -> None:
    able(partial_refund=False)
    async with Installation(tmp_path / "data", clock).running() as shop:
        payment = await paid(shop)
        refused = await ask(shop, payment, amount=5_000)
        assert "Rp15.000 exactly" in refused.json()["detail"]
        assert (await asked(shop, payment))["amount"] == 15_000


async def test_after_the_window_only_hands_give_back(tmp_path: Path, clock: FakeClock, able: Any) -> None:
    able(refund_window_days=7)
    async with Installation(tmp_path / "data", clock).running() as shop:
        payment = await paid(shop)
        offer = (await shop.client.get(f"/payments/{payment['id']}/refundable")).json()
        assert offer["ways"][0]["until"] == "2026-01-22T02:59:59.000Z"
        shop.clock.advance(7 * 86_400)
        assert "for 7 days" in (await ask(shop, payment)).json()["detail"]


async def test_a_balance_too_small_is_waited_out_no_longer_than_the_window(
    tmp_path: Path, clock: FakeClock, book: RefundBook, able: Any
) -> None:
    able(refund_window_days=1)
    book.script.extend(["low_balance"] * 50)
    async with Installation(tmp_path / "data", clock).running() as shop:
        refund = await approved(shop, person(shop, Role.FINANCE)[1])
        failed = await becomes(shop, refund, "FAILED", steps_s=1_800)
        assert failed["detail"] == "the balance is too small; the time for refunds is over: give it back by hand"
        assert 3 <= len(book.sent) < 40
        assert {one.reference for one in book.sent} == {refund["reference"]}
        assert (await shop.get(refund["payment_id"]))["amount_refunded"] == 0
        assert (await ask(shop, {"id": refund["payment_id"]}, method="cash", evidence="receipt 7")).status_code == 201


async def test_a_blackout_is_waited_out(tmp_path: Path, book: RefundBook, able: Any) -> None:
    able(refund_blackout="23:55-06:00 WIB")
    night = FakeClock(datetime(2026, 1, 15, 17, 0, tzinfo=UTC))  # midnight in Jakarta
    async with Installation(tmp_path / "data", night).running() as shop:
        _, sri = person(shop, Role.FINANCE)
        payment = await paid(shop)
        offer = (await shop.client.get(f"/payments/{payment['id']}/refundable")).json()
        assert offer["ways"][0]["sent_from"] == "2026-01-15T23:00:00.000Z"
        refund = await approved(shop, sri, payment)
        waiting = await says(shop, refund, "takes no refunds now")
        assert waiting["next_try_at"] == "2026-01-15T23:00:00.000Z"
        night.advance(6 * 3600 - 1)
        assert (await becomes(shop, refund, "APPROVED"))["sent_at"] is None
        night.advance(1)
        await becomes(shop, refund, "DONE")


@pytest.mark.parametrize(("word", "status"), [("pending", "DONE"), ("refuse", "FAILED"), ("lose_answer", "DONE")])
async def test_the_simulator_can_be_told_how_to_answer(
    tmp_path: Path, clock: FakeClock, word: str, status: str
) -> None:
    flags = {"providers": {"simulator": {"refund_behaviour": word}}, "refunds": {"approval_above": 15_000}}
    async with Installation(tmp_path / "data", clock, flags).running() as shop:
        refund = await asked(shop, await paid(shop))
        assert (await becomes(shop, refund, status, steps_s=5))["status"] == status
