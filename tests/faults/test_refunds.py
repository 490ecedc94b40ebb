"""Refunds under everything that goes wrong: races, lost answers, early notifications, people who change, SIGKILL."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from qrisd.domain.permissions import Role
from qrisd.services import refunding
from qrisd.store.db import connect
from tests.fakes.refund_book import RefundBook, in_place_of_the_simulator
from tests.faults.history import database_violations
from tests.faults.injection import Injection
from tests.faults.provider_stage import Stage, stage
from tests.support.installation import Installation
from tests.support.people import PASSWORD
from tests.support.refunds import Json, ask, asked, becomes, call, decide, paid, person, says, shown
from tests.support.server import LiveServer

pytestmark = pytest.mark.usefixtures("check_everything")


@pytest.fixture
def book() -> Iterator[RefundBook]:
    with in_place_of_the_simulator(RefundBook()) as opened:
        yield opened


@pytest.fixture
async def sri(shop: Installation) -> str:
    return person(shop, Role.FINANCE, "sri")[1]


async def approved(shop: Installation, key: str, payment: Json | None = None, **body: Any) -> Json:
    refund = await asked(shop, payment or await paid(shop), **body)
    assert (await decide(shop, refund, "approve", key)).status_code == 200
    return refund


# Over-refund


async def test_a_refund_submitted_twenty_times_at_once_is_one(shop: Installation) -> None:
    """MO-01"""
    payment = await paid(shop)
    same = await asyncio.gather(*(ask(shop, payment, once="one") for _ in range(20)))
    assert Counter(answer.status_code for answer in same) == {201: 20}
    assert len({answer.json()["id"] for answer in same}) == 1
    others = await asyncio.gather(*(ask(shop, payment) for _ in range(20)))
    assert Counter(answer.status_code for answer in others) == {409: 20}
    assert len(shop.rows("SELECT id FROM refunds")) == 1


@pytest.mark.parametrize(("amount", "count", "wins"), [(9_000, 2, 1), (1_000, 50, 15), (4_000, 50, 3)])
async def test_parts_asked_for_at_once_never_exceed_what_came(
    shop: Installation, amount: int, count: int, wins: int
) -> None:
    """MO-02"""
    payment = await paid(shop)
    answers = await asyncio.gather(*(ask(shop, payment, amount=amount) for _ in range(count)))
    assert Counter(answer.status_code for answer in answers) == {201: wins, 409: count - wins}
    assert shop.rows("SELECT sum(amount) AS promised FROM refunds") == [{"promised": wins * amount}]


async def test_the_database_itself_refuses_what_does_not_fit(shop: Installation) -> None:
    """MO-02"""
    payment = await paid(shop)
    await asked(shop, payment, amount=10_000)
    names = (
        "id, payment_id, attempt_id, reference, amount, method, status, reason, requested_by, content_hash, "
        "created_at, updated_at"
    )
    values = (
        names.replace("id, payment_id", "'x', payment_id", 1).replace("reference,", "'x',").replace("amount,", "5001,")
    )
    with pytest.raises(Exception, match="refunds exceed what was paid"):
        shop.write(f"INSERT INTO refunds ({names}) SELECT {values} FROM refunds")


# Unknown outcomes


async def test_an_unknown_outcome_stays_reserved_for_days(shop: Installation, book: RefundBook, sri: str) -> None:
    """MO-03"""
    book.script.append("lost")
    book.questions.extend(["lost"] * 40)
    refund = await approved(shop, sri)
    await becomes(shop, refund, "UNKNOWN")
    for _ in range(8):
        shop.clock.advance(10 * 86_400)
        await asyncio.sleep(0.3)
        assert (await shown(shop, refund))["status"] == "UNKNOWN"
    assert (await ask(shop, {"id": refund["payment_id"]})).status_code == 409
    book.questions.clear()
    await becomes(shop, refund, "DONE", steps_s=300)
    assert (len(book.sent), book.total) == (1, 15_000)


@pytest.mark.parametrize(("outcome", "status", "given"), [("done", "DONE", 15_000), ("failed", "FAILED", 0)])
async def test_what_is_stuck_is_resolved_by_two_people_and_not_by_one(
    shop: Installation, book: RefundBook, sri: str, outcome: str, status: str, given: int
) -> None:
    """MO-03"""
    from typer.testing import CliRunner

    from qrisd.cli import app

    person(shop, Role.OWNER, "tono")
    book.script.append("lost")
    book.questions.extend(["lost"] * 1000)
    refund = await approved(shop, sri)
    await becomes(shop, refund, "UNKNOWN")
    command = ["refunds", "resolve", refund["id"], f"--outcome={outcome}", "--evidence=their letter"]

    async def say(username: str) -> int:
        env = {"QRISD_DATA_DIR": str(shop.settings.data_dir)}
        words = [*command, f"--as={username}"]
        return (await asyncio.to_thread(CliRunner().invoke, app, words, input=f"{PASSWORD}\n", env=env)).exit_code

    assert [await say("sri"), await say("sri")] == [0, 1]
    shop.clock.advance(600)
    await asyncio.sleep(0.6)
    assert (await shown(shop, refund))["status"] == "UNKNOWN"
    assert await say("tono") == 0
    shop.clock.now = max(shop.clock.now, datetime.now(UTC))
    await becomes(shop, refund, status)
    assert (await shop.get(refund["payment_id"]))["amount_refunded"] == given


async def test_a_notification_before_the_answer_is_the_same_refund(
    shop: Installation, book: RefundBook, sri: str
) -> None:
    """MO-04"""
    book.script.append("hold")
    book.gate = asyncio.Event()
    payment = await paid(shop)
    refund = await approved(shop, sri, payment, amount=5_000)
    await becomes(shop, refund, "UNKNOWN")
    assert (await shop.webhook(payment, "REFUNDED", amount=5_000)).json()["outcome"] == "applied"
    told = await shown(shop, refund)
    book.gate.set()
    assert told["status"] == "DONE"
    await asyncio.sleep(0.3)
    assert (await shop.get(payment["id"]))["amount_refunded"] == 5_000
    found = shop.rows("SELECT method, status, amount FROM refunds")
    assert found == [{"method": "provider", "status": "DONE", "amount": 5_000}]


async def test_more_than_we_asked_for_is_a_refund_made_elsewhere(
    shop: Installation, book: RefundBook, sri: str
) -> None:
    """MO-04"""
    book.script.append("lost")
    payment = await paid(shop)
    refund = await approved(shop, sri, payment, amount=5_000)
    await becomes(shop, refund, "UNKNOWN")
    await shop.webhook(payment, "REFUNDED", amount=7_000)
    await shop.webhook(payment, "REFUNDED", amount=7_000)
    found = shop.rows("SELECT method, status, amount FROM refunds ORDER BY number")
    assert [tuple(one.values()) for one in found] == [("provider", "DONE", 5_000), ("elsewhere", "DONE", 2_000)]


async def test_what_was_given_back_elsewhere_crowds_out_what_was_not_sent(shop: Installation, sri: str) -> None:
    """MO-04"""
    payment = await paid(shop)
    waiting = await asked(shop, payment, amount=10_000)
    await shop.webhook(payment, "REFUNDED", amount=6_000)
    assert (await shown(shop, waiting))["status"] == "FAILED"
    assert (await decide(shop, waiting, "approve", sri)).status_code == 409
    offer = (await shop.client.get(f"/payments/{payment['id']}/refundable")).json()
    assert (offer["amount_refunded"], offer["amount_left"]) == (6_000, 9_000)


async def test_what_somebody_gave_back_at_the_provider_is_not_sent_once_more(
    shop: Installation, book: RefundBook, sri: str
) -> None:
    """MO-04"""
    payment = await paid(shop)
    waiting = await asked(shop, payment, amount=5_000)
    await shop.webhook(payment, "REFUNDED", amount=5_000)
    assert (await decide(shop, waiting, "approve", sri)).status_code == 409
    done = await shown(shop, waiting)
    assert (done["status"], book.sent) == ("DONE", [])
    assert len(shop.rows("SELECT id FROM refunds")) == 1


# People


async def test_two_approvers_at_once_are_one_approval_and_one_execution(
    shop: Installation, book: RefundBook, sri: str
) -> None:
    """MO-06"""
    _, tono = person(shop, Role.OWNER)
    refund = await asked(shop, await paid(shop))
    answers = await asyncio.gather(*(decide(shop, refund, "approve", key) for key in (sri, tono) * 10))
    assert Counter(answer.status_code for answer in answers) == {200: 1, 409: 19}
    await becomes(shop, refund, "DONE")
    assert (await decide(shop, refund, "approve", sri)).status_code == 409
    assert len(book.sent) == 1


async def test_an_approval_and_a_rejection_at_once_are_one_of_both(shop: Installation, sri: str) -> None:
    """MO-06"""
    _, tono = person(shop, Role.OWNER)
    payment = await paid(shop)
    for _ in range(5):
        refund = await asked(shop, payment, amount=1_000)
        words = [("approve", sri), ("reject", tono)]
        answers = await asyncio.gather(*(decide(shop, refund, word, key, reason="so") for word, key in words))
        assert sorted(answer.status_code for answer in answers) == [200, 409]
        won = words[0 if answers[0].status_code == 200 else 1][0]
        await becomes(shop, refund, "DONE" if won == "approve" else "REJECTED")


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """While it holds True, what is approved waits."""
    holds, tick = [True], refunding.Refunding.tick

    async def maybe(self: refunding.Refunding) -> None:
        if not holds[0]:
            await tick(self)

    monkeypatch.setattr(refunding.Refunding, "tick", maybe)
    return holds


@pytest.mark.parametrize("column", ["amount", "reason", "requested_by"])
async def test_what_is_edited_after_its_approval_is_not_sent(
    shop: Installation, book: RefundBook, sri: str, held: list[bool], column: str
) -> None:
    """MO-07"""
    refund = await approved(shop, sri, amount=5_000)
    before = shop.rows(f"SELECT {column} AS it FROM refunds")[0]["it"]
    shop.write(f"UPDATE refunds SET {column} = ?", 4_999 if column == "amount" else "another")
    held[0] = False
    void = await becomes(shop, refund, "REQUESTED")
    assert "changed after it was approved" in void["detail"]
    assert (await decide(shop, refund, "approve", person(shop, Role.OWNER)[1])).status_code == 409
    assert book.sent == []
    shop.write(f"UPDATE refunds SET {column} = ?", before)


async def test_there_is_no_way_to_edit_a_refund(shop: Installation) -> None:
    """MO-07"""
    refund = await asked(shop, await paid(shop))
    for method in ("PATCH", "PUT", "DELETE"):
        assert (await call(shop, method, f"/refunds/{refund['id']}", json={"amount": 1})).status_code == 405


async def _disable(shop: Installation, username: str) -> None:
    shop.write("UPDATE users SET disabled_at = ? WHERE username = ?", "2026-01-15T03:00:00.000Z", username)


async def _demote(shop: Installation, username: str) -> None:
    shop.write("UPDATE users SET role = 'cashier' WHERE username = ?", username)


async def _move(shop: Installation, username: str) -> None:
    shop.write("UPDATE users SET outlets = '[\"bandung\"]' WHERE username = ?", username)


@pytest.mark.parametrize("change", [_disable, _demote, _move])
@pytest.mark.parametrize("by_hand", [False, True])
async def test_an_approver_who_may_not_any_longer_has_approved_nothing(
    shop: Installation,
    book: RefundBook,
    sri: str,
    held: list[bool],
    change: Callable[[Installation, str], Any],
    by_hand: bool,
) -> None:
    """MO-08"""
    given: Json = {"method": "cash", "evidence": "receipt 7"} if by_hand else {}
    refund = await approved(shop, sri, await paid(shop), **given)
    await change(shop, "sri")
    held[0] = False
    void = await becomes(shop, refund, "REQUESTED")
    assert [one["decision"] for one in void["decisions"]] == ["approved", "voided"]
    assert (book.sent, (await shop.get(refund["payment_id"]))["amount_refunded"]) == ([], 0)
    _, tono = person(shop, Role.OWNER)
    await decide(shop, refund, "approve", tono)
    await becomes(shop, refund, "DONE")


async def test_an_approver_who_is_disabled_stops_what_would_be_sent_again(
    shop: Installation, book: RefundBook, sri: str
) -> None:
    """MO-08"""
    book.script.append("lost_before")
    refund = await approved(shop, sri)
    await becomes(shop, refund, "UNKNOWN")
    await says(shop, refund, "No answer")
    await _disable(shop, "sri")
    await becomes(shop, refund, "REQUESTED", steps_s=20)
    assert len(book.sent) == 1


# SIGKILL


@pytest.mark.parametrize("word", ["slow", "lose_answer"])
def test_a_kill_at_any_moment_leaves_one_refund(tmp_path: Path, word: str) -> None:
    """MO-03, T1: killed again and again while a refund is on its way, it goes back once."""
    env = {"QRISD_PROVIDERS__SIMULATOR__REFUND_BEHAVIOUR": word, "QRISD_REFUNDS__APPROVAL_ABOVE": "1000000"}
    (tmp_path / "served").mkdir()
    with LiveServer(tmp_path / "served" / "data", env) as server:
        with server.client() as client:
            payment = client.post("/payments", json={"order_id": "INV-1", "amount": 15_000}).json()
            assert server.run("simulate-pay", payment["id"], "--url", server.url).returncode == 0
            request: dict[str, Any] = {"json": {"reason": "x"}, "headers": {"Idempotency-Key": "one"}}
            path = f"/payments/{payment['id']}/refunds"
            first = client.post(path, **request)
        for pause_s in (0.0, 0.3):
            time.sleep(pause_s)
            server.kill()
            server.start()
        with server.client() as client:
            assert client.post(path, **request).text == first.text
            done = _done(client, first.json()["id"])
        assert (done["amount"], done["status"]) == (15_000, "DONE")
        with closing(connect(server.data_dir / "qrisd.db", read_only=True)) as conn:
            assert database_violations(conn) == []
            assert conn.execute("SELECT count(*) FROM refunds").fetchone()[0] == 1
            sent = [json.loads(row[0]) for row in conn.execute("SELECT payload FROM payment_logs")]
            assert {one["refund"] for one in sent if "refund" in one} == {done["id"]}


def _done(client: httpx.Client, refund_id: str) -> Json:
    for _ in range(300):
        refund: Json = client.get(f"/refunds/{refund_id}").json()
        if refund["status"] == "DONE":
            return refund
        time.sleep(0.1)
    raise AssertionError(f"the refund stays {refund}")


async def test_a_kill_at_any_sync_of_the_disk_leaves_one_refund(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MO-03, T2: the provider's own book says so."""
    monkeypatch.setenv("QRISD_REFUNDS__APPROVAL_ABOVE", "1000000")
    root = tmp_path / "served"
    root.mkdir()
    async with stage(root, "midtrans", random.Random(1), 0.0) as on:
        killed = [await _killed_at(on, number) for number in range(1, 6)]
        assert sum(killed) >= 3, "the request, the sending and the answer are a sync each"
        with closing(connect(on.server.data_dir / "qrisd.db", read_only=True)) as conn:
            assert database_violations(conn) == []


