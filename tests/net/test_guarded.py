from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import httpcore
import pytest

from qrisd.domain.callback_url import CallbackPolicy
from qrisd.net.guarded import MAX_ANSWER_BYTES, GuardedHttp, Outcome
from tests.support.certificates import Authority
from tests.support.targets import FORBIDDEN, FORBIDDEN_URLS, in_url

PUBLIC = "8.8.8.8"
PUBLIC_6 = "2606:4700::1111"
TEST = CallbackPolicy(is_live=False)
DEVELOPING = CallbackPolicy(is_live=False, allows_loopback=True)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine"

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class _Connects:
    """Every connect that any socket of this process makes while it listens."""

    def __init__(self) -> None:
        self.listening = False
        self.seen: list[Any] = []
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.listening and event in ("socket.connect", "socket.sendto", "socket.getaddrinfo"):
            self.seen.append(arguments[1:])


CONNECTS = _Connects()  # an audit hook stays for good, so there is one


@pytest.fixture
def connects() -> Iterator[list[Any]]:
    CONNECTS.seen = []
    CONNECTS.listening = True
    yield CONNECTS.seen
    CONNECTS.listening = False


class Names:
    """A name server; what it answers next for every name, the last answer again and again."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self._answers = list(answers)
        self.asked: list[tuple[str, int]] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append((host, port))
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


class Internet(httpcore.AsyncNetworkBackend):
    """Leads every address to a server on loopback, except the `dead` ones, and writes down who was called."""

    def __init__(self, port: int, dead: Sequence[str] = ()) -> None:
        self._port = port
        self._dead = dead
        self.called: list[str] = []
        self.read_bytes = 0

    async def connect_tcp(self, host: str, *_: Any, **__: Any) -> httpcore.AsyncNetworkStream:
        self.called.append(host)
        if host in self._dead:
            raise httpcore.ConnectError
        return _Counted(self, await httpcore.AnyIOBackend().connect_tcp("127.0.0.1", self._port))


class _Counted(httpcore.AsyncNetworkStream):
    def __init__(self, internet: Internet, stream: httpcore.AsyncNetworkStream) -> None:
        self._internet = internet
        self._stream = stream
        self.write, self.aclose = stream.write, stream.aclose  # type: ignore[method-assign]
        self.start_tls, self.get_extra_info = stream.start_tls, stream.get_extra_info  # type: ignore[method-assign]

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        data = await self._stream.read(max_bytes, timeout)
        self._internet.read_bytes += len(data)
        return data


class Receiver:
    """A merchant's server on loopback: reads a request, then does as its handler likes."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self.requests: list[bytes] = []
        self.connections = 0
        self.port = 0
        self.tasks: set[asyncio.Task[None]] = set()

    @property
    def internet(self) -> Internet:
        return Internet(self.port)

    def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.tasks.add(asyncio.create_task(self._serve(reader, writer)))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                head = await reader.readuntil(b"\r\n\r\n")
                self.requests.append(head + await reader.readexactly(2))
                await self._handler(reader, writer)
        finally:
            writer.transport.abort()


