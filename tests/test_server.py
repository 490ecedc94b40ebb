import asyncio
import contextlib
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
import pytest
from sse_starlette import EventSourceResponse
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from qrisd.api.middleware import Edge
from qrisd.connection import Deadlines
from qrisd.server import CannotListen, connection_limits, serve

QUICK = Deadlines(headers_s=0.3, body_s=0.4, idle_s=0.5, write_s=0.5, linger_s=0.3)
HEAD = b"POST /echo HTTP/1.1\r\nHost: q\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
GET = b"GET /hello HTTP/1.1\r\nHost: q\r\n\r\n"


@dataclass
class Shop:
    """A tiny application that remembers what reached it."""

    seen: list[str] = field(default_factory=list)
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    release: asyncio.Event = field(default_factory=asyncio.Event)
    flood_over: asyncio.Event = field(default_factory=asyncio.Event)
    lifespan: list[str] = field(default_factory=list)
    fails_to_start: bool = False

    async def hello(self, request: Request) -> Response:
        self.seen.append(request.url.path)
        return PlainTextResponse("hello")

    async def echo(self, request: Request) -> Response:
        body = await request.body()
        self.seen.append(f"{len(body)} bytes")
        return Response(body)

    async def ignore_body(self, request: Request) -> Response:
        self.seen.append("unread")
        return PlainTextResponse("no", 401)

    async def slow(self, request: Request) -> Response:
        self.seen.append("slow")
        self.reached.set()
        await self.release.wait()
        return PlainTextResponse("done")

    async def flood(self, request: Request) -> Response:
        async def blocks() -> AsyncIterator[bytes]:
            try:
                while True:
                    yield bytes(65536)
                    await asyncio.sleep(0)
            finally:
                self.flood_over.set()

        kind = EventSourceResponse if request.url.path == "/flood-of-events" else StreamingResponse
        return kind(blocks())

    @asynccontextmanager
    async def run(self, app: Starlette) -> AsyncIterator[None]:
        if self.fails_to_start:
            raise RuntimeError("no database")
        self.lifespan.append("started")
        yield
        self.lifespan.append("stopped")

    def app(self) -> Starlette:
        routes = [
            Route("/hello", self.hello, methods=["GET", "POST"]),
            Route("/echo", self.echo, methods=["POST"]),
            Route("/ignore", self.ignore_body, methods=["POST"]),
            Route("/slow", self.slow, methods=["GET", "POST"]),
            Route("/flood", self.flood),
            Route("/flood-of-events", self.flood),
        ]
        edge = Middleware(Edge, observe=lambda *_: None, log=lambda *_: None)
        return Starlette(routes=routes, middleware=[edge], lifespan=self.run)


@asynccontextmanager
async def running(shop: Shop, deadlines: Deadlines = QUICK, grace_s: float = 1.0) -> AsyncIterator[str]:
    """Serves the shop on a free port and yields its URL."""
    stop = asyncio.Event()
    started: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    server = asyncio.create_task(
        serve(
            shop.app(),
            host="127.0.0.1",
            port=0,
            on_started=started.set_result,
            stop=stop,
            grace_s=grace_s,
            deadlines=deadlines,
        )
    )
    yield await started
    stop.set()
    await server


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
async def url(shop: Shop) -> AsyncIterator[str]:
    async with running(shop) as url:
        yield url
        shop.release.set()


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rsplit(":", 1)[1]))
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def until_closed(reader: asyncio.StreamReader) -> bytes:
    """Everything the server sends before it closes the connection."""
    async with asyncio.timeout(5):
        return await reader.read()


async def exchange(url: str, *pieces: bytes, pause_s: float = 0) -> bytes:
    async with connected(url) as (reader, writer):
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause_s)
        return await until_closed(reader)


def problem(answer: bytes) -> tuple[int, str]:
    """Status and code of the one problem document that the answer must be."""
    head, _, body = answer.partition(b"\r\n\r\n")
    status = int(head.split()[1])
    document = json.loads(body)
    assert b"application/problem+json" in head
    assert b"connection: close" in head
    assert document["status"] == status
    assert {"type", "title", "detail", "request_id"} <= document.keys()
    assert f"x-request-id: {document['request_id']}".encode() in head
    return status, document["code"]


async def test_a_request_is_answered_without_naming_the_server(url: str) -> None:
    async with httpx.AsyncClient(base_url=url) as client:
        answer = await client.get("/hello")
        assert answer.text == "hello"
        assert "server" not in answer.headers
        assert (await client.post("/echo", content=b"x" * 60_000)).content == b"x" * 60_000


