"""One POST to a server that somebody else named: to public addresses only, without trust, within bounds.

Every POST looks the name up once, judges every address of the answer, connects to one of those and nowhere else, and
closes the connection at the end. Redirects are not followed; there are no proxies, no cookies and no unpacking.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest
from typing import Any, Final

import httpcore

from qrisd.domain.callback_url import (
    Address,
    CallbackPolicy,
    CallbackUrl,
    is_own,
    literal,
    read_callback_url,
)
from qrisd.net.resolver import SystemResolver

TOTAL_S: Final = 15.0
# The look-up, TCP and TLS may take this share of the total each.
_SHARE: Final = 0.3
MAX_ANSWER_BYTES: Final = 65_536
_EXCERPT_BYTES: Final = 2_048
_MOST_ADDRESSES_TRIED: Final = 4
_MAX_RETRY_AFTER_LENGTH: Final = 100

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a POST. `status` is set as soon as the answer's headers have come, whatever becomes of its body, of
    which `excerpt` is the beginning; `retry_after` is that header as it came. Without an answer `status` is None and
    `failure` says why; `refused` when it was our own rules that kept anything from being sent. `address` is the one
    connected to."""

    latency_ms: int
    status: int | None = None
    retry_after: str | None = None
    excerpt: str = ""
    address: str | None = None
    failure: str | None = None
    refused: bool = False


class _Failed(Exception):
    """No answer; the text is the reason."""


class _Refused(_Failed):
    """Our own rules say no."""


class _TooLong(Exception):
    """More has come than is read."""


# Nothing else can come out of an exchange: ValueError is a header that cannot be sent.
_TROUBLE: Final = (
    _Failed,
    _TooLong,
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    OSError,
    ValueError,
)


class _Answer:
    """What has come so far, so that it is kept when the rest goes wrong."""

    def __init__(self) -> None:
        self.status: int | None = None
        self.retry_after: str | None = None
        self._body = bytearray()

    async def read(self, response: httpcore.Response) -> None:
        found = (value.decode("latin-1") for name, value in response.headers if name.lower() == b"retry-after")
        self.retry_after = next(found, "")[:_MAX_RETRY_AFTER_LENGTH] or None
        self.status = response.status
        async for chunk in response.aiter_stream():
            self._body += chunk[: _EXCERPT_BYTES - len(self._body)]

    @property
    def excerpt(self) -> str:
        text = self._body.decode("utf-8", "replace")
        return "".join(char if char.isprintable() or char in "\n\t" else "\ufffd" for char in text)


class GuardedHttp:
    """Sends POSTs as `policy` allows. `resolve` answers a host and port with addresses or raises OSError; `network`
    makes the connections, to addresses that were judged; the whole exchange ends after `total_s` seconds."""

    def __init__(
        self,
        policy: CallbackPolicy,
        *,
        resolve: Resolve | None = None,
        ssl_context: ssl.SSLContext | None = None,
        network: httpcore.AsyncNetworkBackend | None = None,
        total_s: float = TOTAL_S,
    ) -> None:
        self._policy = policy
        self._resolve = resolve or SystemResolver()
        self._given_ssl_context = ssl_context
        self._network = network or httpcore.AnyIOBackend()
        self._total_s = total_s

    async def post(self, url: str, headers: Mapping[str, str], content: bytes) -> Outcome:
        """Send `content` once and read the beginning of the answer. Raises nothing: the Outcome says what failed."""
        begun = time.monotonic()
        answer = _Answer()
        network = _JudgedNetwork(self._policy, self._resolve, self._network, self._total_s * _SHARE)
        failure, refused = None, False
        try:
            async with asyncio.timeout(self._total_s):
                await self._exchange(network, url, headers, content, answer)
        except _TROUBLE as error:
            refused = isinstance(error, _Refused)
            failure = None if answer.status is not None else self._why(error)
        finally:
            await network.aclose()
        return Outcome(
            latency_ms=round((time.monotonic() - begun) * 1000),
            status=answer.status,
            retry_after=answer.retry_after,
            excerpt=answer.excerpt,
            address=network.connected_to,
            failure=failure,
            refused=refused,
        )

    async def _exchange(
        self, network: _JudgedNetwork, url: str, headers: Mapping[str, str], content: bytes, answer: _Answer
    ) -> None:
        if problem := self._policy.problem(url):
            raise _Refused(problem)
        parts = read_callback_url(url)
        where = _httpcore_url(parts)
        context = self._ssl_context if parts.scheme == "https" else None
        fixed = {"Host": parts.authority, "User-Agent": "qrisd", "Accept-Encoding": "identity", "Connection": "close"}
        connection = httpcore.AsyncHTTPConnection(where.origin, ssl_context=context, network_backend=network)
        timeout = {"connect": self._total_s * _SHARE}
        lines = [(name.encode("ascii"), value.encode("ascii")) for name, value in (*fixed.items(), *headers.items())]
        async with (
            connection,
            connection.stream(
                "POST", where, headers=lines, content=content, extensions={"timeout": timeout}
            ) as response,
        ):
            await answer.read(response)

    @cached_property
    def _ssl_context(self) -> ssl.SSLContext:
        return self._given_ssl_context or httpcore.default_ssl_context()

    def _why(self, error: Exception) -> str:
        """One line for why no answer came."""
        match error:
            case _Refused():
                return f"refused: {error}"
            case _Failed():
                return str(error)
            case _TooLong():
                return f"answer: its headers are longer than {MAX_ANSWER_BYTES} bytes"
            case TimeoutError() | httpcore.TimeoutException():
                return f"timeout: no answer within {self._total_s:g} seconds"
            case httpcore.RemoteProtocolError():
                return "answer: it is not HTTP, or ended before its headers did"
            case httpcore.LocalProtocolError() | ValueError():
                return "request: a header holds characters that cannot be sent"
            case _:
                return "answer: the connection broke before one came"


