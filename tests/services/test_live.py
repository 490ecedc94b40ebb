"""Those who wait: woken by every change, served by one reading, forgotten when they leave."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack

import pytest

from qrisd.api.rendered import CAPACITY, Rendered
from qrisd.domain.payment import Payment, Status
from qrisd.services.live import Live, Watch
from tests.domain.test_payment import payment


class Store:
    """Answers with how things stood when it was asked, once it is let go."""

    def __init__(self) -> None:
        self.present = payment()
        self.readings = 0
        self.go = asyncio.Event()

    async def read(self) -> Payment:
        self.readings += 1
        seen = self.present
        await self.go.wait()
        return seen


def crowd(live: Live, stack: ExitStack, count: int = 500) -> list[Watch]:
    return [stack.enter_context(live.watching("p-1")) for _ in range(count)]


async def test_five_hundred_who_look_at_once_share_one_reading() -> None:
    live, store = Live(), Store()
    store.go.set()
    with ExitStack() as stack:
        watches = crowd(live, stack)
        seen = await asyncio.gather(*(watch.look(store.read) for watch in watches))
    assert store.readings == 1
    assert all(one is store.present for one in seen)


async def test_a_reading_begun_before_a_change_serves_nobody_who_looks_after_it() -> None:
    live, store = Live(), Store()
    with ExitStack() as stack:
        early, late = crowd(live, stack, 2)
        first = asyncio.create_task(early.look(store.read))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        store.present = payment(Status.PAID, version=2)
        live.tell("p-1")
        second = asyncio.create_task(late.look(store.read))
        await asyncio.sleep(0)
        store.go.set()
        assert (await first).status is Status.PENDING
        assert early.changed.is_set()  # so it looks again
        assert (await second).status is Status.PAID


async def test_a_watcher_who_leaves_takes_the_reading_from_nobody() -> None:
    live, store = Live(), Store()
    with ExitStack() as stack:
        leaves, stays = crowd(live, stack, 2)
        first = asyncio.create_task(leaves.look(store.read))
        second = asyncio.create_task(stays.look(store.read))
        await asyncio.sleep(0)
        first.cancel()
        store.go.set()
        assert await second is store.present
        assert store.readings == 1


async def test_a_reading_that_failed_is_not_remembered() -> None:
    live, store = Live(), Store()
    store.go.set()

    async def fail() -> Payment:
        raise OSError("the disk is gone")

    with live.watching("p-1") as watch:
        with pytest.raises(OSError, match="gone"):
            await watch.look(fail)
        assert await watch.look(store.read) is store.present


@pytest.mark.parametrize("told", ["one", "all", "close"])
async def test_who_waits_is_woken_of_one_payment_and_of_any(told: str) -> None:
    live = Live()
    with live.watching("p-1") as one, live.watching("p-2") as other, live.watching_all() as anything:
        {"one": lambda: live.tell("p-1"), "all": live.tell_all, "close": live.close}[told]()
        woken = [watch.changed.is_set() for watch in (one, other, anything)]
    assert woken == [True, told != "one", True]


async def test_waiting_ends_with_a_change_or_with_the_time() -> None:
    live = Live()
    now = asyncio.get_running_loop().time()
    with live.watching("p-1") as watch:
        assert not await watch.wait(now)
        live.tell("p-1")
        assert await watch.wait(now + 60)


async def test_a_payment_nobody_watches_any_more_is_forgotten() -> None:
    live = Live()
    with live.watching("p-1") as outer, live.watching("p-1"):
        pass
    with live.watching("p-1") as watch:
        live.tell("p-1")
        assert watch.changed.is_set()
        assert not outer.changed.is_set()


def test_a_version_is_rendered_once_and_old_ones_do_not_pile_up() -> None:
    rendered = Rendered("http://shop.test")
    first = rendered.of(payment())
    assert rendered.of(payment()) is first
    assert rendered.of(payment(Status.PAID, version=2)).tag.startswith("PAID-")
    for number in range(CAPACITY):
        rendered.of(payment(id=f"p-{number + 2}"))
    assert rendered.of(payment()) is not first