async def test_a_body_in_chunks_arrives_whole_however_it_is_cut(url: str) -> None:
    request = CHUNKED + b"3\r\nabc\r\n000a\r\n0123456789\r\n0\r\n\r\n"
    for size in (1, 2, 3, 7, len(request)):
        async with connected(url) as (reader, writer):
            for start in range(0, len(request), size):
                writer.write(request[start : start + size])
                await asyncio.sleep(0)
            async with asyncio.timeout(5):
                await reader.readuntil(b"\r\n\r\nabc0123456789")


async def test_pipelined_requests_are_answered_in_order(url: str, shop: Shop) -> None:
    slow = b"GET /slow HTTP/1.1\r\nHost: q\r\n\r\n"
    posted = CHUNKED + b"5\r\nfirst\r\n0\r\n\r\n"
    last = b"GET /hello HTTP/1.1\r\nHost: q\r\nConnection: close\r\n\r\n"
    async with connected(url) as (reader, writer):
        writer.write(slow + posted + last)
        await asyncio.sleep(0.05)
        assert shop.seen == ["slow"]
        shop.release.set()
        answer = await until_closed(reader)
    assert shop.seen == ["slow", "5 bytes", "/hello"]
    assert answer.index(b"done") < answer.index(b"first") < answer.index(b"hello")


async def test_thousands_of_pipelined_requests_do_not_pile_up(url: str, shop: Shop) -> None:
    slow = b"GET /slow HTTP/1.1\r\nHost: q\r\n\r\n"
    async with connected(url) as (_, writer):
        writer.write(slow + GET * 100_000)
        await asyncio.sleep(0.2)
        assert shop.seen == ["slow"]
    await asyncio.sleep(0.05)


# HT-01, HT-02, HT-03: what does not come


@pytest.mark.parametrize("sent", [b"", b"GET /hello HTTP/1.1\r\n", b"GET /hello HTTP/1.1\r\nHost: q\r\nX: 1", b"\r\n"])
async def test_headers_that_are_never_finished_end_the_connection(url: str, shop: Shop, sent: bytes) -> None:
    answer = await exchange(url, sent)
    assert answer == b"" if sent == b"" else problem(answer) == (408, "request_timeout")
    assert shop.seen == []


async def test_dripping_headers_does_not_extend_their_deadline(url: str) -> None:
    async with connected(url) as (reader, writer):
        closed = asyncio.create_task(until_closed(reader))
        for byte in GET[:-2] + b"X: " + b"a" * 1000:
            writer.write(bytes([byte]))
            await asyncio.sleep(0.02)
            if closed.done():
                break
        assert problem(await closed) == (408, "request_timeout")


@pytest.mark.parametrize("body", [b"", b"12345"])
async def test_a_body_that_is_never_finished_ends_the_connection(url: str, shop: Shop, body: bytes) -> None:
    assert problem(await exchange(url, HEAD + b"Content-Length: 10\r\n\r\n" + body)) == (408, "request_timeout")
    assert shop.seen == []


async def test_dripping_a_body_does_not_extend_its_deadline(url: str, shop: Shop) -> None:
    async with connected(url) as (reader, writer):
        closed = asyncio.create_task(until_closed(reader))
        writer.write(HEAD + b"Content-Length: 1000\r\n\r\n")
        while not closed.done():
            writer.write(b"x")
            await asyncio.sleep(0.02)
        assert problem(await closed) == (408, "request_timeout")
    assert shop.seen == []


async def test_a_connection_that_goes_quiet_after_an_answer_is_closed(url: str) -> None:
    assert (await exchange(url, GET)).endswith(b"hello")


async def test_a_second_request_has_its_own_deadline(url: str) -> None:
    answer = await exchange(url, GET, GET[:20], pause_s=0.2)
    first, _, second = answer.partition(b"hello")
    assert b" 200 " in first
    assert problem(second) == (408, "request_timeout")


async def test_an_answer_may_take_longer_than_any_request_deadline(url: str, shop: Shop) -> None:
    async with httpx.AsyncClient(base_url=url) as client:
        answer = asyncio.create_task(client.post("/slow", content=b"x"))
        await asyncio.sleep(0.8)
        shop.release.set()
        assert (await answer).text == "done"


@pytest.mark.parametrize("path", [b"/flood", b"/flood-of-events"])
async def test_a_client_that_stops_reading_is_cut_off(url: str, shop: Shop, path: bytes) -> None:
    async with connected(url) as (_, writer):
        writer.write(b"GET " + path + b" HTTP/1.1\r\nHost: q\r\n\r\n")
        await asyncio.wait_for(shop.flood_over.wait(), 5)


