import asyncio
import gzip
import socket
import ssl
import subprocess
import time
import tracemalloc
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from qrisd.domain.errors import ProviderUncertain, ProviderUnreachable
from qrisd.providers.http import Answer, ProviderHttp, json_object, parse_object
from tests.fakes.script import Fault, Script
from tests.fakes.server import LoopbackServer, Reply, Request
from tests.fakes.wire import spoiled


class Provider:
    def __init__(self) -> None:
        self.script = Script()
        self.reply = Reply.json(200, {"fine": True})
        self.requests: list[Request] = []
        self.arrived = asyncio.Event()
        self.server = LoopbackServer(self.handle)

    async def handle(self, request: Request) -> Reply:
        self.requests.append(request)
        self.arrived.set()
        step = self.script.take("call")
        return spoiled(step.reply or self.reply, step.fault, step.seconds)


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    fake = Provider()
    await fake.server.start()
    yield fake
    await fake.server.stop()


@pytest.fixture
async def http() -> AsyncIterator[ProviderHttp]:
    client = ProviderHttp()
    yield client
    await client.aclose()


async def call(http: ProviderHttp, url: str, timeout_s: float = 5.0, max_bytes: int = 1_000_000) -> Answer:
    return await http.request("shop-bank", "GET", url, headers={}, timeout_s=timeout_s, max_bytes=max_bytes)


async def test_an_answer_has_status_lower_case_headers_and_body(http: ProviderHttp, provider: Provider) -> None:
    provider.reply = Reply(418, b"short and stout", {"X-Kind": "Teapot"})
    answer = await call(http, f"{provider.server.url}/pot")
    assert (answer.status, answer.headers["x-kind"], answer.body) == (418, "Teapot", b"short and stout")


async def test_method_headers_and_content_arrive(http: ProviderHttp, provider: Provider) -> None:
    await http.request(
        "shop-bank", "POST", f"{provider.server.url}/charge", headers={"X-A": "1"}, content=b"{}", timeout_s=5
    )
    sent = provider.requests[0]
    assert (sent.method, sent.path, sent.headers["x-a"], sent.body) == ("POST", "/charge", "1", b"{}")


async def test_connections_are_used_again(http: ProviderHttp, provider: Provider) -> None:
    for _ in range(5):
        await call(http, provider.server.url)
    assert provider.server.connections == 1


async def test_cookies_are_not_kept(http: ProviderHttp, provider: Provider) -> None:
    provider.reply = Reply(200, b"{}", {"Set-Cookie": "a=b"})
    await call(http, provider.server.url)
    await call(http, provider.server.url)
    assert "cookie" not in provider.requests[1].headers


