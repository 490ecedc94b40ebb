"""The contract over all providers that give money back: once for every order, and never by a guess."""

from __future__ import annotations

import pytest

from qrisd.domain.errors import ProviderError, ProviderRejected, ProviderUncertain
from qrisd.providers.base import RefundOrder, RefundStatus
from tests.fakes.script import Fault
from tests.providers.bench import AMOUNT, Bench
from tests.providers.kinds import REFUNDING

ORDER = RefundOrder(reference="9R2M0K8R5T1V9X3Z6B4D", amount=AMOUNT)
pytestmark = pytest.mark.parametrize("bench", REFUNDING, indirect=True)
ACCEPTED = (RefundStatus.PENDING, RefundStatus.DONE)


async def test_all_of_it_is_given_back(bench: Bench) -> None:
    provider, attempt = bench.refunding(), await bench.paid()
    assert (await provider.refund(attempt, ORDER)).status in ACCEPTED
    assert (await provider.fetch_refund(attempt, ORDER)).status in ACCEPTED
    assert bench.refunded() == AMOUNT


async def test_the_same_order_twice_gives_back_once(bench: Bench) -> None:
    provider, attempt = bench.refunding(), await bench.paid()
    for _ in range(3):
        assert (await provider.refund(attempt, ORDER)).status in ACCEPTED
    assert bench.refunded() == AMOUNT


async def test_more_than_was_paid_is_refused(bench: Bench) -> None:
    provider, attempt = bench.refunding(), await bench.paid()
    try:
        seen = await provider.refund(attempt, RefundOrder(reference=ORDER.reference, amount=AMOUNT + 1))
    except ProviderRejected:
        pass
    else:
        assert seen.status is RefundStatus.REFUSED
    assert bench.refunded() == 0


@pytest.mark.parametrize("fault", [Fault.DROP_AFTER_EFFECT, Fault.ERROR_AFTER_EFFECT, Fault.TIMEOUT, Fault.HTML])
async def test_a_lost_answer_is_settled_by_asking(bench: Bench, fault: Fault) -> None:
    provider, attempt = bench.refunding(), await bench.paid()
    bench.fake.script.next(bench.kind.words.refund_call, fault)
    with pytest.raises(ProviderUncertain):
        await provider.refund(attempt, ORDER)
    assert (await provider.fetch_refund(attempt, ORDER)).status in ACCEPTED
    assert bench.refunded() == AMOUNT


@pytest.mark.parametrize("fault", [Fault.DROP_BEFORE_EFFECT, Fault.RATE_LIMITED])
async def test_a_refund_that_was_never_made_can_be_asked_for_again(bench: Bench, fault: Fault) -> None:
    provider, attempt = bench.refunding(), await bench.paid()
    bench.fake.script.next(bench.kind.words.refund_call, fault)
    with pytest.raises(ProviderError):
        await provider.refund(attempt, ORDER)
    assert (await provider.refund(attempt, ORDER)).status in ACCEPTED
    assert bench.refunded() == AMOUNT
