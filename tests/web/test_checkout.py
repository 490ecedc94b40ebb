"""The checkout as a browser without JavaScript gets it: every state, what it says, and what it keeps to itself."""

from __future__ import annotations

import html
import re
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from qrisd import qr_image
from qrisd.app import secret_key_of
from qrisd.domain import qris
from qrisd.domain.money import rupiah
from qrisd.domain.payment import Oddity, Payment, Status
from qrisd.services.till_mark import TillMarks
from qrisd.store import payments as stored_payments
from qrisd.store.db import connect
from qrisd.web.checkout_view import Stage, view
from tests.support.clock import FakeClock
from tests.support.installation import Installation

SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}


async def payer_sees(shop: Installation, payment: dict[str, Any], *, status: int = 200, **headers: str) -> str:
    """The page's text, tags included, as somebody without a key gets it."""
    answer = await shop.client.get(f"/pay/{payment['id']}", headers={"Authorization": "", **headers})
    assert answer.status_code == status, answer.text
    return html.unescape(answer.text)


async def post_renew(shop: Installation, payment: dict[str, Any], **headers: str) -> httpx.Response:
    return await shop.client.post(f"/pay/{payment['id']}/renew", headers={"Authorization": "", **headers})


def stage_in(page: str) -> str:
    found = re.search(r'data-stage="(\w+)"', page)
    assert found is not None
    return found[1]


async def test_a_waiting_payment_is_shown_with_merchant_amount_and_qr(shop: Installation) -> None:
    payment = await shop.create(amount=15_000, description="2 kopi susu")
    page = await payer_sees(shop, payment)
    assert payment["checkout_url"].endswith(f"/pay/{payment['id']}")
    assert stage_in(page) == "waiting"
    for shown in ("Bayar Rp15.000", "2 kopi susu", "WARUNG SIMULASI", "NMID : ID0000000000000", "10.15 WIB"):
        assert shown in page
    assert '<html lang="id">' in page


async def test_the_page_shows_nothing_but_what_the_payer_needs(shop: Installation) -> None:
    payment = await shop.create(
        customer={"name": "Budi", "email": "budi@example.com", "phone": "+628123456789"},
        metadata={"table": "seven", "simulator": "normal"},
        callback_url="https://shop.example/hooks",
        outlet="kemang",
    )
    waiting = await payer_sees(shop, payment)
    await shop.webhook(payment)
    paid = await payer_sees(shop, payment)
    secrets = ("Budi", "budi@", "812345", "seven", "shop.example", "kemang", payment["provider_trx_id"], shop.key)
    for page in (waiting, paid):
        assert stage_in(page) in ("waiting", "paid")
        assert not [secret for secret in (*secrets, "SIM-", "simulator", "qrisd_") if secret in page]


async def test_what_merchants_write_is_shown_as_text(shop: Installation) -> None:
    payment = await shop.create(description='<script>alert("1")</script>{{ 7*7 }}')
    answer = await shop.client.get(f"/pay/{payment['id']}")
    assert "&lt;script&gt;" in answer.text
    assert "<script>alert" not in answer.text
    assert "{{ 7*7 }}" in answer.text


async def test_a_paid_payment_shows_a_receipt(shop: Installation) -> None:
    payment = await shop.create("INV-7")
    await shop.webhook(payment, paid_at="2026-01-15T10:00:00+07:00")
    page = await payer_sees(shop, payment)
    assert stage_in(page) == "paid"
    for shown in ("Pembayaran diterima", "Rp15.000", "15 Januari 2026 10.00 WIB", "INV-7", "123456789012"):
        assert shown in page
    assert "qr.svg" not in page


def mark_in(page: str) -> tuple[str, str] | None:
    found = re.search(r'class="till-mark till-\w+"[^>]*><span>([^<]+)</span> <b lang="id">(\w+)</b>', page)
    return (found[1], found[2]) if found else None


async def test_a_paid_page_shows_the_outlets_pair_of_the_minute_for_ten_minutes(shop: Installation) -> None:
    payment, other = await shop.create(), await shop.create("INV-2")
    for one in (payment, other):
        await shop.webhook(one, provider_ref_no=None)
    now = TillMarks(secret_key_of(shop.settings)).at("main", shop.clock())
    first = mark_in(await payer_sees(shop, payment))
    assert first is not None
    assert first[1] == now.word
    assert mark_in(await payer_sees(shop, other)) == first
    shop.clock.advance(60)
    assert mark_in(await payer_sees(shop, payment)) not in (None, first)
    shop.clock.advance(9 * 60)
    assert mark_in(await payer_sees(shop, payment)) is None


