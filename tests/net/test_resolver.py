from __future__ import annotations

import asyncio
import socket
import threading

import pytest

from qrisd.net.resolver import SystemResolver


class NameServer:
    """Answers when it is let; counts who asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.go = threading.Event()

    def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        if host.startswith("slow"):
            self.go.wait(10)
        if host.startswith("no"):
            raise socket.gaierror(-2, "Name or service not known")
        return ["8.8.8.8"]


async def test_names_of_the_system_are_found() -> None:
    assert "127.0.0.1" in await SystemResolver()("localhost", 80)


@pytest.mark.parametrize("host", ["a" * 64 + ".example", "shop..example"])
async def test_a_name_that_cannot_be_asked_for_is_not_found(host: str) -> None:
    with pytest.raises(OSError):
        await SystemResolver()(host, 80)


async def test_a_name_that_is_not_found_is_asked_for_again_the_next_time() -> None:
    server = NameServer()
    resolve = SystemResolver(server)
    for _ in range(2):
        with pytest.raises(OSError, match="not known"):
            await resolve("no.example", 80)
    assert server.asked == ["no.example"] * 2


async def test_answers_are_not_kept() -> None:
    server = NameServer()
    resolve = SystemResolver(server)
    for _ in range(3):
        assert await resolve("shop.example", 443) == ["8.8.8.8"]
    assert len(server.asked) == 3


async def test_one_that_hangs_is_asked_once_and_holds_up_nobody() -> None:
    server = NameServer()
    resolve = SystemResolver(server)
    waiting = [asyncio.create_task(resolve("slow.example", 80)) for _ in range(100)]
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        assert await resolve("fast.example", 80) == ["8.8.8.8"]
    waiting[0].cancel()
    server.go.set()
    answers = await asyncio.gather(*waiting[1:])
    assert {tuple(answer) for answer in answers} == {("8.8.8.8",)}
    assert server.asked.count("slow.example") == 1


async def test_too_many_that_hang_are_an_error_until_they_end() -> None:
    server = NameServer()
    resolve = SystemResolver(server)
    waiting = [asyncio.create_task(resolve(f"slow{number}.example", 80)) for number in range(32)]
    await asyncio.sleep(0)
    with pytest.raises(OSError, match="too many"):
        await resolve("shop.example", 80)
    server.go.set()
    await asyncio.gather(*waiting)
    assert await resolve("shop.example", 80) == ["8.8.8.8"]


def test_a_look_up_that_outlives_its_loop_harms_nobody() -> None:
    server = NameServer()

    async def leave() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await SystemResolver(server)("slow.example", 80)

    asyncio.run(leave())
    server.go.set()
    for thread in threading.enumerate():
        if thread.name == "callback-dns":
            thread.join(5)
