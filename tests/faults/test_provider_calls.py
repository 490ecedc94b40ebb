"""PV: calls to a provider that is not there, does not answer, or answers nonsense, through the whole product."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import certifi
import httpx
import pytest

from qrisd.services import watching
from tests.fakes.midtrans import FakeMidtrans
from tests.fakes.script import Fault
from tests.fakes.server import Reply
from tests.support.certificates import Authority
from tests.support.clock import FakeClock
from tests.support.installation import Installation

KEY = "SB-Mid-server-EXAMPLEKEY1234567890ab"
ORDER = {"order_id": "INV-1", "amount": 15_000}


@asynccontextmanager
async def shop_at(root: Path, clock: FakeClock, url: str, **second: Any) -> AsyncIterator[Installation]:
    """An installation with Midtrans at `url`, asked first, and perhaps another account of it."""
    table = {"type": "midtrans", "server_key": KEY, "base_url": url, "timeout": 1}
    providers = {"first": table, **({"second": {**table, **second}} if second else {})}
    flags = {"providers": providers, "default_provider": "first"}
    async with Installation(root / "data", clock, flags).running() as running:
        yield running


@pytest.fixture
async def fake() -> AsyncIterator[FakeMidtrans]:
    midtrans = FakeMidtrans(KEY)
    await midtrans.start()
    yield midtrans
    await midtrans.stop()


@pytest.fixture
async def shop(tmp_path: Path, clock: FakeClock, fake: FakeMidtrans) -> AsyncIterator[Installation]:
    async with shop_at(tmp_path, clock, fake.url) as running:
        yield running


async def order(shop: Installation, number: int = 1, **fields: Any) -> httpx.Response:
    return await shop.client.post("/payments", json={"order_id": f"INV-{number}", "amount": 15_000, **fields})


async def eventually(shop: Installation, payment_id: str, status: str) -> dict[str, Any]:
    for _ in range(100):
        payment = await shop.get(payment_id)
        if payment["status"] == status:
            return payment
        await asyncio.sleep(0.05)
    raise AssertionError(f"still {payment['status']}, not {status}")


def charges(fake: FakeMidtrans) -> int:
    return sum(call.path == "/v2/charge" for call in fake.calls)


# PV-01


async def test_while_nobody_listens_nothing_exists_and_the_same_key_works_afterwards(
    tmp_path: Path, clock: FakeClock, fake: FakeMidtrans
) -> None:
    """PV-01"""
    await fake.stop()
    async with shop_at(tmp_path, clock, fake.url) as shop:
        headers = {"Idempotency-Key": "till-1"}
        refused = await shop.client.post("/payments", json=ORDER, headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (503, "provider_unavailable")
        assert not fake.book
        await fake.start()
        made = await shop.client.post("/payments", json=ORDER, headers=headers)
        assert (made.status_code, made.json()["status"]) == (201, "PENDING")
        assert len(fake.book) == 1


async def test_a_name_nobody_has_is_unavailable(tmp_path: Path, clock: FakeClock) -> None:
    """PV-01"""
    async with shop_at(tmp_path, clock, "https://nowhere.invalid") as shop:
        answer = await order(shop)
        assert (answer.status_code, answer.json()["code"]) == (503, "provider_unavailable")


@asynccontextmanager
async def listening(
    handle: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any], context: ssl.SSLContext | None
) -> AsyncIterator[str]:
    """Something on loopback that an https address leads to."""
    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=context)
    yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()
    await server.wait_closed()


@asynccontextmanager
async def behind_tls(fake: FakeMidtrans, context: ssl.SSLContext) -> AsyncIterator[str]:
    """The fake's address over TLS."""
    port = int(fake.url.rsplit(":", 1)[1])

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_copy(reader, inner_writer), _copy(inner_reader, writer))

    async with listening(forward, context) as url:
        yield url


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
    writer.close()