async def test_without_javascript_the_page_reloads_when_the_pair_changes(shop: Installation) -> None:
    payment = await shop.create()
    await shop.webhook(payment)
    shop.clock.advance(20)
    again = f'<noscript><meta http-equiv="refresh" content="41; url=/pay/{payment["id"]}"></noscript>'
    assert again in await payer_sees(shop, payment)
    shop.clock.advance(600)
    assert "http-equiv" not in await payer_sees(shop, payment)


async def test_the_page_learns_by_its_tag_that_the_pair_has_changed(shop: Installation) -> None:
    payment = await shop.create()
    await shop.webhook(payment)
    path = f"/pay/{payment['id']}/status"
    tags = [(await shop.client.get(path)).json()["tag"]]
    assert (await shop.client.get(path)).json()["tag"] == tags[0]
    shop.clock.advance(60)
    assert (await shop.client.get(path)).json()["tag"] != tags[0]


@pytest.mark.parametrize("status", ["PENDING", "EXPIRED", "CANCELLED", "REFUNDED"])
async def test_nobody_but_who_has_just_paid_is_shown_the_pair(shop: Installation, status: str) -> None:
    payment = await shop.create()
    if status == "REFUNDED":
        await shop.webhook(payment)
    await shop.webhook(payment, status)
    assert mark_in(await payer_sees(shop, payment)) is None


async def test_an_expired_payment_offers_a_new_qr_and_gets_one(shop: Installation) -> None:
    payment = await shop.create()
    await shop.webhook(payment, "EXPIRED")
    page = await payer_sees(shop, payment)
    assert stage_in(page) == "expired"
    assert f'action="/pay/{payment["id"]}/renew"' in page
    answer = await post_renew(shop, payment, **SAME_ORIGIN)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/pay/{payment['id']}")
    assert stage_in(await payer_sees(shop, payment)) == "waiting"
    assert (await shop.get(payment["id"]))["attempt"] == 2


def stored(shop: Installation, payment: dict[str, Any]) -> Payment:
    with closing(connect(shop.data_dir.database, read_only=True)) as conn:
        found = stored_payments.get(conn, payment["id"])
    assert found is not None
    return found


async def test_when_time_is_up_the_qr_is_withdrawn_before_anybody_has_decided(shop: Installation) -> None:
    payment = stored(shop, await shop.create(expires_in=60))
    assert view(payment, payment.expires_at - timedelta(seconds=1)).stage is Stage.WAITING
    closing_view = view(payment, payment.expires_at)
    assert closing_view.stage is Stage.CLOSING
    assert closing_view.qris_payload is None


@pytest.mark.parametrize("status", ["FAILED", "CANCELLED", "REFUNDED"])
async def test_other_ends_are_said_plainly(shop: Installation, status: str) -> None:
    payment = await shop.create()
    if status == "REFUNDED":
        await shop.webhook(payment)
    await shop.webhook(payment, status)
    page = await payer_sees(shop, payment)
    assert stage_in(page) == status.lower()
    assert ("renew" in page) == (status == "FAILED")
    assert "Rp15.000" in page
    assert "qr.svg" not in page


async def test_a_part_that_was_returned_is_named(shop: Installation) -> None:
    payment = await shop.create()
    await shop.webhook(payment)
    await shop.webhook(payment, "REFUNDED", amount=5_000)
    page = await payer_sees(shop, payment)
    assert "Sebagian uang Anda dikembalikan" in page
    assert "Rp5.000" in page


async def test_an_unknown_outcome_is_shown_as_being_checked(shop: Installation) -> None:
    payment = await shop.create(metadata={"simulator": "lose_answer"})
    assert payment["status"] == "CREATED"
    page = await payer_sees(shop, payment)
    assert stage_in(page) == "checking"
    assert "sedang diperiksa" in page


async def test_too_little_money_sends_the_payer_to_the_cashier(shop: Installation) -> None:
    payment = await shop.create()
    await shop.webhook(payment, amount=10_000)
    page = await payer_sees(shop, payment)
    assert stage_in(page) == "attention"
    assert "Baru Rp10.000 dari Rp15.000 yang masuk." in page
    assert "Jangan bayar lagi" in page
    assert "renew" not in page
    assert (await shop.client.get(f"/pay/{payment['id']}/qr.svg")).status_code == 404