@asynccontextmanager
async def receiving(handler: Handler | bytes = OK, tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    receiver = Receiver(_always(handler) if isinstance(handler, bytes) else handler)
    server = await asyncio.start_server(receiver.connected, "127.0.0.1", 0, ssl=tls)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        for task in receiver.tasks:
            task.cancel()
        await asyncio.gather(*receiver.tasks, return_exceptions=True)


def _always(answer: bytes) -> Handler:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()
        await reader.read()

    return handle


async def post(http: GuardedHttp, url: str = "http://shop.example/hooks") -> Outcome:
    return await http.post(url, {"webhook-id": "evt_1"}, b"{}")


def nobody_asks() -> Names:
    return Names([])


# What is sent, and what comes back


async def test_a_post_brings_back_status_text_and_the_address_called() -> None:
    async with receiving(b"HTTP/1.1 503 No\r\nRetry-After: 7\r\nContent-Length: 5\r\n\r\nsorry") as receiver:
        names = Names([PUBLIC])
        outcome = await post(GuardedHttp(TEST, resolve=names, network=receiver.internet))
    assert (outcome.status, outcome.retry_after, outcome.excerpt) == (503, "7", "sorry")
    assert (outcome.address, outcome.failure, outcome.refused) == (PUBLIC, None, False)
    assert names.asked == [("shop.example", 80)]


async def test_the_host_stays_that_of_the_url() -> None:
    async with receiving() as receiver:
        await post(
            GuardedHttp(TEST, resolve=Names([PUBLIC]), network=receiver.internet), "http://Shop.Example:8080/a?b=c"
        )
    first, *lines = receiver.requests[0].decode().lower().split("\r\n")
    assert first == "post /a?b=c http/1.1"
    assert {"host: shop.example:8080", "webhook-id: evt_1", "content-length: 2", "connection: close", "{}"} <= {*lines}


async def test_proxies_of_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with receiving() as receiver:
        assert (await post(GuardedHttp(TEST, resolve=Names([PUBLIC]), network=receiver.internet))).status == 200


async def test_every_post_looks_up_and_connects_anew_and_keeps_no_cookies() -> None:
    async with receiving(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n") as receiver:
        names = Names([PUBLIC])
        http = GuardedHttp(TEST, resolve=names, network=receiver.internet)
        for _ in range(3):
            await post(http)
    assert (len(names.asked), receiver.connections) == (3, 3)
    assert not any(b"cookie" in request.lower() for request in receiver.requests)


async def test_the_excerpt_is_short_plain_text_and_never_unpacked() -> None:
    packed = gzip.compress(b"x" * 50_000)
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n".encode()
    async with receiving(head + packed) as receiver:
        assert "xxx" not in (await post(GuardedHttp(DEVELOPING), local(receiver))).excerpt
    async with receiving(b"HTTP/1.1 200 OK\r\n\r\n\x1b[31m\xff\x00\n" + b"y" * 9_000) as receiver:
        http = GuardedHttp(DEVELOPING, total_s=0.5)
        excerpt = (await post(http, local(receiver))).excerpt
    assert excerpt.startswith("\ufffd[31m\ufffd\ufffd\ny")
    assert len(excerpt) == 2_048


def local(receiver: Receiver) -> str:
    return f"http://127.0.0.1:{receiver.port}/hooks"


async def test_a_header_that_cannot_be_sent_is_a_failure() -> None:
    async with receiving() as receiver:
        http = GuardedHttp(DEVELOPING)
        for value in ("a\r\nb: c", "é"):
            outcome = await http.post(local(receiver), {"x": value}, b"{}")
            assert outcome.failure == "request: a header holds characters that cannot be sent"
    assert receiver.requests == []


# Where it never goes


@pytest.mark.parametrize("url", [in_url(text) for text in FORBIDDEN] + FORBIDDEN_URLS)
async def test_no_packet_to_a_forbidden_url(url: str, connects: list[Any]) -> None:
    names = nobody_asks()
    outcome = await post(GuardedHttp(TEST, resolve=names), url)
    assert outcome.refused
    assert outcome.failure is not None
    assert outcome.failure.startswith("refused: Send ")
    assert (outcome.status, outcome.address, names.asked, connects) == (None, None, [], [])


@pytest.mark.parametrize("address", FORBIDDEN)
async def test_no_packet_where_a_name_leads_to_a_forbidden_address(address: str, connects: list[Any]) -> None:
    outcome = await post(GuardedHttp(TEST, resolve=Names([address])))
    assert outcome.refused
    assert outcome.failure is not None
    assert outcome.failure.startswith("refused: address ")
    assert connects == []


@pytest.mark.parametrize("address", FORBIDDEN)
async def test_no_packet_where_only_one_of_the_addresses_is_forbidden(address: str, connects: list[Any]) -> None:
    for answer in ([PUBLIC, address], [address, PUBLIC], [PUBLIC, PUBLIC_6, "1.1.1.1", "9.9.9.9", "1.0.0.1", address]):
        outcome = await post(GuardedHttp(TEST, resolve=Names(answer)))
        assert outcome.refused
    assert connects == []


@pytest.mark.parametrize("address", FORBIDDEN)
async def test_a_name_that_turns_forbidden_between_tries_is_not_called_again(address: str) -> None:
    async with receiving() as receiver:
        internet, names = receiver.internet, Names([PUBLIC], [address])
        http = GuardedHttp(TEST, resolve=names, network=internet)
        assert (await post(http)).status == 200
        assert (await post(http)).refused
    assert internet.called == [PUBLIC]
    assert len(names.asked) == 2


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_an_answer_like_any_other(status: int) -> None:
    answer = f"HTTP/1.1 {status} Go\r\nLocation: http://other.example/\r\nContent-Length: 0\r\n\r\n".encode()
    async with receiving(answer) as receiver:
        internet, names = receiver.internet, Names([PUBLIC])
        outcome = await post(GuardedHttp(TEST, resolve=names, network=internet))
    assert (outcome.status, internet.called, len(names.asked)) == (status, [PUBLIC], 1)


@pytest.mark.parametrize("url", [in_url(text) for text in FORBIDDEN])
async def test_a_redirect_to_a_forbidden_address_is_not_followed(url: str) -> None:
    answer = f"HTTP/1.1 302 Go\r\nLocation: {url}\r\nContent-Length: 0\r\n\r\n".encode()
    async with receiving(answer) as receiver:
        internet, names = receiver.internet, Names([PUBLIC])
        outcome = await post(GuardedHttp(TEST, resolve=names, network=internet))
    assert (outcome.status, internet.called, len(names.asked)) == (302, [PUBLIC], 1)


async def test_a_listening_server_on_this_machine_hears_nothing() -> None:
    async with receiving() as receiver:
        for host in ("127.0.0.1", "127.1", "2130706433", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0"):
            assert (await post(GuardedHttp(TEST), f"http://{host}:{receiver.port}/")).refused
        http = GuardedHttp(TEST, resolve=Names(["127.0.0.1"]))
        assert (await post(http, f"http://shop.example:{receiver.port}/")).refused
        assert receiver.connections == 0


async def test_plain_http_is_refused_in_live_at_every_try(connects: list[Any]) -> None:
    outcome = await post(GuardedHttp(CallbackPolicy(is_live=True), resolve=Names([PUBLIC])))
    assert outcome.refused
    assert connects == []


@pytest.mark.parametrize("allowed", ["192.168.1.0/24", "0.0.0.0/0"])
async def test_a_receiver_in_an_allowed_network_is_called(allowed: str) -> None:
    policy = CallbackPolicy(is_live=False, allowed=(ip_network(allowed),))
    async with receiving() as receiver:
        for url in ("http://192.168.1.20:8080/", "http://kasir.lan:8080/"):
            http = GuardedHttp(policy, resolve=Names(["192.168.1.20"]), network=receiver.internet)
            assert (await post(http, url)).status == 200


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "0.0.0.0", "224.0.0.1", "100.100.100.200"])
async def test_an_allowed_network_opens_no_other_kind_of_address(address: str, connects: list[Any]) -> None:
    policy = CallbackPolicy(is_live=False, allowed=(ip_network("0.0.0.0/0"),))
    assert (await post(GuardedHttp(policy, resolve=Names([address])))).refused
    assert connects == []


@pytest.mark.parametrize("listens_on", ["127.0.0.1", "localhost", "0.0.0.0", "::"])
async def test_a_name_that_leads_to_ourselves_is_refused(listens_on: str) -> None:
    async with receiving() as receiver:
        own = frozenset({(listens_on, receiver.port)})
        policy = CallbackPolicy(is_live=False, allows_loopback=True, own=own)
        http = GuardedHttp(policy, resolve=Names(["127.0.0.1"]))
        outcome = await post(http, f"http://shop.example:{receiver.port}/")
        assert outcome.failure == "refused: address is this service's own"
        assert receiver.connections == 0


async def test_listening_on_all_addresses_is_noticed_and_the_neighbours_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bound: list[str] = []

    def bind(self: socket.socket, address: tuple[str, int]) -> None:
        bound.append(address[0])
        if address[0] != "192.168.1.5":
            raise OSError("not ours")

    policy = CallbackPolicy(is_live=False, allowed=(ip_network("192.168.1.0/24"),), own=frozenset({("0.0.0.0", 8000)}))
    async with receiving() as receiver:
        internet = receiver.internet
        monkeypatch.setattr("qrisd.net.guarded.socket.socket.bind", bind, raising=False)
        assert (await post(GuardedHttp(policy, network=internet), "http://192.168.1.5:8000/")).refused
        assert (await post(GuardedHttp(policy, network=internet), "http://192.168.1.6:8000/")).status == 200
        assert (await post(GuardedHttp(policy, network=internet), "http://192.168.1.5:8001/")).status == 200
        monkeypatch.undo()
    assert bound == ["192.168.1.5", "192.168.1.6"]


# Names


class Failing:
    def __init__(self, error: Exception) -> None:
        self._error = error

    async def __call__(self, host: str, port: int) -> list[str]:
        raise self._error


@pytest.mark.parametrize("resolve", [Failing(socket.gaierror(-2, "no")), Names([]), Names(["shop.example"])])
async def test_a_name_that_leads_nowhere_is_a_failure(resolve: Names | Failing, connects: list[Any]) -> None:
    outcome = await post(GuardedHttp(TEST, resolve=resolve))
    assert (outcome.failure, outcome.refused) == ("dns: host not found", False)
    assert connects == []


async def test_a_name_server_that_hangs_is_a_failure_in_time() -> None:
    async def hang(host: str, port: int) -> list[str]:
        await asyncio.sleep(60)
        return []

    outcome = await post(GuardedHttp(TEST, resolve=hang, total_s=0.3))
    assert outcome.failure == "dns: no answer in time"


async def test_the_next_address_is_tried_when_one_is_dead() -> None:
    async with receiving() as receiver:
        dead = [PUBLIC_6, "2606:4700::2", "2606:4700::3"]
        internet = Internet(receiver.port, dead)
        http = GuardedHttp(TEST, resolve=Names([*dead, PUBLIC, "1.1.1.1"]), network=internet)
        outcome = await post(http)
    assert (outcome.status, outcome.address, internet.called) == (200, PUBLIC, [PUBLIC_6, PUBLIC])


async def test_not_every_one_of_many_dead_addresses_is_tried() -> None:
    dead = [f"8.8.8.{number}" for number in range(1, 200)]
    internet = Internet(1, dead)
    outcome = await post(GuardedHttp(TEST, resolve=Names(dead), network=internet))
    assert (outcome.failure, len(internet.called)) == ("connect: no way to the server", 4)


async def test_a_closed_port_is_a_failure() -> None:
    async with receiving() as receiver:
        pass
    assert (await post(GuardedHttp(DEVELOPING), local(receiver))).failure == "connect: the server refuses connections"


# TLS


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def trusting(authority: Authority, receiver: Receiver, **more: Any) -> GuardedHttp:
    context = ssl.create_default_context(cafile=str(authority.file))
    live = CallbackPolicy(is_live=True)
    return GuardedHttp(live, resolve=Names([PUBLIC]), network=receiver.internet, ssl_context=context, **more)


async def test_a_good_certificate_for_the_name_in_the_url_is_taken(authority: Authority) -> None:
    tls = authority.server("shop.example")
    asked: list[str | None] = []
    tls.sni_callback = lambda _socket, name, _context: asked.append(name)
    async with receiving(tls=tls) as receiver:
        outcome = await post(trusting(authority, receiver), "https://shop.example/hooks")
    assert (outcome.status, outcome.excerpt, asked) == (200, "fine", ["shop.example"])


@pytest.mark.parametrize(
    ("host", "lasts", "reason"),
    [
        ("shop.example", timedelta(hours=-1), "tls: certificate has expired"),
        ("other.example", timedelta(hours=1), "tls: Hostname mismatch, certificate is not valid for 'shop.example'."),
        (PUBLIC, timedelta(hours=1), "tls: Hostname mismatch, certificate is not valid for 'shop.example'."),
    ],
)
async def test_a_wrong_certificate_is_a_failure_with_its_reason(
    authority: Authority, host: str, lasts: timedelta, reason: str
) -> None:
    async with receiving(tls=authority.server(host, lasts=lasts)) as receiver:
        outcome = await post(trusting(authority, receiver), "https://shop.example/hooks")
    assert (outcome.status, outcome.failure, outcome.refused) == (None, reason, False)
    assert receiver.requests == []


async def test_an_authority_nobody_knows_is_not_trusted_by_default(authority: Authority) -> None:
    async with receiving(tls=authority.server("shop.example")) as receiver:
        http = GuardedHttp(CallbackPolicy(is_live=True), resolve=Names([PUBLIC]), network=receiver.internet)
        outcome = await post(http, "https://shop.example/hooks")
    assert outcome.failure == "tls: unable to get local issuer certificate"
    assert receiver.requests == []


async def test_a_server_without_tls_is_a_failure_and_never_spoken_to_in_the_clear(authority: Authority) -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(1000))
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    heard: list[bytes] = []
    server = await asyncio.start_server(plain, "127.0.0.1", 0)
    receiver = Receiver(_always(OK))
    receiver.port = server.sockets[0].getsockname()[1]
    outcome = await post(trusting(authority, receiver), "https://shop.example/hooks")
    server.close()
    assert outcome.failure == "tls: wrong version number"
    assert not any(b"POST" in data for data in heard)