@pytest.mark.parametrize(
    ("host", "lasts_h", "is_trusted", "works"),
    [
        ("127.0.0.1", 1, True, True),
        ("127.0.0.1", -1, True, False),
        ("127.0.0.2", 1, True, False),
        ("api.midtrans.com", 1, True, False),
        ("127.0.0.1", 1, False, False),
    ],
    ids=["good", "expired", "other address", "other name", "unknown authority"],
)
async def test_only_a_valid_certificate_of_that_host_is_spoken_to(
    tmp_path: Path,
    clock: FakeClock,
    fake: FakeMidtrans,
    monkeypatch: pytest.MonkeyPatch,
    host: str,
    lasts_h: int,
    is_trusted: bool,
    works: bool,
) -> None:
    """PV-01"""
    authority = Authority(tmp_path)
    if is_trusted:
        monkeypatch.setattr(certifi, "where", lambda: str(authority.file))
    async with (
        behind_tls(fake, authority.server(host, lasts=timedelta(hours=lasts_h))) as url,
        shop_at(tmp_path, clock, url) as shop,
    ):
        answer = await order(shop)
    if works:
        assert answer.status_code == 201, answer.text
        return
    assert (answer.status_code, answer.json()["code"]) == (503, "provider_unavailable")
    assert "certificate was not accepted" in answer.json()["detail"]
    assert fake.calls == []


async def test_a_provider_that_speaks_no_tls_is_never_spoken_to_in_the_clear(tmp_path: Path, clock: FakeClock) -> None:
    """PV-01"""
    received: list[bytes] = []

    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.append(await reader.read(65_536))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        writer.close()

    async with listening(plain, None) as url, shop_at(tmp_path, clock, url) as shop:
        answer = await order(shop)
    assert (answer.status_code, answer.json()["code"]) == (503, "provider_unavailable")
    assert received
    assert all(first.startswith(b"\x16\x03") and b"HTTP" not in first for first in received)


# PV-04, PV-05, PV-06


TAKEN = {"status_code": "406", "status_message": "The order_id has been used before"}


async def test_a_reference_said_to_be_taken_is_looked_up_and_adopted(shop: Installation, fake: FakeMidtrans) -> None:
    """PV-04"""
    fake.script.next("charge", fields=TAKEN)
    answer = await order(shop)
    assert (answer.status_code, answer.json()["status"]) == (201, "PENDING")
    (entry,) = fake.book.values()
    assert answer.json()["qris_payload"] == fake.payload(entry)
    assert charges(fake) == 1


@pytest.mark.parametrize("fields", [{"gross_amount": "14999.00"}, {"currency": "USD"}, {"order_id": "0" * 20}])
async def test_a_taken_reference_of_another_charge_is_not_adopted(
    shop: Installation, fake: FakeMidtrans, fields: dict[str, str]
) -> None:
    """PV-04"""
    fake.script.next("charge", fields=TAKEN)
    fake.script.next("status", fields=fields)
    answer = await order(shop)
    assert (answer.status_code, answer.json()["code"]) == (502, "provider_error")
    assert shop.rows("SELECT status, qris_payload FROM payments") == [{"status": "FAILED", "qris_payload": None}]


@pytest.mark.parametrize("status", [400, 402, 403])
async def test_a_refusal_is_told_with_the_providers_code_and_without_our_key(
    shop: Installation, fake: FakeMidtrans, status: int
) -> None:
    """PV-05"""
    said = {"status_code": str(status), "status_message": f"no, {KEY}"}
    fake.script.next("charge", reply=Reply.json(status, said))
    answer = await order(shop)
    assert (answer.status_code, answer.json()["code"]) == (502, "provider_error")
    assert (answer.json()["provider"], answer.json()["provider_code"]) == ("first", str(status))
    assert KEY not in answer.text
    assert len(fake.calls) == 1
    assert (await order(shop, 2)).status_code == 201


async def test_a_rejected_key_pauses_that_account_alone_and_says_so(
    tmp_path: Path, clock: FakeClock, fake: FakeMidtrans
) -> None:
    """PV-05"""
    async with shop_at(tmp_path, clock, fake.url, server_key="SB-Mid-server-WRONG") as shop:
        refused = await order(shop, provider="second")
        assert (refused.status_code, refused.json()["provider_code"]) == (502, "401")
        asked = len(fake.calls)
        for number in range(2, 6):
            assert (await order(shop, number, provider="second")).status_code == 503
        assert len(fake.calls) == asked
        assert (await order(shop, 9)).status_code == 201
        shown = {one["name"]: one for one in (await shop.client.get("/providers")).json()["data"]}
        assert (shown["first"]["healthy"], shown["second"]["healthy"]) == (True, False)
        assert "server key" in shown["second"]["trouble"]
        assert (await shop.client.get("/readyz")).json()["providers"]["second"] == "open"