async def test_late_money_is_received_and_shown_to_the_cashier(shop: Installation) -> None:
    payment = await shop.create()
    await shop.webhook(payment, "EXPIRED")
    await shop.webhook(payment, "PAID")
    page = await payer_sees(shop, payment)
    assert stage_in(page) == "attention"
    assert "Rp15.000 masuk setelah QR kedaluwarsa." in page
    assert "Bukti pembayaran" in page


@pytest.mark.parametrize("oddity", Oddity)
async def test_whatever_is_odd_needs_the_cashier(shop: Installation, oddity: Oddity) -> None:
    payment = stored(shop, await shop.create())
    assert view(replace(payment, exception=oddity), payment.created_at).stage is Stage.ATTENTION


@pytest.mark.parametrize("status", Status)
async def test_every_status_has_a_stage(shop: Installation, status: Status) -> None:
    payment = stored(shop, await shop.create())
    assert view(replace(payment, status=status), payment.created_at).stage in Stage


async def test_the_qr_decodes_to_the_payload_and_is_saved_under_a_sensible_name(shop: Installation) -> None:
    payment = await shop.create("INV/2026#7", amount=25_000)
    svg = await shop.client.get(f"/pay/{payment['id']}/qr.svg", headers={"Authorization": ""})
    assert svg.headers["content-type"] == "image/svg+xml"
    png = await shop.client.get(f"/pay/{payment['id']}/qr.png", headers={"Authorization": ""})
    assert qr_image.decode(png.content) == payment["qris_payload"]
    assert png.headers["content-disposition"] == 'attachment; filename="qris-INV-2026-7-25000.png"'


async def test_the_qr_is_at_least_256_pixels_in_whole_pixels_a_module(shop: Installation) -> None:
    page = await payer_sees(shop, await shop.create())
    found = re.search(r'qr\.svg\?attempt=1" width="(\d+)" height="(\d+)"', page)
    assert found is not None
    assert 256 <= int(found[1]) == int(found[2]) <= 324


async def test_the_status_is_tiny_and_answers_304_until_something_changes(shop: Installation) -> None:
    payment = await shop.create()
    path = f"/pay/{payment['id']}/status"
    first = await shop.client.get(path, headers={"Authorization": ""})
    assert set(first.json()) == {"tag", "until", "now"}
    assert first.json()["now"] == int(shop.clock().timestamp() * 1000)
    assert len(first.content) < 100
    again = {"Authorization": "", "If-None-Match": first.headers["etag"]}
    assert (await shop.client.get(path, headers=again)).status_code == 304
    await shop.webhook(payment)
    changed = await shop.client.get(path, headers=again)
    assert changed.status_code == 200
    assert changed.json()["tag"] != first.json()["tag"]
    assert f'data-tag="{changed.json()["tag"]}"' in await payer_sees(shop, payment)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "none"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://shop.test"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://shop.test.evil.example"}, 403),
        ({"Origin": "http://shop.test"}, 303),
        ({"Origin": "http://127.0.0.1:8000"}, 303),
        ({"Sec-Fetch-Site": "same-origin"}, 303),
    ],
)
async def test_only_our_own_page_may_ask_for_a_new_qr(shop: Installation, headers: dict[str, str], status: int) -> None:
    payment = await shop.create()
    await shop.webhook(payment, "EXPIRED")
    assert (await post_renew(shop, payment, **headers)).status_code == status
    assert (await shop.get(payment["id"]))["attempt"] == (2 if status == 303 else 1)


async def test_a_new_qr_by_get_is_not_possible(shop: Installation) -> None:
    payment = await shop.create()
    assert (await shop.client.get(f"/pay/{payment['id']}/renew")).status_code == 405


@pytest.mark.parametrize("status", ["PENDING", "PAID", "CANCELLED"])
async def test_only_a_payment_that_ended_unpaid_gets_a_new_qr(shop: Installation, status: str) -> None:
    payment = await shop.create()
    await shop.webhook(payment, status)
    assert (await post_renew(shop, payment, **SAME_ORIGIN)).status_code == 303
    assert (await shop.get(payment["id"]))["attempt"] == 1


async def test_new_qrs_are_limited_per_payment(shop: Installation) -> None:
    payment, other = await shop.create(), await shop.create("INV-2")
    await shop.webhook(other, "EXPIRED")
    for _ in range(5):
        await shop.webhook(await shop.get(payment["id"]), "EXPIRED")
        assert (await post_renew(shop, payment, **SAME_ORIGIN)).status_code == 303
    await shop.webhook(await shop.get(payment["id"]), "EXPIRED")
    refused = await post_renew(shop, payment, **SAME_ORIGIN)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "60")
    assert "terlalu sering" in refused.text
    assert f'href="/pay/{payment["id"]}?lang=en"' in refused.text
    assert (await post_renew(shop, other, **SAME_ORIGIN)).status_code == 303