async def test_400_slow_and_400_idle_connections_do_not_slow_the_healthy(shop: Shop) -> None:
    async with running(shop, Deadlines()) as url, contextlib.AsyncExitStack() as stack:
        for number in range(800):
            _, writer = await stack.enter_async_context(connected(url))
            writer.write(GET[: number % 2 * 10])
        seconds: list[float] = []
        async with httpx.AsyncClient(base_url=url) as client:
            for _ in range(100):
                before = time.perf_counter()
                assert (await client.get("/hello")).status_code == 200
                seconds.append(time.perf_counter() - before)
        assert statistics.quantiles(seconds, n=20)[-1] < 0.3


# HT-04: what is too much


@pytest.mark.parametrize(
    ("request_head", "expected"),
    [
        (b"GET /" + b"a" * 8192 + b" HTTP/1.1\r\nHost: q\r\n\r\n", (414, "uri_too_long")),
        (b"GET /" + b"a" * 65536, (414, "uri_too_long")),
        (b"GET /hello HTTP/1.1\r\nHost: q\r\nX: " + b"a" * 204800 + b"\r\n\r\n", (431, "headers_too_large")),
        (b"GET /hello HTTP/1.1\r\nHost: q\r\nX: " + b"a" * 204800, (431, "headers_too_large")),
        (b"GET /hello HTTP/1.1\r\nHost: q\r\n" + b"a" * 204800, (431, "headers_too_large")),
        (b"GET /hello HTTP/1.1\r\nHost: q\r\nX: " + b"a" * 33000 + b"\r\n\r\n", (431, "headers_too_large")),
        (b"GET /hello HTTP/1.1\r\nHost: q\r\n" + b"X: 1\r\n" * 1000 + b"\r\n", (431, "headers_too_large")),
        (b"GET /hello HTTP/1.1\r\nHost: q\r\n" + b"X: 1\r\n" * 100 + b"\r\n", (431, "headers_too_large")),
    ],
)
async def test_too_much_before_the_body_is_refused(
    url: str, shop: Shop, request_head: bytes, expected: tuple[int, str]
) -> None:
    assert problem(await exchange(url, request_head)) == expected
    assert shop.seen == []


async def test_a_long_url_and_many_headers_within_the_limits_pass(url: str) -> None:
    target = b"/hello?" + b"a" * 8000
    headers = b"".join(b"X-%d: %s\r\n" % (number, b"v" * 300) for number in range(99))
    assert b" 200 OK" in await exchange(url, b"GET " + target + b" HTTP/1.1\r\nHost: q\r\n" + headers + b"\r\n")


# HT-05: bodies over the limit


def endless_chunks(writer: asyncio.StreamWriter) -> Callable[[], None]:
    writer.write(CHUNKED)
    return lambda: writer.write(b"4000\r\n" + bytes(0x4000) + b"\r\n")


async def test_an_endless_body_is_refused_early_and_kept_nowhere(shop: Shop) -> None:
    patient = Deadlines(linger_s=0.3)
    async with asyncio.timeout(5), running(shop, patient) as url, connected(url) as (reader, writer):
        send_more = endless_chunks(writer)
        tracemalloc.start()
        try:
            answer = asyncio.create_task(until_closed(reader))
            with contextlib.suppress(ConnectionError):
                while not answer.done():
                    send_more()
                    await writer.drain()
            assert tracemalloc.get_traced_memory()[1] < 10_000_000
        finally:
            tracemalloc.stop()
        assert b" 413 " in await answer
        assert b"body_too_large" in await answer
    assert shop.seen == []


async def test_a_body_declared_too_large_is_refused_before_it_is_sent(url: str) -> None:
    async with connected(url) as (reader, writer):
        writer.write(HEAD + b"Content-Length: 10000000000\r\n\r\n")
        assert b" 413 " in await asyncio.wait_for(reader.readline(), 0.2)


async def test_ten_megabytes_sent_at_once_still_get_to_read_the_413(url: str) -> None:
    async with httpx.AsyncClient(base_url=url) as client:
        answer = await client.post("/echo", content=bytes(10_000_000))
        assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


async def test_a_connection_whose_body_was_not_wanted_serves_the_next_request(url: str, shop: Shop) -> None:
    unread = b"POST /ignore HTTP/1.1\r\nHost: q\r\nContent-Length: 50000\r\n\r\n"
    answer = await exchange(url, unread, bytes(25000), bytes(25000), GET, pause_s=0.02)
    assert answer.count(b"HTTP/1.1 401") == answer.count(b"HTTP/1.1 200") == 1
    assert shop.seen == ["unread", "/hello"]