@pytest.mark.parametrize(("pause_s", "most"), [(40.0, 1), (None, 5)])
async def test_a_limit_is_respected_and_slows_nobody_else(
    tmp_path: Path, clock: FakeClock, fake: FakeMidtrans, pause_s: float | None, most: int
) -> None:
    """PV-06"""
    other = FakeMidtrans(KEY)
    await other.start()
    fake.script.next("charge", Fault.RATE_LIMITED, times=50, seconds=pause_s)
    async with shop_at(tmp_path, clock, fake.url, base_url=other.url) as shop:
        answers = [(await order(shop, number)).status_code for number in range(20)]
        assert set(answers) == {503}
        assert charges(fake) == most
        assert (await order(shop, 30, provider="second")).status_code == 201
    await other.stop()


# PV-07, PV-08, PV-09


def _json(body: bytes) -> Reply:
    return Reply(200, body, {"Content-Type": "application/json"})


NONSENSE = [
    Reply(200),
    _json(b"[]"),
    _json(b"null"),
    _json(b'"OK"'),
    _json(b"{}"),
    _json(b'{"status_code": "201", "gross_amount": NaN}'),
    _json(b'{"status_code": "201", "gross_amount": 1e999}'),
    _json(b'{"status_code": {"a": 1}}'),
    _json(b'{"status_code": "201", "actions": 7}'),
    _json(b"\xff\xfe{\x00}\x00"),
    _json(b"[" * 100_000),
    Reply(200, b"\x00" * 500, {"Content-Encoding": "gzip"}),
]


@pytest.mark.parametrize("reply", NONSENSE, ids=range(len(NONSENSE)))
async def test_a_senseless_answer_leaves_the_outcome_open(shop: Installation, fake: FakeMidtrans, reply: Reply) -> None:
    """PV-07"""
    fake.script.next("charge", reply=reply)
    answer = await order(shop)
    assert (answer.status_code, answer.json()["status"]) == (202, "CREATED")


@pytest.mark.parametrize("fault", [Fault.HTML, Fault.CUT_JSON, Fault.HUGE, Fault.GZIP_BOMB, Fault.DRIP, Fault.REDIRECT])
async def test_a_charge_behind_a_spoiled_answer_is_found_by_asking(
    shop: Installation, fake: FakeMidtrans, clock: FakeClock, fault: Fault
) -> None:
    """PV-07, PV-09"""
    fake.script.next("charge", fault)
    async with asyncio.timeout(10):
        answer = await order(shop)
    assert answer.status_code == 202
    clock.advance(2)
    live = await eventually(shop, answer.json()["id"], "PENDING")
    assert live["qris_payload"] == fake.payload(next(iter(fake.book.values())))
    assert charges(fake) == 1


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"order_id": "0" * 20}, "reference_mismatch"),
        ({"gross_amount": "14999.00"}, "amount_mismatch"),
        ({"gross_amount": "15000.50"}, "amount_format"),
        ({"currency": "USD"}, "currency_mismatch"),
        ({"merchant_id": "G999999999"}, "merchant_mismatch"),
    ],
)
async def test_a_success_about_another_charge_is_refused_and_its_qr_is_never_shown(
    tmp_path: Path,
    clock: FakeClock,
    fake: FakeMidtrans,
    capsys: pytest.CaptureFixture[str],
    fields: dict[str, str],
    problem: str,
) -> None:
    """PV-08"""
    fake.script.next("charge", fields=fields)
    async with shop_at(tmp_path, clock, fake.url, merchant_id=fake.merchant_id) as shop:
        answer = await order(shop, provider="second")
        assert (answer.status_code, answer.json()["code"]) == (502, "provider_error")
        assert shop.rows("SELECT status, qris_payload FROM payments") == [{"status": "FAILED", "qris_payload": None}]
        assert shop.rows("SELECT status, error FROM attempts") == [{"status": "FAILED", "error": problem}]
    assert "observation refused" in capsys.readouterr().out


# PV-11


def later(clock: FakeClock, fake: FakeMidtrans, seconds: float) -> None:
    clock.advance(seconds)
    fake.advance(seconds)


async def asked_again(fake: FakeMidtrans, asked: int) -> None:
    """Wait until the provider has been asked once more than `asked` times, and the answer is stored."""
    for _ in range(100):
        if len(fake.calls) > asked:
            await asyncio.sleep(0.1)
            return
        await asyncio.sleep(0.05)
    raise AssertionError("the provider was not asked again")


