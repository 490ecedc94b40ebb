"""A small HTTP/1.1 server on loopback, so that fake providers decide about every byte and every connection."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit


@dataclass(frozen=True, slots=True)
class Request:
    """One request as received: header names in lower case, the path decoded."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The parsed body; raises ValueError."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer. `wire` takes over the connection instead of the usual writing."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    wire: Callable[[Connection], Awaitable[None]] | None = None

    @staticmethod
    def json(status: int, body: Any) -> Reply:
        """An answer with `body` as JSON."""
        return Reply(status, json.dumps(body).encode(), {"Content-Type": "application/json"})

    def head(self, length: int | None = None) -> bytes:
        """The status line and headers, announcing `length` bytes or those of the body."""
        lines = [f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}"]
        headers = {
            "Date": formatdate(usegmt=True),
            "Content-Length": str(len(self.body) if length is None else length),
            **self.headers,
        }
        return "\r\n".join([*lines, *(f"{name}: {value}" for name, value in headers.items()), "", ""]).encode()


@dataclass(frozen=True, slots=True)
class Connection:
    """Both directions of one connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        """Write and wait until it is on its way."""
        self.writer.write(data)
        await self.writer.drain()

    def drop(self) -> None:
        """Reset the connection without a further byte."""
        self.writer.transport.abort()


Handler = Callable[[Request], Awaitable[Reply]]


class LoopbackServer:
    """Serves `handler` on 127.0.0.1 between `start()` and `stop()`, at a port of its own that it keeps."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._server: asyncio.Server | None = None
        self._port = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self.connections = 0

    @property
    def url(self) -> str:
        """The address, without a final slash."""
        assert self._port
        return f"http://127.0.0.1:{self._port}"

    async def start(self) -> None:
        """Begin to listen."""
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close every connection and stop listening."""
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await self._serve(Connection(reader, writer))
        finally:
            writer.transport.abort()
            self._tasks.discard(task)

    async def _serve(self, connection: Connection) -> None:
        while not connection.writer.transport.is_closing():
            reply = await self._handler(await _receive(connection.reader))
            if reply.wire is not None:
                await reply.wire(connection)
                return
            await connection.send(reply.head() + reply.body)


async def _receive(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    parts = urlsplit(target)
    return Request(method, unquote(parts.path), parse_qs(parts.query), headers, body)