@pytest.mark.parametrize(
    ("at_once", "reason"), [(True, "tls: the connection broke"), (False, "timeout: no TLS handshake in time")]
)
async def test_a_handshake_that_breaks_or_hangs_is_a_failure(authority: Authority, at_once: bool, reason: str) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not at_once:
            await reader.read()
            await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    receiver = Receiver(_always(OK))
    receiver.port = server.sockets[0].getsockname()[1]
    outcome = await post(trusting(authority, receiver, total_s=0.6), "https://shop.example/hooks")
    server.close()
    assert outcome.failure is not None
    assert outcome.failure.startswith(reason)


# Bounds


def endless(start: bytes, piece: bytes, pause_s: float = 0.0) -> Handler:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        while True:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause_s)

    return handle


@pytest.mark.parametrize(
    "start",
    [
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFF\r\n",
    ],
)
async def test_an_endless_body_is_cut_and_its_status_counts(start: bytes) -> None:
    async with receiving(endless(start, b"x" * 100_000)) as receiver:
        internet = receiver.internet
        outcome = await post(GuardedHttp(TEST, resolve=Names([PUBLIC]), network=internet))
    assert (outcome.status, outcome.failure, outcome.excerpt) == (200, None, "x" * 2_048)
    assert internet.read_bytes <= MAX_ANSWER_BYTES


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"X-Header: " + b"x" * 1_000 + b"\r\n"),
        (b"HTTP/1.1 200 OK\r\nX-Header: ", b"x" * 10_000),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
    ],
)
async def test_endless_headers_are_a_failure(start: bytes, piece: bytes) -> None:
    async with receiving(endless(start, piece)) as receiver:
        internet = receiver.internet
        outcome = await post(GuardedHttp(TEST, resolve=Names([PUBLIC]), network=internet))
    assert (outcome.status, outcome.failure) == (None, "answer: its headers are longer than 65536 bytes")
    assert internet.read_bytes <= MAX_ANSWER_BYTES