async def test_proxies_from_the_environment_are_ignored(
    http: ProviderHttp, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    client = ProviderHttp()
    assert (await call(client, provider.server.url)).status == 200
    await client.aclose()


async def test_redirects_are_not_followed(http: ProviderHttp, provider: Provider) -> None:
    provider.reply = Reply(302, b"", {"Location": f"{provider.server.url}/elsewhere"})
    assert (await call(http, provider.server.url)).status == 302
    assert len(provider.requests) == 1


@pytest.mark.parametrize(
    ("url", "phrase"),
    [
        ("http://127.0.0.1:1", "refuses connections"),
        ("ftp://127.0.0.1", "not an http or https address"),
        ("http://127.0.0.1:port", "cannot be sent"),
    ],
)
async def test_nothing_sent_is_unreachable(http: ProviderHttp, url: str, phrase: str) -> None:
    with pytest.raises(ProviderUnreachable, match=phrase) as raised:
        await call(http, url)
    assert raised.value.provider == "shop-bank"


async def test_a_name_that_is_not_found_is_unreachable() -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no") from socket.gaierror(-2, "Name or service not known")

    with pytest.raises(ProviderUnreachable, match="host name was not found"):
        await call(ProviderHttp(lambda: httpx.MockTransport(fail)), "http://bank.example")


async def test_a_header_that_cannot_be_sent_is_unreachable_and_not_shown(http: ProviderHttp) -> None:
    with pytest.raises(ProviderUnreachable) as raised:
        await http.request("b", "GET", "http://127.0.0.1:1", headers={"X-Key": "kunci-é"}, timeout_s=1)
    assert "kunci" not in str(raised.value)


async def test_a_credential_in_the_address_is_never_shown(http: ProviderHttp) -> None:
    with pytest.raises(ProviderUnreachable) as raised:
        await call(http, "http://user:hunter2@127.0.0.1:1/path?token=hunter2")
    assert "hunter2" not in str(raised.value)


async def test_a_full_pool_is_unreachable(provider: Provider) -> None:
    http = ProviderHttp(lambda: httpx.AsyncHTTPTransport(limits=httpx.Limits(max_connections=1)))
    provider.script.next("call", Fault.TIMEOUT)
    hanging = asyncio.create_task(call(http, provider.server.url, timeout_s=3))
    async with asyncio.timeout(5):
        await provider.arrived.wait()
    with pytest.raises(ProviderUnreachable, match="waiting already"):
        await call(http, provider.server.url, timeout_s=0.3)
    hanging.cancel()
    await asyncio.gather(hanging, return_exceptions=True)
    await http.aclose()


async def test_a_host_that_does_not_speak_tls_is_unreachable(http: ProviderHttp) -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(plain, "127.0.0.1", 0)
    with pytest.raises(ProviderUnreachable, match="does not speak TLS"):
        await call(http, f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    server.close()
    await server.wait_closed()


async def test_a_self_signed_certificate_is_unreachable(http: ProviderHttp, tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*self_signed(tmp_path))
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    with pytest.raises(ProviderUnreachable, match="certificate was not accepted"):
        await call(http, f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    server.close()
    await server.wait_closed()


def self_signed(folder: Path) -> tuple[Path, Path]:
    key, certificate = folder / "key.pem", folder / "cert.pem"
    what = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "1", "-nodes"]
    where = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", *what, *where], check=True, capture_output=True)
    return certificate, key


@pytest.mark.parametrize(
    "fault", [Fault.DROP_AFTER_EFFECT, Fault.CUT_BODY, Fault.HUGE, Fault.GZIP_BOMB, Fault.TIMEOUT, Fault.DRIP]
)
async def test_whatever_breaks_after_sending_is_uncertain(http: ProviderHttp, provider: Provider, fault: Fault) -> None:
    provider.script.next("call", fault, seconds=0.2)
    with pytest.raises(ProviderUncertain) as raised:
        await call(http, provider.server.url, timeout_s=1.0)
    assert raised.value.provider == "shop-bank"


async def test_a_drip_ends_at_the_total_deadline(http: ProviderHttp, provider: Provider) -> None:
    provider.reply = Reply(200, b"x" * 1000)
    provider.script.next("call", Fault.DRIP, seconds=0.05)
    begun = time.monotonic()
    with pytest.raises(ProviderUncertain, match=r"within 0.5 seconds"):
        await call(http, provider.server.url, timeout_s=0.5)
    assert time.monotonic() - begun < 5


async def test_a_bomb_does_not_fill_the_memory(http: ProviderHttp) -> None:
    bomb = gzip.compress(bytes(50_000_000))

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-encoding": "gzip"}, stream=httpx.ByteStream(bomb))

    client = ProviderHttp(lambda: httpx.MockTransport(answer))
    tracemalloc.start()
    with pytest.raises(ProviderUncertain, match="larger than 1000000 bytes"):
        await call(client, "http://127.0.0.1")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000


@pytest.mark.parametrize(
    ("encoding", "pack"), [("gzip", gzip.compress), ("x-gzip", gzip.compress), ("deflate", zlib.compress)]
)
async def test_packed_answers_are_unpacked(http: ProviderHttp, provider: Provider, encoding: str, pack: object) -> None:
    assert callable(pack)
    provider.reply = Reply(200, pack(b'{"a": 1}'), {"Content-Encoding": encoding})
    assert json_object("b", await call(http, provider.server.url)) == {"a": 1}


@pytest.mark.parametrize(
    ("encoding", "body"),
    [("br", b"abc"), ("gzip, gzip", b"abc"), ("gzip", b"not gzip"), ("gzip", gzip.compress(b"cut", mtime=0)[:-6])],
)
async def test_answers_that_cannot_be_unpacked_are_uncertain(
    http: ProviderHttp, provider: Provider, encoding: str, body: bytes
) -> None:
    provider.reply = Reply(200, body, {"Content-Encoding": encoding})
    with pytest.raises(ProviderUncertain, match="but its answer"):
        await call(http, provider.server.url)


async def test_max_bytes_is_allowed_and_one_more_is_not(http: ProviderHttp, provider: Provider) -> None:
    provider.reply = Reply(200, b"x" * 100)
    assert len((await call(http, provider.server.url, max_bytes=100)).body) == 100
    with pytest.raises(ProviderUncertain, match="larger than 99 bytes"):
        await call(http, provider.server.url, max_bytes=99)


async def test_an_answer_that_is_not_http_is_uncertain(http: ProviderHttp) -> None:
    async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"SSH-2.0-OpenSSH\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(garbage, "127.0.0.1", 0)
    with pytest.raises(ProviderUncertain):
        await call(http, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    server.close()
    await server.wait_closed()


async def test_the_pool_survives_a_hundred_broken_calls(provider: Provider) -> None:
    http = ProviderHttp()
    for fault in (Fault.TIMEOUT, Fault.HUGE, Fault.DROP_AFTER_EFFECT, Fault.CUT_BODY):
        provider.script.next("call", fault, times=25)
        outcomes = await asyncio.gather(
            *(call(http, provider.server.url, timeout_s=2.0) for _ in range(25)), return_exceptions=True
        )
        # A busy machine may take a connection too late to have sent anything.
        assert {type(outcome) for outcome in outcomes} <= {ProviderUncertain, ProviderUnreachable}
    assert (await call(http, provider.server.url)).status == 200
    await http.aclose()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>sorry</html>",
        b'{"a": 1',
        b"[]",
        b'"text"',
        b"null",
        b'{"amount": NaN}',
        b'{"amount": -Infinity}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"a": "\xff"}',
        b'{"a": "\\ud800"}',
        b'{"a": ' + b"9" * 5000 + b"}",
    ],
)
async def test_anything_but_a_json_object_is_uncertain(body: bytes) -> None:
    with pytest.raises(ProviderUncertain, match="not with a JSON object"):
        json_object("b", Answer(200, {}, body))


def test_numbers_with_a_point_stay_text() -> None:
    assert parse_object(b'\xef\xbb\xbf{"a": 962000.01, "b": 3, "c": 1e400}') == {"a": "962000.01", "b": 3, "c": "1e400"}
