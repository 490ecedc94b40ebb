"""One contract over all providers: what each must answer, whatever happens on the wire. As a table:
`python -m tests.providers.table`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from qrisd.domain.errors import (
    ProviderError,
    ProviderRejected,
    ProviderUncertain,
    ProviderUnreachable,
    WebhookUnreadable,
    WebhookUnsigned,
)
from qrisd.domain.payment import Attempt, Observation, Status
from qrisd.domain.qr_check import qr_problem
from qrisd.providers.base import Cancels, Charge, Provider
from qrisd.providers.http import ProviderHttp
from qrisd.providers.registry import SETTINGS, Toolbox, make
from tests.fakes.script import Fault
from tests.providers.kinds import KINDS, Kind

REFERENCE = "7Q2M0K8R5T1V9X3Z6B4C"
AMOUNT = 15_000
LOST = [
    Fault.DROP_AFTER_EFFECT,
    Fault.ERROR_AFTER_EFFECT,
    Fault.TIMEOUT,
    Fault.DRIP,
    Fault.HTML,
    Fault.EMPTY,
    Fault.CUT_JSON,
    Fault.CUT_BODY,
    Fault.HUGE,
    Fault.GZIP_BOMB,
]


@dataclass(slots=True)
class Bench:
    """An adapter, made as the product makes it, on its fake."""

    kind: Kind
    fake: Any
    provider: Provider
    http: ProviderHttp
    folder: Path

    def elsewhere(self, url: str) -> Provider:
        """The same adapter, asking at another address."""
        return _made(self.kind, self.fake, self.http, self.folder, url)

    async def charged(self) -> Attempt:
        return attempt_of(await self.provider.create_qr(charge()), self.kind.name)


def _made(kind: Kind, fake: Any, http: ProviderHttp, folder: Path, url: str) -> Provider:
    table = {"base_url": url, "timeout": 1, **kind.table(fake, folder)}
    settings = SETTINGS[table.get("type", kind.name)].model_validate(table)
    tools = Toolbox(
        http=http, clock=lambda: datetime.now(UTC), simulator_secret="x", notify_url=lambda name: None, base_path=""
    )
    return make(kind.name, settings, tools)


@pytest.fixture(params=list(KINDS))
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    kind: Kind = KINDS[request.param]
    fake, http = kind.fake(), ProviderHttp()
    await fake.start()
    yield Bench(kind, fake, _made(kind, fake, http, tmp_path, fake.url), http, tmp_path)
    await http.aclose()
    await fake.stop()


def charge() -> Charge:
    ends = datetime.now(UTC) + timedelta(seconds=900)
    return Charge(reference=REFERENCE, amount=AMOUNT, expires_in=900, expires_at=ends)


def attempt_of(seen: Observation, provider: str) -> Attempt:
    """The live attempt the core keeps of a charge's answer."""
    now = datetime.now(UTC)
    return Attempt(
        id="a",
        payment_id="p",
        number=1,
        provider=provider,
        reference=REFERENCE,
        amount=AMOUNT,
        status=Status.PENDING,
        provider_trx_id=seen.provider_trx_id,
        provider_ref_no=seen.provider_ref_no,
        qris_payload=seen.qris_payload,
        amount_paid=0,
        amount_refunded=0,
        error=None,
        expires_at=seen.expires_at or now + timedelta(seconds=900),
        checks=0,
        next_check_at=None,
        version=0,
        created_at=now,
        updated_at=now,
    )


async def test_a_charge_is_a_live_qr_that_may_be_shown(bench: Bench) -> None:
    seen = await bench.provider.create_qr(charge())
    assert seen.status is Status.PENDING
    assert seen.contradiction is None
    assert seen.provider_trx_id
    assert seen.qris_payload is not None
    assert qr_problem(seen.qris_payload, AMOUNT, None) is None


async def test_an_unpaid_charge_is_pending(bench: Bench) -> None:
    assert (await bench.provider.fetch_status(await bench.charged())).status is Status.PENDING


async def test_a_paid_charge_names_amount_and_currency(bench: Bench) -> None:
    attempt = await bench.charged()
    bench.fake.pay(REFERENCE)
    seen = await bench.provider.fetch_status(attempt)
    assert (seen.status, seen.amount, seen.currency, seen.contradiction) == (Status.PAID, AMOUNT, "IDR", None)
    assert seen.paid_at is not None
    assert seen.paid_at.tzinfo is not None


async def test_a_closed_charge_is_closed(bench: Bench) -> None:
    attempt = await bench.charged()
    if isinstance(bench.provider, Cancels):
        closed = await bench.provider.cancel_qr(attempt)
        assert closed.status in (Status.CANCELLED, Status.EXPIRED)
        assert (await bench.provider.fetch_status(attempt)).status in (Status.CANCELLED, Status.EXPIRED)
    else:
        assert not bench.provider.capabilities.cancel


async def test_money_is_found_however_the_cancel_ends(bench: Bench) -> None:
    attempt = await bench.charged()
    bench.fake.pay(REFERENCE)
    if isinstance(bench.provider, Cancels):
        assert (await bench.provider.cancel_qr(attempt)).status is Status.PAID
    assert (await bench.provider.fetch_status(attempt)).status is Status.PAID


async def test_money_for_another_reference_is_never_ours(bench: Bench) -> None:
    attempt = await bench.charged()
    bench.fake.pay(REFERENCE)
    seen = await _outcome(bench, replace(attempt, reference="0000000000000000NONE"))
    assert seen is None or seen.status is not Status.PAID or seen.contradiction is not None


async def _outcome(bench: Bench, attempt: Attempt) -> Observation | None:
    try:
        return await bench.provider.fetch_status(attempt)
    except ProviderError:
        return None


@pytest.mark.parametrize("fault", LOST)
async def test_a_lost_answer_leaves_the_outcome_unknown(bench: Bench, fault: Fault) -> None:
    bench.fake.script.next("charge", fault)
    with pytest.raises(ProviderUncertain):
        await bench.provider.create_qr(charge())


async def test_a_limited_charge_was_never_made(bench: Bench) -> None:
    bench.fake.script.next("charge", Fault.RATE_LIMITED)
    with pytest.raises((ProviderUnreachable, ProviderRejected)):
        await bench.provider.create_qr(charge())
    assert REFERENCE not in bench.fake.book


async def test_a_refused_connection_sent_nothing(bench: Bench) -> None:
    with pytest.raises(ProviderUnreachable):
        await bench.elsewhere("http://127.0.0.1:9").create_qr(charge())


async def test_a_repeated_reference_is_adopted_or_refused_or_told_apart(bench: Bench) -> None:
    """Xendit makes a new charge for every call; the core never uses a reference twice, and its id tells them apart."""
    first = await bench.provider.create_qr(charge())
    try:
        second = await bench.provider.create_qr(charge())
    except ProviderError:
        return
    is_the_same = second.provider_trx_id == first.provider_trx_id
    assert is_the_same or second.contradiction is not None or bench.kind.name == "xendit"


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"null", b"not json", b"<html>", b"\xff\xfe", b"[" * 5_000])
async def test_an_unsigned_webhook_is_refused_whatever_it_holds(bench: Bench, body: bytes) -> None:
    with pytest.raises((WebhookUnsigned, WebhookUnreadable)):
        bench.provider.parse_webhook({"content-type": "application/json"}, body, datetime.now(UTC))