# HT-11: what two servers could read differently


@pytest.mark.parametrize(
    "sent",
    [
        HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        HEAD + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
        HEAD + b"Content-Length: 3, 3\r\n\r\nabc",
        HEAD + b"Content-Length: +3\r\n\r\nabc",
        HEAD + b"Content-Length: 99999999999999999999999\r\n\r\nabc",
        HEAD + b"Transfer-Encoding: gzip\r\n\r\n",
        HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /echo HTTP/1.0\r\nHost: q\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET /hello HTTP/1.1\nHost: q\n\n",
        b"GET /hello HTTP/1.1\r\nHost: q\nX: 1\r\n\r\n",
        b"GET /hello HTTP/1.1\r\nHost: q\r\n\n",
        b"GET /hello HTTP/1.1\r\nHost: q\r\nX: 1\r\n 2\r\n\r\n",
        b"GET /hello HTTP/1.1\r\n Host: q\r\n\r\n",
        b"GET /hello HTTP/1.1\r\nHost : q\r\n\r\n",
        b"GET /hello HTTP/1.1\r\nHost: q\r\nX: a\x00b\r\n\r\n",
        b"GET /hello HTTP/1.1\r\n\r\n",
        b"GET /hello HTTP/1.1\r\nHost: q\r\nHost: r\r\n\r\n",
        b"GET /hello HTTP/2.0\r\nHost: q\r\n\r\n",
        b"GET /hello\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /\xc3\xa9 HTTP/1.1\r\nHost: q\r\n\r\n",
        b"CONNECT q:80 HTTP/1.1\r\nHost: q\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        HEAD + b"Connection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 3\r\n\r\nabc",
        CHUNKED + b"zz\r\n",
        CHUNKED + b"-1\r\n",
        CHUNKED + b"3\nabc\r\n0\r\n\r\n",
        CHUNKED + b"3\r\nabcd\r\n0\r\n\r\n",
        CHUNKED + b"3;name=value\r\nabc\r\n0\r\n\r\n",
        CHUNKED + b"3;a\r\nabc\r\n0\r\n\r\n",
        CHUNKED + b"3;" + b"a" * 70000,
        CHUNKED + b"3 \r\nabc\r\n0\r\n\r\n",
        CHUNKED + b"0;a\r\n\r\n",
        CHUNKED + b"00000000000000003\r\nabc\r\n0\r\n\r\n",
        CHUNKED + b"fffffffffffffffff\r\n",
        CHUNKED + b"3\r\nabc\r\n0\r\nAuthorization: Bearer x\r\n\r\n",
    ],
)
async def test_an_ambiguous_request_is_refused_and_the_connection_closed(url: str, shop: Shop, sent: bytes) -> None:
    assert problem(await exchange(url, sent)) == (400, "bad_request")
    await asyncio.sleep(0)
    assert shop.seen == []


async def test_garbage_behind_a_pending_request_does_not_touch_its_answer(url: str, shop: Shop) -> None:
    async with connected(url) as (reader, writer):
        writer.write(b"GET /slow HTTP/1.1\r\nHost: q\r\n\r\nGARBAGE\r\n\r\n")
        await asyncio.sleep(0.05)
        shop.release.set()
        first, _, second = (await until_closed(reader)).partition(b"done")
    assert b" 200 OK" in first
    assert problem(second) == (400, "bad_request")


async def test_an_upgrade_nobody_offers_is_ignored(url: str, shop: Shop) -> None:
    upgrade = b"GET /hello HTTP/1.1\r\nHost: q\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    answer = await exchange(url, upgrade, GET, pause_s=0.02)
    assert answer.count(b" 200 OK") == 2
    assert shop.seen == ["/hello", "/hello"]


# HT-06: who leaves


async def test_a_client_that_leaves_does_not_stop_the_operation(url: str, shop: Shop) -> None:
    async with connected(url) as (_, writer):
        writer.write(b"GET /slow HTTP/1.1\r\nHost: q\r\n\r\n")
        await asyncio.sleep(0.05)
    shop.release.set()
    async with httpx.AsyncClient(base_url=url) as client:
        assert (await client.get("/hello")).status_code == 200


# Starting and stopping


async def test_a_port_in_use_is_said_before_the_application_starts(shop: Shop) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(CannotListen, match=f"127.0.0.1:{port}.*another program"):
            await serve(shop.app(), host="127.0.0.1", port=port, on_started=print, stop=asyncio.Event())
    assert shop.lifespan == []


