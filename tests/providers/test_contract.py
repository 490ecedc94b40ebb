"""One contract over all providers: what each must answer, whatever happens on the wire. Its other halves are
`test_contract_webhooks.py` and `test_contract_refunds.py`; as a table: `python -m tests.providers.table`."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from qrisd.domain.errors import (
    ProviderError,
    ProviderRejected,
    ProviderUncertain,
    ProviderUnreachable,
)
from qrisd.domain.payment import Attempt, Observation, Status, contradiction
from qrisd.domain.qr_check import qr_problem
from qrisd.providers.base import Cancels, Refunds
from tests.fakes.script import Fault
from tests.providers.bench import AMOUNT, REFERENCE, Bench, charge
from tests.providers.kinds import CANCELLING, KINDS, REFUNDING, TELLING_OF_REFUNDS

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
CLOSED = (Status.CANCELLED, Status.EXPIRED, Status.FAILED)


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


async def test_it_can_do_what_its_capabilities_say(bench: Bench) -> None:
    can, kind = bench.provider.capabilities, next(name for name, one in KINDS.items() if one is bench.kind)
    assert can.cancel == isinstance(bench.provider, Cancels) == (kind in CANCELLING)
    assert can.refund == isinstance(bench.provider, Refunds) == (kind in REFUNDING)


@pytest.mark.parametrize("bench", CANCELLING, indirect=True)
async def test_a_charge_we_close_is_closed(bench: Bench) -> None:
    attempt, provider = await bench.charged(), bench.cancelling()
    assert (await provider.cancel_qr(attempt)).status in CLOSED
    assert (await bench.provider.fetch_status(attempt)).status in CLOSED


async def test_a_charge_that_was_closed_there_is_closed(bench: Bench) -> None:
    attempt = await bench.charged()
    bench.fake.change(REFERENCE, bench.kind.words.cancelled)
    assert (await bench.provider.fetch_status(attempt)).status in CLOSED


async def test_a_charge_whose_time_was_up_there_is_closed(bench: Bench) -> None:
    attempt = replace(await bench.charged(), expires_at=datetime.now(UTC) - timedelta(hours=1))
    bench.fake.change(REFERENCE, bench.kind.words.expired)
    assert (await bench.provider.fetch_status(attempt)).status in CLOSED


@pytest.mark.parametrize("bench", TELLING_OF_REFUNDS, indirect=True)
async def test_money_that_went_back_there_is_seen(bench: Bench) -> None:
    attempt = await bench.paid()
    bench.fake.refund(REFERENCE, AMOUNT)
    seen = await bench.provider.fetch_status(attempt)
    assert seen.status in (Status.REFUNDED, Status.PARTIALLY_REFUNDED)


async def test_a_status_nobody_knows_is_no_guess(bench: Bench) -> None:
    attempt = await bench.charged()
    bench.fake.script.next("status", fields=bench.kind.words.unknown)
    assert (await bench.provider.fetch_status(attempt)).status is None


async def test_another_amount_than_asked_is_never_taken_for_it(bench: Bench) -> None:
    attempt, lie = await bench.charged(), bench.kind.words.wrong_amount
    if lie is None:
        bench.fake.pay(REFERENCE, amount=AMOUNT - 1_000)
    else:
        bench.fake.pay(REFERENCE)
        bench.fake.script.next("status", fields=lie)
    seen = await _outcome(bench, attempt)
    assert seen is None or contradiction(attempt, "IDR", seen) or seen.amount != AMOUNT


async def test_an_answer_about_another_reference_is_never_believed(bench: Bench) -> None:
    attempt = await bench.charged()
    bench.fake.pay(REFERENCE)
    bench.fake.script.next("status", fields=bench.kind.words.wrong_reference)
    seen = await _outcome(bench, attempt)
    assert seen is None or contradiction(attempt, "IDR", seen)


@pytest.mark.parametrize("fault", [*LOST, Fault.RATE_LIMITED, Fault.REDIRECT])
async def test_a_question_without_a_usable_answer_teaches_nothing(bench: Bench, fault: Fault) -> None:
    attempt = await bench.charged()
    bench.fake.pay(REFERENCE)
    bench.fake.script.next("status", fault, times=3)
    with pytest.raises(ProviderError):
        await bench.provider.fetch_status(attempt)


@pytest.mark.parametrize("bench", CANCELLING, indirect=True)
async def test_money_is_found_however_the_cancel_ends(bench: Bench) -> None:
    attempt = await bench.charged()
    bench.fake.pay(REFERENCE)
    assert (await bench.cancelling().cancel_qr(attempt)).status is Status.PAID
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