def _httpcore_url(parts: CallbackUrl) -> httpcore.URL:
    scheme, host, target = (text.encode("ascii") for text in (parts.scheme, parts.host, parts.target))
    return httpcore.URL(scheme=scheme, host=host, port=parts.port, target=target)


class _JudgedNetwork(httpcore.AsyncNetworkBackend):
    """Makes the one connection of one exchange, over the `network` below it, to an address that was judged."""

    def __init__(
        self, policy: CallbackPolicy, resolve: Resolve, network: httpcore.AsyncNetworkBackend, each_s: float
    ) -> None:
        self._policy = policy
        self._resolve = resolve
        self._network = network
        self._each_s = each_s
        self._stream: httpcore.AsyncNetworkStream | None = None
        self.connected_to: str | None = None

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        addresses = await self._look_up(host, port)
        for address in addresses:
            self._judge(address, port)
        self._stream = await self._connect(_both_kinds_first(addresses)[:_MOST_ADDRESSES_TRIED], port)
        return _BoundedStream(self._stream, MAX_ANSWER_BYTES)

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None
    ) -> httpcore.AsyncNetworkStream:
        raise _Refused("only TCP connections are made")

    async def aclose(self) -> None:
        """Close the connection, also when it never came as far as HTTP."""
        if self._stream is not None:
            await self._stream.aclose()

    async def _look_up(self, host: str, port: int) -> list[Address]:
        address = literal(host)
        if address is not None:
            return [address]
        try:
            async with asyncio.timeout(self._each_s):
                found = [literal(text) for text in await self._resolve(host, port)]
        except TimeoutError as error:
            raise _Failed("dns: no answer in time") from error
        except OSError as error:
            raise _Failed("dns: host not found") from error
        addresses = [one for one in found if one is not None]
        if not addresses or len(addresses) < len(found):
            raise _Failed("dns: host not found")
        return addresses

    def _judge(self, address: Address, port: int) -> None:
        if reason := self._policy.forbidden(address):
            raise _Refused(f"address {reason}")
        own = self._policy.own
        if is_own(str(address), port, own) or _we_listen_everywhere(address, port, own):
            raise _Refused("address is this service's own")

    async def _connect(self, addresses: Sequence[Address], port: int) -> httpcore.AsyncNetworkStream:
        failure = _Failed("connect: failed")
        for address in addresses:
            try:
                stream = await self._network.connect_tcp(str(address), port, timeout=self._each_s / len(addresses))
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = _Failed(_why_not_connected(error))
            else:
                self.connected_to = str(address)
                return stream
        raise failure


def _both_kinds_first(addresses: Sequence[Address]) -> list[Address]:
    """The same addresses, IPv4 and IPv6 in turn: where one of the two leads nowhere, the other is soon tried."""
    kind = addresses[0].version
    same = [one for one in addresses if one.version == kind]
    other = [one for one in addresses if one.version != kind]
    return [one for pair in zip_longest(same, other) for one in pair if one is not None]


def _we_listen_everywhere(address: Address, port: int, own: Iterable[tuple[str, int]]) -> bool:
    """True when we listen on all of this machine's addresses, and `address` is one of them."""
    listening = (literal(own_host) for own_host, own_port in own if own_port == port)
    return any(one is not None and one.is_unspecified for one in listening) and _is_of_this_machine(address)


def _is_of_this_machine(address: Address) -> bool:
    try:
        with socket.socket(socket.AF_INET if address.version == 4 else socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))  # sends nothing; only an address of ours can be taken
    except OSError:
        return False
    return True


class _BoundedStream(httpcore.AsyncNetworkStream):
    """A connection from which `left` bytes can be read, headers and framing included."""

    def __init__(self, stream: httpcore.AsyncNetworkStream, left: int) -> None:
        self._stream = stream
        self._left = left

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if self._left <= 0:
            raise _TooLong
        data = await self._stream.read(min(max_bytes, self._left), timeout)
        self._left -= len(data)
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        try:
            stream = await self._stream.start_tls(ssl_context, server_hostname, timeout)
        except httpcore.ConnectTimeout as error:
            raise _Failed("timeout: no TLS handshake in time") from error
        except (httpcore.ConnectError, OSError) as error:
            raise _Failed(_why_no_tls(error)) from error
        return _BoundedStream(stream, self._left)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _why_not_connected(error: Exception) -> str:
    if isinstance(error, httpcore.ConnectTimeout):
        return "timeout: no connection in time"
    refused = any(isinstance(cause, ConnectionRefusedError) for cause in _causes(error))
    return "connect: the server refuses connections" if refused else "connect: no way to the server"


def _why_no_tls(error: Exception) -> str:
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"tls: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError):
            return f"tls: {(cause.reason or 'handshake failed').replace('_', ' ').lower()}"
    return "tls: the connection broke during the handshake"


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__