@pytest.mark.parametrize(("host", "why"), [("no-such-host.invalid", "not known"), ("192.0.2.1", "does not have")])
async def test_an_address_that_is_not_ours_is_said(shop: Shop, host: str, why: str) -> None:
    with pytest.raises(CannotListen, match=why):
        await serve(shop.app(), host=host, port=0, on_started=print, stop=asyncio.Event())


async def test_an_application_that_cannot_start_says_why(shop: Shop) -> None:
    shop.fails_to_start = True
    with pytest.raises(RuntimeError, match="no database"):
        await serve(shop.app(), host="127.0.0.1", port=0, on_started=print, stop=asyncio.Event())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_lets_a_request_under_way_finish(shop: Shop, number: signal.Signals) -> None:
    async with running(shop) as url, httpx.AsyncClient(base_url=url) as client:
        answer = asyncio.create_task(client.get("/slow"))
        await shop.reached.wait()
        os.kill(os.getpid(), number)
        await asyncio.sleep(0.3)
        with pytest.raises(httpx.ConnectError):
            await httpx.AsyncClient().get(url)
        shop.release.set()
        assert (await answer).text == "done"
    assert shop.lifespan == ["started", "stopped"]


async def test_after_the_grace_time_a_request_is_cut_off_with_a_clear_answer(shop: Shop) -> None:
    async with running(shop, grace_s=0.1) as url:
        client = httpx.AsyncClient(base_url=url)
        answer = asyncio.create_task(client.get("/slow"))
        await shop.reached.wait()
    cut_off = await answer
    await client.aclose()
    assert (cut_off.status_code, cut_off.json()["code"]) == (503, "shutting_down")
    assert shop.lifespan == ["started", "stopped"]


async def test_a_second_interrupt_does_not_wait_and_still_stops_the_application(shop: Shop) -> None:
    async with running(shop, grace_s=60) as url:
        client = httpx.AsyncClient(base_url=url)
        answer = asyncio.create_task(client.get("/slow"))
        await shop.reached.wait()
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(0.2)
        os.kill(os.getpid(), signal.SIGINT)
    with contextlib.suppress(httpx.HTTPError):
        await answer
    await client.aclose()
    assert shop.lifespan == ["started", "stopped"]


# OP-06: few descriptors


@pytest.mark.parametrize("descriptors", [0, 64, 256, 1024, 4096, 1_000_000])
def test_kept_and_newly_accepted_connections_leave_descriptors_for_the_rest(descriptors: int) -> None:
    kept, burst = connection_limits(descriptors)
    assert kept >= 8
    assert burst >= 8
    assert kept <= 1024
    assert kept + burst + 40 <= max(descriptors, 56)


def test_with_the_usual_1024_descriptors_500_streams_leave_room_for_others() -> None:
    kept, _ = connection_limits(1024)
    assert kept >= 500 + 200


SMALL = """
import asyncio, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
sys.path.insert(0, {tests!r})
from test_server import Shop
from qrisd.server import run, serve
async def main():
    started = lambda url: print(url, flush=True)
    await serve(Shop().app(), host="127.0.0.1", port=0, on_started=started, stop=asyncio.Event(), grace_s=1)
run(main())
"""


@asynccontextmanager
async def with_64_descriptors() -> AsyncIterator[str]:
    code = SMALL.format(tests=os.path.dirname(__file__))
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        yield (await process.stdout.readline()).decode().strip()
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 10) == 0
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()


async def test_with_64_descriptors_a_crowd_is_survived_and_real_clients_are_served() -> None:
    async with with_64_descriptors() as url, httpx.AsyncClient(base_url=url) as client:
        async with asyncio.timeout(8), contextlib.AsyncExitStack() as crowd:
            for _ in range(300):
                await crowd.enter_async_context(connected(url))
            assert (await client.get("/hello")).status_code == 200
        assert (await client.get("/hello")).status_code == 200


async def test_with_64_descriptors_requests_beyond_the_cap_get_503() -> None:
    async with with_64_descriptors() as url, contextlib.AsyncExitStack() as crowd:
        answers: list[bytes] = []
        for _ in range(40):
            reader, writer = await crowd.enter_async_context(connected(url))
            with contextlib.suppress(ConnectionError):
                writer.write(b"GET /slow HTTP/1.1\r\nHost: q\r\n\r\n")
            with contextlib.suppress(TimeoutError, ConnectionError):
                answers.append(await asyncio.wait_for(reader.read(), 0.05))
        refused = [answer for answer in answers if answer]
        assert len(refused) >= 2
        assert {problem(answer) for answer in refused} == {(503, "overloaded")}