async def test_a_dripping_body_ends_in_time_and_its_status_counts() -> None:
    async with receiving(endless(b"HTTP/1.1 200 OK\r\n\r\n", b"x", 0.02)) as receiver:
        begun = time.monotonic()
        outcome = await post(GuardedHttp(DEVELOPING, total_s=0.5), local(receiver))
    assert (outcome.status, outcome.failure) == (200, None)
    assert outcome.excerpt.startswith("xxx")
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 200 OK\r\nX-Slow: "])
async def test_silence_and_dripping_headers_are_a_timeout(start: bytes) -> None:
    async with receiving(endless(start, b"x" if start else b"", 0.02)) as receiver:
        begun = time.monotonic()
        outcome = await post(GuardedHttp(DEVELOPING, total_s=0.5), local(receiver))
    assert (outcome.status, outcome.failure) == (None, "timeout: no answer within 0.5 seconds")
    assert outcome.latency_ms >= 450
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (b"", "answer: it is not HTTP, or ended before its headers did"),
        (b"HTTP/1.1 200 OK\r\nContent-", "answer: it is not HTTP, or ended before its headers did"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "answer: it is not HTTP, or ended before its headers did"),
        (b"\x00" * 1_000, "answer: it is not HTTP, or ended before its headers did"),
        (b"HTTP/1.1 99999 No\r\n\r\n", "answer: it is not HTTP, or ended before its headers did"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "answer: it is not HTTP"),
    ],
)
async def test_no_readable_answer_is_a_failure(answer: bytes, failure: str) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        writer.close()

    async with receiving(handle) as receiver:
        outcome = await post(GuardedHttp(DEVELOPING), local(receiver))
    assert outcome.status is None
    assert outcome.failure is not None
    assert outcome.failure.startswith(failure)


