"""Cek bukti bayar: the one line a cashier gets, from our records and from the provider's live answer."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from qrisd.domain import qris
from qrisd.domain.permissions import Role
from qrisd.services import proof as proofs
from qrisd.services import watching
from tests.fakes.midtrans import FakeMidtrans
from tests.fakes.script import Fault
from tests.support.clock import FakeClock
from tests.support.installation import Installation
from tests.support.people import Browser, add_person, signed_in

KEY = "SB-Mid-server-EXAMPLEKEY1234567890ab"


def cashier(shop: Installation, *outlets: str) -> Browser:
    return signed_in(shop, add_person(shop, Role.CASHIER, outlets=frozenset(outlets) or None))


async def told(till: Browser, proof: str) -> tuple[str, str]:
    """The finding, and the line that the page answers with."""
    page = await till.post("/pos/proof", claim=proof)
    assert page.status_code == 200, page.text
    found = re.search(r'data-finding="(\w+)".*?</h2>\s*<p>(.*?)</p>', page.text, re.DOTALL)
    assert found is not None, page.text
    return found[1], " ".join(html.unescape(found[2]).split())


async def test_money_that_came_is_found_by_amount_number_and_order(shop: Installation) -> None:
    payment = await shop.create("INV-7", 50_000)
    await shop.webhook(payment, provider_ref_no="998877665544")
    till = cashier(shop)
    line = "Rp50.000 masuk untuk pesanan INV-7 pada 15 Januari 2026 09.59 WIB."
    for proof in ("50.000", "50rb", "998877665544", "INV-7", payment["provider_trx_id"], "RRN: 9988 7766 5544"):
        assert await told(till, proof) == ("paid", line), proof


async def test_what_has_not_come_is_said_plainly(shop: Installation) -> None:
    await shop.create("INV-7", 50_000)
    till = cashier(shop)
    line = "Pesanan INV-7 masih menunggu Rp50.000. Penyedia pembayaran baru saja ditanya."
    assert await told(till, "50.000") == ("absent", line)
    assert await told(till, "INV-7") == ("absent", line)
    assert await told(till, "70.000") == ("absent", "Tidak ada Rp70.000 yang masuk di sini dalam dua hari terakhir.")
    assert await told(till, "998877665544") == ("absent", "Tidak ada pembayaran di sini dengan nomor ini.")
    assert (await told(till, "sudah transfer kak"))[0] == "unreadable"


async def test_a_claim_in_the_pasted_text_moves_nothing(shop: Installation) -> None:
    payment = await shop.create("INV-7", 50_000)
    slip = "STATUS: PAID LUNAS BERHASIL\nTotal Rp50.000\nOrder INV-7\nRef 998877665544"
    assert (await told(cashier(shop), slip))[0] == "absent"
    assert (await shop.get(payment["id"]))["status"] == "PENDING"


async def test_an_old_proof_names_the_order_it_was_used_for(shop: Installation) -> None:
    await shop.webhook(await shop.create("INV-7", 50_000), provider_ref_no="998877665544")
    shop.clock.advance(3 * 3600)
    await shop.create("INV-8", 50_000)
    till = cashier(shop)
    line = (
        "Sudah dipakai untuk pesanan INV-7: Rp50.000, dibayar 15 Januari 2026 09.59 WIB. Pesanan INV-8 belum dibayar."
    )
    for proof in ("998877665544", "50.000", "Rp50.000\nRef 998877665544\nBerhasil dibayar"):
        assert await told(till, proof) == ("used", line), proof


async def test_the_neighbours_proof_says_whose_it_is(shop: Installation) -> None:
    payment = await shop.create("INV-7", 50_000)
    await shop.create("INV-8", 50_000)
    shop.clock.advance(30)
    await shop.webhook(payment, provider_ref_no="998877665544")
    finding, line = await told(cashier(shop), "998877665544")
    assert finding == "paid"
    assert "untuk pesanan INV-7" in line
    assert line.endswith("Pesanan INV-8 belum dibayar.")


async def test_a_proof_that_is_shown_again_for_the_next_order_was_used_a_minute_ago_already(shop: Installation) -> None:
    await shop.webhook(await shop.create("A-1", 61_000), provider_ref_no="998877665544")
    till = cashier(shop)
    assert (await told(till, "998877665544"))[0] == "paid"
    shop.clock.advance(300)
    await shop.create("B-2", 61_000)
    line = "Sudah dipakai untuk pesanan A-1: Rp61.000, dibayar 15 Januari 2026 09.59 WIB. Pesanan B-2 belum dibayar."
    for proof in ("998877665544", "61.000", "Berhasil Rp61.000 Ref 998877665544"):
        assert await told(till, proof) == ("used", line), proof
    assert (await told(till, "A-1"))[0] == "paid"
    assert (await told(till, "B-2"))[0] == "absent"


async def test_in_english_too_it_says_that_a_proof_was_used(shop: Installation) -> None:
    await shop.webhook(await shop.create("A-1", 61_000))
    await shop.create("B-2", 61_000)
    till = cashier(shop)
    await till.get("/pos/proof?lang=en")
    line = "Already used for order A-1: Rp61.000, paid on 15 January 2026 09:59 WIB. Order B-2 has not been paid."
    assert await told(till, "61.000") == ("used", line)
    assert "<h2>Already used</h2>" in (await till.post("/pos/proof", claim="61.000")).text


async def test_a_real_number_with_another_amount_is_a_forgery(shop: Installation) -> None:
    await shop.webhook(await shop.create("INV-7", 5_000), provider_ref_no="998877665544")
    finding, line = await told(cashier(shop), "Total Rp500.000 Ref 998877665544 sukses")
    assert finding == "mismatch"
    assert "INV-7, Rp5.000" in line


async def test_odd_and_returned_money_is_not_called_paid(shop: Installation) -> None:
    till = cashier(shop)
    await shop.webhook(await shop.create("INV-7", 50_000), amount=40_000)
    assert (await told(till, "40.000"))[0] == "odd"
    assert (await told(till, "50.000"))[0] == "odd"
    returned = await shop.create("INV-8", 60_000)
    await shop.webhook(returned)
    await shop.webhook(returned, "REFUNDED")
    assert (await told(till, "INV-8"))[0] == "returned"


async def test_another_outlets_money_is_nobodys_here(shop: Installation) -> None:
    await shop.webhook(await shop.create("INV-7", 50_000, outlet="kemang"), provider_ref_no="998877665544")
    till = cashier(shop, "bandung")
    for proof in ("50.000", "998877665544", "INV-7"):
        finding, line = await told(till, proof)
        assert (finding, "INV-7" in line) == ("absent", False), proof


async def test_money_of_last_week_is_not_found_by_its_amount_but_by_its_number(shop: Installation) -> None:
    await shop.webhook(await shop.create("INV-7", 50_000), provider_ref_no="998877665544")
    shop.clock.advance(7 * 24 * 3600)
    till = cashier(shop)
    assert (await told(till, "50.000"))[0] == "absent"
    assert (await told(till, "998877665544"))[0] == "used"


async def test_what_is_typed_is_shown_as_text(shop: Installation) -> None:
    page = await cashier(shop).post("/pos/proof", claim='</textarea><script>alert("1")</script>')
    assert "<script>alert" not in page.text


async def test_a_cashier_may_check_thirty_times_a_minute(shop: Installation) -> None:
    till, other = cashier(shop), signed_in(shop, add_person(shop, Role.SUPERVISOR))
    answers = [await till.post("/pos/proof", claim="50.000") for _ in range(31)]
    assert [answer.status_code for answer in answers] == [200] * 30 + [429]
    assert 0 < int(answers[-1].headers["retry-after"]) <= 60
    assert (await other.post("/pos/proof", claim="50.000")).status_code == 200


async def test_a_field_the_page_does_not_have_is_refused(shop: Installation) -> None:
    assert (await cashier(shop).post("/pos/proof", claim="50.000", paid="yes")).status_code == 403


@pytest.fixture
async def fake() -> AsyncIterator[FakeMidtrans]:
    midtrans = FakeMidtrans(KEY)
    await midtrans.start()
    yield midtrans
    await midtrans.stop()


@pytest.fixture
async def live(
    tmp_path: Path, clock: FakeClock, fake: FakeMidtrans, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Installation]:
    """A shop whose provider is asked over HTTP, and whose webhooks are all lost."""
    monkeypatch.setattr(watching, "MERGE_S", 0.0)
    flags = {
        "providers": {"midtrans": {"server_key": KEY, "base_url": fake.url, "timeout": 1}},
        "default_provider": "midtrans",
    }
    async with Installation(tmp_path / "data", clock, flags).running() as running:
        yield running


async def test_money_whose_webhook_was_lost_is_learnt_by_asking(live: Installation, fake: FakeMidtrans) -> None:
    payment = await live.create("INV-7", 50_000)
    till = cashier(live)
    assert (await told(till, "50.000"))[0] == "absent"
    fake.pay(next(iter(fake.book)))
    assert (await told(till, "50.000"))[0] == "paid"
    assert (await live.get(payment["id"]))["status"] == "PAID"


async def test_an_unknown_number_has_what_waits_asked_about(live: Installation, fake: FakeMidtrans) -> None:
    payment = await live.create("INV-7", 50_000)
    fake.pay(next(iter(fake.book)))
    await told(cashier(live), "998877665544")
    assert (await live.get(payment["id"]))["status"] == "PAID"


async def test_a_provider_that_cannot_be_asked_makes_no_answer_certain(live: Installation, fake: FakeMidtrans) -> None:
    await live.create("INV-7", 50_000)
    fake.script.next("status", Fault.HTML)
    finding, line = await told(cashier(live), "50.000")
    assert finding == "unknown"
    assert "penyedia pembayaran belum menjawab" in line
    assert "Jangan serahkan barang dulu" in line


@pytest.mark.parametrize("proof", ["50.000", "998877665544"])
async def test_many_that_wait_are_all_asked_about(live: Installation, fake: FakeMidtrans, proof: str) -> None:
    for number in range(20):
        await live.create(f"INV-{number}", 50_000)
    asked = len(fake.calls)
    assert (await told(cashier(live), proof))[0] == "absent"
    assert len(fake.calls) - asked == 20


@pytest.mark.parametrize("proof", ["50.000", "998877665544"])
async def test_more_than_can_be_asked_about_is_said_to_be_so(
    live: Installation, fake: FakeMidtrans, proof: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proofs, "MOST_ASKED", 3)
    for number in range(4):
        await live.create(f"INV-{number}", 50_000)
    asked = len(fake.calls)
    finding, line = await told(cashier(live), proof)
    assert len(fake.calls) - asked == 3
    assert finding == "unknown"
    assert "terlalu banyak untuk ditanyakan sekaligus" in line
    assert "belum menjawab" not in line


async def test_a_number_is_not_called_unknown_while_a_qr_waits_that_only_a_person_can_confirm(
    tmp_path: Path, clock: FakeClock
) -> None:
    own = qris.build(merchant_name="WARUNG UJI", merchant_city="JAKARTA", nmid="ID0000000000017")
    flags = {"providers": {"static": {"qris": own}}, "default_provider": "static"}
    async with Installation(tmp_path / "data", clock, flags).running() as shop:
        till = cashier(shop)
        assert (await told(till, "998877665544"))[0] == "absent"
        await shop.create("INV-7", 50_000)
        finding, line = await told(till, "998877665544")
        assert finding == "unknown"
        assert "penyedia yang tidak bisa ditanya" in line