async def test_an_amount_that_tells_the_payment_is_asked_for_exactly(tmp_path: Path, clock: FakeClock) -> None:
    static = qris.build(merchant_name="WARUNG CONTOH", merchant_city="BANDUNG", nmid="ID0000000000001")
    flags = {"providers": {"static": {"qris": static, "unique_amount": True}}, "default_provider": "static"}
    async with Installation(tmp_path / "data", clock, flags).running() as shop:
        payment = await shop.create()
        due = rupiah(payment["amount_due"])
        page = await payer_sees(shop, payment)
    assert payment["amount_due"] > 15_000
    assert f"Bayar {due}" in page
    assert f"Bayar tepat {due}" in page
    assert "WARUNG CONTOH" in page


async def test_a_payment_that_is_not_there_is_a_page_that_says_so(shop: Installation) -> None:
    page = await payer_sees(shop, {"id": "01976b2a-0000-7000-8000-000000000000"}, status=404)
    assert "Tidak ada apa-apa di sini" in page
    for path in ("status", "events", "qr.svg", "qr.png"):
        assert (await shop.client.get(f"/pay/x/{path}")).status_code == 404
    assert (await post_renew(shop, {"id": "x"}, **SAME_ORIGIN)).status_code == 404


async def test_the_language_can_be_switched_and_is_remembered(shop: Installation) -> None:
    payment = await shop.create()
    assert f'href="/pay/{payment["id"]}?lang=en"' in await payer_sees(shop, payment)
    answer = await shop.client.get(f"/pay/{payment['id']}?lang=en")
    assert "Pay Rp15.000" in answer.text
    assert "15 January 2026 10:15 WIB" in answer.text
    assert "HttpOnly" in answer.headers["set-cookie"]
    assert "Pay Rp15.000" in await payer_sees(shop, payment)
    assert "Bayar Rp15.000" in (await shop.client.get(f"/pay/{payment['id']}?lang=id")).text


async def test_without_javascript_the_page_reloads_until_nothing_more_happens(shop: Installation) -> None:
    payment = await shop.create()
    refresh = f'<noscript><meta http-equiv="refresh" content="10; url=/pay/{payment["id"]}"></noscript>'
    assert refresh in await payer_sees(shop, payment)
    await shop.webhook(payment)
    assert refresh not in await payer_sees(shop, payment)


async def test_every_answer_of_the_page_has_the_header_policy(shop: Installation) -> None:
    payment = await shop.create()
    for path in ("", "/status", "/qr.svg", "/qr.png", "?lang=en"):
        answer = await shop.client.get(f"/pay/{payment['id']}{path}", headers={"Authorization": ""})
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert answer.headers["x-frame-options"] == "DENY"
        assert "strict-transport-security" not in answer.headers


async def test_under_https_and_a_path_of_our_own_addresses_and_headers_follow(tmp_path: Path, clock: FakeClock) -> None:
    flags = {"base_url": "https://pay.example.id/qris"}
    async with Installation(tmp_path / "data", clock, flags).running() as shop:
        payment = await shop.create()
        answer = await shop.client.get(f"/pay/{payment['id']}?lang=en")
        assert answer.headers["strict-transport-security"] == "max-age=31536000"
        assert "Secure" in answer.headers["set-cookie"]
        ours = re.findall(r'(?:href|src|action|data-address)="([^"]+)"', answer.text)
        assert [address for address in ours if not address.startswith("/qris/")] == []


async def test_everything_the_page_loads_is_ours_and_there(shop: Installation) -> None:
    page = await payer_sees(shop, await shop.create())
    loaded = re.findall(r'(?:src|href)="([^"]+\.(?:css|js|svg)[^"]*)"', page)
    assert len(loaded) == 7
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=|javascript:|//", page)
    for address in loaded:
        assert (await shop.client.get(address, headers={"Authorization": ""})).status_code == 200


@pytest.mark.parametrize("name", ["..%2Fpages.py", ".hidden", "nothing.css", "%2Fetc%2Fpasswd", "pages.css%00"])
async def test_no_other_file_is_served(shop: Installation, name: str) -> None:
    assert (await shop.client.get(f"/static/{name}")).status_code == 404
