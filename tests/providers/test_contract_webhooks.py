"""The contract over all providers: what they send us, and what others send in their name."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from qrisd.domain.errors import WebhookUnreadable, WebhookUnsigned
from qrisd.domain.payment import Status
from qrisd.providers.base import WebhookEvent
from tests.fakes.server import Request
from tests.providers.bench import AMOUNT, REFERENCE, Bench, changed


async def _told_of_money(bench: Bench) -> Request:
    """The notification of a payment, as it arrived."""
    await bench.charged()
    bench.fake.pay(REFERENCE)
    return (await bench.notified())[0]


def _read(bench: Bench, headers: Mapping[str, str], body: bytes, later: timedelta = timedelta()) -> WebhookEvent:
    return bench.provider.parse_webhook(headers, body, datetime.now(UTC) + later)


async def test_its_notification_of_money_finds_our_attempt(bench: Bench) -> None:
    told = await _told_of_money(bench)
    event = _read(bench, told.headers, told.body)
    assert event.reference == REFERENCE or event.provider_trx_id is not None
    if event.proven:
        assert (event.observation.status, event.observation.amount) == (Status.PAID, AMOUNT)


async def test_a_notification_is_believed_only_where_the_capabilities_say_so(bench: Bench) -> None:
    told = await _told_of_money(bench)
    assert _read(bench, told.headers, told.body).proven == bench.provider.capabilities.webhook_proves_status


async def test_a_repeat_is_known_as_one_and_other_news_are_not(bench: Bench) -> None:
    told = await _told_of_money(bench)
    first, again = _read(bench, told.headers, told.body), _read(bench, told.headers, told.body)
    assert first.event_id == again.event_id
    bench.fake.refund(REFERENCE, AMOUNT)
    for other in await bench.notified():
        if other.body != told.body:
            assert _read(bench, other.headers, other.body).event_id != first.event_id


async def test_a_forged_notification_is_refused(bench: Bench) -> None:
    told, proof = await _told_of_money(bench), bench.kind.words.proof
    if proof in told.headers:
        forged = {**told.headers, proof: "A" + told.headers[proof][1:-1] + "B"}
        with pytest.raises(WebhookUnsigned):
            _read(bench, forged, told.body)
        with pytest.raises(WebhookUnsigned):
            _read(bench, {name: value for name, value in told.headers.items() if name != proof}, told.body)
    else:
        for forged_body in (changed(told.body, proof, "0" * 64), changed(told.body, proof, "")):
            with pytest.raises((WebhookUnsigned, WebhookUnreadable)):
                _read(bench, told.headers, forged_body)


async def test_another_status_under_a_valid_proof_is_refused_or_not_believed(bench: Bench) -> None:
    await bench.charged()
    bench.fake.pay(REFERENCE)
    told = (await bench.notified())[0]
    try:
        event = _read(bench, told.headers, changed(told.body, bench.kind.words.told_status, "weird"))
    except (WebhookUnsigned, WebhookUnreadable):
        return
    assert not event.proven


async def test_a_notification_replayed_later_is_refused_or_known_as_a_repeat(bench: Bench) -> None:
    told = await _told_of_money(bench)
    first = _read(bench, told.headers, told.body, timedelta(minutes=4))
    try:
        late = _read(bench, told.headers, told.body, timedelta(minutes=6))
    except WebhookUnsigned:
        return
    assert late.event_id == first.event_id


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"null", b"not json", b"<html>", b"\xff\xfe", b"[" * 5_000])
async def test_an_unsigned_webhook_is_refused_whatever_it_holds(bench: Bench, body: bytes) -> None:
    with pytest.raises((WebhookUnsigned, WebhookUnreadable)):
        _read(bench, {"content-type": "application/json"}, body)


@pytest.mark.parametrize("body", [b"", b"not json", b"<html>", b"\xff\xfe", b"[" * 5_000, b" " * 5_000_000])
async def test_garbage_with_the_headers_of_a_real_one_is_refused(bench: Bench, body: bytes) -> None:
    told = await _told_of_money(bench)
    with pytest.raises((WebhookUnsigned, WebhookUnreadable)):
        _read(bench, told.headers, body)
