"""The one way out to a provider: one request, one bounded answer, and failures as `domain.errors` names them.

Requests go straight to the transport, below httpx's client: so there are no redirects, cookies, proxies from the
environment or automatic decompression to switch off.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx

from qrisd.domain.errors import ProviderUncertain, ProviderUnreachable

# Waiting for a free connection, TCP and TLS may take this share of the deadline each. Together that is less than all of
# it: whoever runs into the deadline itself has sent something.
_CONNECT_SHARE: Final = 0.3
_LIMITS: Final = httpx.Limits(max_connections=50, max_keepalive_connections=10, keepalive_expiry=5.0)
_ZLIB_OR_GZIP: Final = 47

_NEVER_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a provider answered: header names in lower case, the body unpacked."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class _Unusable(Exception):
    """An answer came but cannot be taken; the text continues "its answer"."""


def _pool() -> httpx.AsyncBaseTransport:
    return httpx.AsyncHTTPTransport(trust_env=False, limits=_LIMITS)


class ProviderHttp:
    """A bounded pool of connections for each provider, so that one that hangs does not use up the connections of the
    others; TLS is always verified. `transport` makes a pool."""

    def __init__(self, transport: Callable[[], httpx.AsyncBaseTransport] = _pool) -> None:
        self._transport = transport
        self._pools: dict[str, httpx.AsyncBaseTransport] = {}

    async def aclose(self) -> None:
        """Close every connection; the object is not used afterwards."""
        for pool in self._pools.values():
            await pool.aclose()

    async def request(
        self,
        provider: str,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        content: bytes | None = None,
        timeout_s: float,
        max_bytes: int = 1_000_000,
    ) -> Answer:
        """Send one request and read its answer, whatever its status, within `timeout_s` seconds in all.

        Raises ProviderUnreachable when nothing was sent, ProviderUncertain when something may have arrived: no answer
        in time, a broken connection, more than `max_bytes` (packed or unpacked)."""
        request = _build(provider, method, url, headers, content, timeout_s)
        try:
            async with asyncio.timeout(timeout_s):
                return await self._exchange(provider, request, max_bytes)
        except _NEVER_SENT as error:
            raise ProviderUnreachable(
                provider, f"{provider} could not be reached: {_why(error)}. Nothing was sent."
            ) from error
        except (TimeoutError, httpx.TimeoutException) as error:
            raise ProviderUncertain(provider, f"{provider} did not answer within {timeout_s:g} seconds.") from error
        except _Unusable as error:
            raise ProviderUncertain(provider, f"{provider} answered, but its answer {error}.") from error
        except (httpx.HTTPError, OSError) as error:
            raise ProviderUncertain(provider, f"{provider} broke off before its answer was complete.") from error

    async def _exchange(self, provider: str, request: httpx.Request, max_bytes: int) -> Answer:
        if provider not in self._pools:
            self._pools[provider] = self._transport()
        response = await self._pools[provider].handle_async_request(request)
        try:
            body = await _read(response, max_bytes)
        finally:
            await response.aclose()
        return Answer(response.status_code, {name.lower(): value for name, value in response.headers.items()}, body)


def _build(
    provider: str, method: str, url: str, headers: Mapping[str, str], content: bytes | None, timeout_s: float
) -> httpx.Request:
    connect_s = timeout_s * _CONNECT_SHARE
    timeout = httpx.Timeout(timeout_s, connect=connect_s, pool=connect_s)
    try:
        return httpx.Request(
            method,
            url,
            headers={"user-agent": "qrisd", "accept-encoding": "identity", **headers},
            content=content,
            extensions={"timeout": timeout.as_dict()},
        )
    except (httpx.InvalidURL, ValueError) as error:
        raise ProviderUnreachable(
            provider, f"{provider}: its base_url or a credential holds characters that cannot be sent."
        ) from error


async def _read(response: httpx.Response, max_bytes: int) -> bytes:
    """The body, unpacked piece by piece so that neither a long answer nor a small bomb fills the memory."""
    unpack = _unpacker(response.headers.get("content-encoding", "identity"))
    body = bytearray()
    received = 0
    assert isinstance(response.stream, httpx.AsyncByteStream)
    async for chunk in response.stream:
        received += len(chunk)
        body += _unpacked(unpack, chunk, max_bytes + 1 - len(body)) if unpack else chunk
        if max(received, len(body)) > max_bytes:
            raise _Unusable(f"is larger than {max_bytes} bytes")
    if unpack and received and not unpack.eof:
        raise _Unusable("is cut short")
    return bytes(body)


def _unpacker(encoding: str) -> zlib._Decompress | None:
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return None
    if name in ("gzip", "x-gzip", "deflate"):
        return zlib.decompressobj(wbits=_ZLIB_OR_GZIP)
    raise _Unusable("is packed in a way that was not asked for")


def _unpacked(unpack: zlib._Decompress, chunk: bytes, max_bytes: int) -> bytes:
    try:
        return unpack.decompress(chunk, max_bytes)
    except zlib.error as error:
        raise _Unusable("cannot be unpacked") from error


def _why(error: Exception) -> str:
    """One phrase for why no connection came about."""
    if isinstance(error, httpx.UnsupportedProtocol):
        return "its base_url is not an http or https address"
    if isinstance(error, httpx.PoolTimeout):
        return "too many calls to it are waiting already"
    if isinstance(error, httpx.ConnectTimeout):
        return "it took no connection in time"
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its TLS certificate was not accepted ({cause.verify_message})"
        if isinstance(cause, ssl.SSLError):
            return "it does not speak TLS at this address"
        if isinstance(cause, socket.gaierror):
            return "its host name was not found"
        if isinstance(cause, ConnectionRefusedError):
            return "it refuses connections"
    return "no connection came about"


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        if isinstance(cause, BaseExceptionGroup):
            yield from cause.exceptions
        cause = cause.__cause__ or cause.__context__


def retry_after_s(answer: Answer) -> float | None:
    """The seconds of a Retry-After header; None when there is none we can read."""
    text = answer.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() and len(text) < 6 else None


def json_object(provider: str, answer: Answer) -> dict[str, Any]:
    """The answer's body as a JSON object, see `parse_object`. Raises ProviderUncertain when it is anything else."""
    try:
        return parse_object(answer.body)
    except ValueError as error:
        raise ProviderUncertain(
            provider, f"{provider} answered HTTP {answer.status}, but not with a JSON object."
        ) from error


def parse_object(body: bytes) -> dict[str, Any]:
    """The UTF-8 bytes of a JSON object; numbers with a point stay text, so that no amount becomes a float.

    Raises ValueError for anything else: not JSON, too deeply nested, NaN, Infinity, or text that cannot be stored."""
    try:
        data = json.loads(body.decode("utf-8-sig"), parse_float=str, parse_constant=_refuse_constant)
        json.dumps(data, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(data, dict):
        raise ValueError("not a JSON object")
    return data


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