async def test_a_charge_that_shows_up_after_most_of_a_minute_is_waited_for(
    shop: Installation, fake: FakeMidtrans, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PV-11"""
    monkeypatch.setattr(watching, "MERGE_S", 0.0)
    fake.hidden_s = 30
    fake.script.next("charge", Fault.DROP_AFTER_EFFECT)
    payment = (await order(shop)).json()
    for pause_s in (2, 4, 6, 11):
        asked = len(fake.calls)
        later(clock, fake, pause_s)
        await asked_again(fake, asked)
        assert (await shop.get(payment["id"]))["status"] == "CREATED"
    assert (await order(shop)).status_code == 202
    later(clock, fake, 30)
    await eventually(shop, payment["id"], "PENDING")
    assert (charges(fake), len(fake.book)) == (1, 1)


async def test_after_an_outage_one_not_found_does_not_settle_what_was_unknown(
    shop: Installation, fake: FakeMidtrans, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PV-11: questions that were never answered are no answers."""
    monkeypatch.setattr(watching, "MERGE_S", 0.0)
    fake.script.next("charge", Fault.DROP_AFTER_EFFECT)
    payment = (await order(shop)).json()
    for _ in range(3):
        fake.script.next("status", Fault.HTML)
        asked = len(fake.calls)
        later(clock, fake, 31)
        await asked_again(fake, asked)
    fake.script.next("status", reply=Reply.json(200, {"status_code": "404", "status_message": "not there"}))
    asked = len(fake.calls)
    later(clock, fake, 31)
    await asked_again(fake, asked)
    assert (await shop.get(payment["id"]))["status"] == "CREATED"
    later(clock, fake, 5)
    await eventually(shop, payment["id"], "PENDING")
    assert len(fake.book) == 1


async def test_a_repeat_that_learns_that_nothing_exists_charges_in_the_same_request(
    shop: Installation, fake: FakeMidtrans, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PV-11: and under its key no failure is remembered."""
    monkeypatch.setattr(watching, "MERGE_S", 0.0)
    headers = {"Idempotency-Key": "till-1"}
    fake.script.next("charge", Fault.DROP_BEFORE_EFFECT)
    assert (await shop.client.post("/payments", json=ORDER, headers=headers)).status_code == 202
    asked = len(fake.calls)
    later(clock, fake, 2)
    await asked_again(fake, asked)
    later(clock, fake, 59)
    for _ in range(2):
        answer = await shop.client.post("/payments", json=ORDER, headers=headers)
        assert (answer.status_code, answer.json()["status"]) == (201, "PENDING")
    assert len(fake.book) == 1


async def test_two_requests_for_one_order_that_got_no_qr_are_both_told_so_and_may_come_again(
    shop: Installation, fake: FakeMidtrans
) -> None:
    """PV-05"""
    said = {"status_code": "402", "status_message": "not activated"}
    fake.script.next("charge", reply=Reply.json(402, said), fault=Fault.DRIP, seconds=0.002)
    keys = [{"Idempotency-Key": f"till-{number}"} for number in range(2)]
    both = await asyncio.gather(*(shop.client.post("/payments", json=ORDER, headers=one) for one in keys))
    assert sorted(answer.status_code for answer in both) == [502, 503]
    for one in keys:
        answer = await shop.client.post("/payments", json=ORDER, headers=one)
        assert (answer.status_code // 100, answer.json()["status"]) == (2, "PENDING")
    assert len(fake.book) == 1


async def test_a_crowd_of_live_qrs_does_not_hold_up_what_is_unknown(
    shop: Installation, fake: FakeMidtrans, clock: FakeClock
) -> None:
    """PV-10: the status queue is short of turns, and somebody waits for this one."""
    for number in range(100, 160):
        assert (await order(shop, number)).status_code == 201
    clock.advance(20)
    fake.script.next("charge", Fault.DROP_AFTER_EFFECT)
    unknown = (await order(shop)).json()
    (reference,) = [row["reference"] for row in shop.rows("SELECT reference FROM attempts WHERE status = 'CREATED'")]
    asked = len(fake.calls)
    clock.advance(20)
    await eventually(shop, unknown["id"], "PENDING")
    turns = [call.path for call in fake.calls[asked:]]
    assert turns.index(f"/v2/{reference}/status") < 20
