"""A load generator: many keep-alive connections, each sending its next request when the last is answered."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast


@dataclass(frozen=True, slots=True)
class Measured:
    """Requests per second, the median and 99th percentile in milliseconds, and how many were not answered as wanted."""

    per_second: float
    p50_ms: float
    p99_ms: float
    failed: int


class _Connection(asyncio.Protocol):
    """Answers are read by their Content-Length; 304 has no body."""

    def __init__(
        self, next_request: Callable[[], bytes], wanted: bytes, until: float, done: Callable[[], None]
    ) -> None:
        self._next_request = next_request
        self._wanted = wanted
        self._until = until
        self._done = done
        self._buffer = b""
        self._sent_at = 0.0
        self.latencies_s: list[float] = []
        self.failed = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._send()

    def _send(self) -> None:
        self._sent_at = time.perf_counter()
        self._transport.write(self._next_request())

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0 or len(self._buffer) < end + 4 + self._length(end):
            return
        now = time.perf_counter()
        self.latencies_s.append(now - self._sent_at)
        self.failed += self._buffer[9:12] != self._wanted
        self._buffer = b""
        if now < self._until:
            self._send()
        else:
            self._transport.close()

    def _length(self, end: int) -> int:
        if self._buffer[9:12] == b"304":
            return 0
        head = self._buffer[:end].lower()
        start = head.find(b"content-length: ") + 16
        return int(head[start : head.find(b"\r\n", start) if head.find(b"\r\n", start) > 0 else end])

    def connection_lost(self, error: Exception | None) -> None:
        self._done()


async def run(port: int, connections: int, seconds: float, next_request: Callable[[], bytes], wanted: int) -> Measured:
    """Load 127.0.0.1:`port` for `seconds`; every answer should have the status `wanted`."""
    loop = asyncio.get_running_loop()
    left, finished = connections, asyncio.Event()

    def one_less() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            finished.set()

    start = time.perf_counter()
    protocols = []
    for _ in range(connections):
        protocol = _Connection(next_request, str(wanted).encode(), start + seconds, one_less)
        await loop.create_connection(lambda protocol=protocol: protocol, "127.0.0.1", port)  # type: ignore[misc]
        protocols.append(protocol)
    await finished.wait()
    elapsed = time.perf_counter() - start
    latencies = sorted(latency for protocol in protocols for latency in protocol.latencies_s)
    return Measured(
        len(latencies) / elapsed,
        statistics.median(latencies) * 1000,
        latencies[int(len(latencies) * 0.99)] * 1000,
        sum(protocol.failed for protocol in protocols),
    )


def request(method: str, path: str, body: bytes = b"", **headers: str) -> bytes:
    """The bytes of an HTTP/1.1 request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