async def test_a_reset_before_the_answer_is_a_failure() -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        one = writer.get_extra_info("socket")
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        writer.transport.abort()

    async with receiving(handle) as receiver:
        outcome = await post(GuardedHttp(DEVELOPING), local(receiver))
    assert outcome.status is None
    assert outcome.failure is not None
    assert outcome.failure.startswith("answer: ")


async def test_a_body_that_is_cut_short_keeps_its_status() -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        writer.close()

    async with receiving(handle) as receiver:
        outcome = await post(GuardedHttp(DEVELOPING), local(receiver))
    assert (outcome.status, outcome.excerpt, outcome.failure) == (200, "half", None)


async def test_one_that_hangs_does_not_hold_up_the_others() -> None:
    async with receiving(endless(b"", b"", 0.05)) as slow, receiving() as fast:
        http = GuardedHttp(DEVELOPING, total_s=2)
        hanging = [asyncio.create_task(post(http, local(slow))) for _ in range(100)]
        async with asyncio.timeout(1.5):
            answers = [await post(http, local(fast)) for _ in range(10)]
        assert {one.status for one in answers} == {200}
        assert {(await one).failure for one in hanging} == {"timeout: no answer within 2 seconds"}


async def test_a_try_that_is_stopped_leaves_no_connection_behind(authority: Authority) -> None:
    ended = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while await reader.read(1_000):
                begun.set()
        writer.close()
        ended.set()

    begun = asyncio.Event()
    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    receiver = Receiver(_always(OK))
    receiver.port = server.sockets[0].getsockname()[1]
    trying = asyncio.create_task(post(trusting(authority, receiver), "https://shop.example/hooks"))
    async with asyncio.timeout(5):
        await begun.wait()
        trying.cancel()
        with pytest.raises(asyncio.CancelledError):
            await trying
        await ended.wait()
    server.close()