async def _killed_at(on: Stage, number: int) -> bool:
    """Ask for a refund, kill the server at its sync of this number, start it again and ask again: it is one refund.
    Whether the server got so far."""
    payment = (await on.client.post("/payments", json={"order_id": f"INV-{number}", "amount": 15_000})).json()
    (row,) = on.rows(f"SELECT reference FROM attempts WHERE payment_id = '{payment['id']}'")
    on.pay(row["reference"], notified=False)
    assert (await on.client.post(f"/payments/{payment['id']}/check")).json()["status"] == "PAID"
    process = on.server.process
    assert process is not None
    with Injection(process.pid, f"fdatasync:signal=KILL:when={number}"):
        with suppress(httpx.TransportError):
            await _asked_once(on, payment)
        for _ in range(20):
            await asyncio.sleep(0.1)
            if process.poll() is not None:
                break
    has_died = process.poll() is not None
    if has_died:
        on.server.kill()
        await asyncio.to_thread(on.server.start)
    refund = (await _asked_once(on, payment)).json()
    _let_a_minute_pass(on)
    for _ in range(200):
        refund = (await on.client.get(f"/refunds/{refund['id']}")).json()
        if refund["status"] in ("PENDING", "DONE"):
            break
        await asyncio.sleep(0.05)
    book = on.fake.book[row["reference"]]
    assert (refund["status"], book.refunded, len(book.refunds)) == ("PENDING", 15_000, 1)
    return has_died


def _let_a_minute_pass(on: Stage) -> None:
    """So that the provider's word counts that it has no such refund."""
    with closing(connect(on.server.data_dir / "qrisd.db")) as conn:
        long_ago = "2026-01-15T03:00:00.000Z"
        sql = "UPDATE refunds SET sent_at = ?, next_try_at = ?, absences = 1 WHERE status = 'UNKNOWN'"
        conn.execute(sql, (long_ago, long_ago))


async def _asked_once(on: Stage, payment: Json) -> httpx.Response:
    headers = {"Idempotency-Key": str(payment["id"])}
    answer = await on.client.post(f"/payments/{payment['id']}/refunds", json={"reason": "x"}, headers=headers)
    assert answer.status_code == 201, answer.text
    return answer
