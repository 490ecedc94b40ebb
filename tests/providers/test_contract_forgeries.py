"""The contract over all providers: how far each proof of a webhook goes, exactly."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from qrisd.domain.errors import WebhookUnsigned
from qrisd.providers.base import WebhookEvent
from tests.fakes.server import Request
from tests.providers.bench import REFERENCE, Bench, changed
from tests.providers.kinds import KINDS

# A member that the proof covers, and the kinds whose proof leaves the status out.
COVERED = {
    "midtrans": "gross_amount",
    "snap-bank": "latestTransactionStatus",
    "doku": "latestTransactionStatus",
    "nicepay-v2": "amt",
}
HINTS = ("midtrans", "xendit-v3", "xendit-qr", "nicepay-snap", "nicepay-v2")
# Signed without the body, so its age is limited; every other proof may be old, for a repeat tells the same.
SHORT_LIVED = ("nicepay-snap",)
LASTING = tuple(kind for kind in KINDS if kind not in SHORT_LIVED)


def _with_secret(name: str) -> Callable[[Any], None]:
    return lambda fake: setattr(fake, name, "another-secret-0001")


def _with_strangers_key(fake: Any) -> None:
    fake.notify_headers = partial(fake.notify_headers, signer="stranger")


STRANGERS = {
    "midtrans": _with_secret("server_key"),
    "xendit-v3": _with_secret("webhook_token"),
    "xendit-qr": _with_secret("webhook_token"),
    "snap-bank": _with_secret("client_secret"),
    "doku": _with_secret("client_secret"),
    "nicepay-snap": _with_strangers_key,
    "nicepay-v2": _with_secret("merchant_key"),
}


async def _told(bench: Bench) -> Request:
    """The notification of a payment, as it arrived."""
    bench.fake.pay(REFERENCE)
    return (await bench.notified())[0]


def _read(bench: Bench, told: Request, body: bytes | None = None, minutes: int = 0) -> WebhookEvent:
    now = datetime.now(UTC) + timedelta(minutes=minutes)
    return bench.provider.parse_webhook(told.headers, told.body if body is None else body, now)


async def test_a_genuine_one_names_our_reference(bench: Bench) -> None:
    attempt = await bench.charged()
    event = _read(bench, await _told(bench))
    assert (event.reference, event.provider_trx_id) == (REFERENCE, attempt.provider_trx_id)
    assert event.observation.contradiction is None


@pytest.mark.parametrize(
    ("bench", "resign"), [pytest.param(kind, STRANGERS[kind], id=kind) for kind in KINDS], indirect=["bench"]
)
async def test_one_under_another_key_is_refused(bench: Bench, resign: Callable[[Any], None]) -> None:
    await bench.charged()
    resign(bench.fake)
    told = await _told(bench)
    with pytest.raises(WebhookUnsigned):
        _read(bench, told)


@pytest.mark.parametrize(
    ("bench", "member"), [pytest.param(kind, COVERED[kind], id=kind) for kind in COVERED], indirect=["bench"]
)
async def test_what_the_proof_covers_cannot_be_changed(bench: Bench, member: str) -> None:
    await bench.charged()
    told = await _told(bench)
    with pytest.raises(WebhookUnsigned):
        _read(bench, told, changed(told.body, member, "1"))


@pytest.mark.parametrize("bench", HINTS, indirect=True)
async def test_a_status_that_the_proof_leaves_out_is_only_a_hint(bench: Bench) -> None:
    await bench.charged()
    told = await _told(bench)
    event = _read(bench, told, changed(told.body, bench.kind.words.told_status, bench.kind.words.cancelled))
    assert not event.proven
    assert event.event_id != _read(bench, told).event_id


@pytest.mark.parametrize("bench", SHORT_LIVED, indirect=True)
async def test_one_signed_without_its_body_is_good_for_five_minutes(bench: Bench) -> None:
    await bench.charged()
    told = await _told(bench)
    assert _read(bench, told, minutes=4).reference == REFERENCE
    for minutes in (-6, 6):
        with pytest.raises(WebhookUnsigned):
            _read(bench, told, minutes=minutes)


@pytest.mark.parametrize("bench", LASTING, indirect=True)
async def test_one_replayed_later_is_known_as_the_same(bench: Bench) -> None:
    await bench.charged()
    told = await _told(bench)
    assert _read(bench, told, minutes=6).event_id == _read(bench, told).event_id
