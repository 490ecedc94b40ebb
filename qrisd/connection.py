"""One HTTP connection: uvicorn's protocol, guarded against slow, greedy and ambiguous clients."""

import asyncio
import re
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Literal

import httptools
import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from qrisd.api.middleware import new_request_id
from qrisd.api.problems import BY_CODE, document

URL_LIMIT_BYTES = 8 * 1024
HEADERS_LIMIT_BYTES = 32 * 1024
HEADERS_LIMIT = 100
# How much of a body that nobody wants is read, so that its connection can be used again.
DRAIN_LIMIT_BYTES = 256 * 1024
# How much of the next requests may arrive before the present one is answered; more than one read off a socket.
HELD_LIMIT_BYTES = 512 * 1024

END_OF_HEAD = b"\r\n\r\n"
CHUNK_SIZE_LINE = re.compile(rb"[0-9A-Fa-f]{1,8}\r\n")
CHUNK_SIZE_LINE_LIMIT_BYTES = 10

log = structlog.get_logger("qrisd.http")


@dataclass(frozen=True)
class Deadlines:
    """How long, in seconds, a connection may keep us waiting."""

    headers_s: float = 10  # from connecting, or from the first byte of a later request, to the end of its headers
    body_s: float = 20  # from the end of the headers to the end of the body
    idle_s: float = 15  # between an answer and the next request
    write_s: float = 30  # for a client that has stopped reading its answer
    linger_s: float = 2  # after a refusal, so that a client still sending can read why


class _Refused(Exception):
    """The connection is answered with this problem and closed; the application does not see the request."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


def _malformed(detail: str) -> _Refused:
    return _Refused("bad_request", detail)


class Gate:
    """Who may be connected: at most `limit` at a time, those who have not asked anything yet giving way first."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.silent: dict[GuardedProtocol, None] = {}
        self._warn_after = 0.0

    def admits(self, newcomer: "GuardedProtocol", connected: int) -> bool:
        """Lets the newcomer in, where necessary in the place of whoever has been silent longest."""
        if connected > self.limit:
            self._warn()
            eldest = next(iter(self.silent), None)
            if eldest is None:
                return False
            self.silent.pop(eldest)
            eldest.transport.abort()
        self.silent[newcomer] = None
        return True

    def _warn(self) -> None:
        if time.monotonic() > self._warn_after:
            self._warn_after = time.monotonic() + 60
            log.warning("connections_full", limit=self.limit)


class ChunkScanner:
    """Follows the framing of one chunked body, so that extensions and trailers can be refused.

    The parser behind it drops extensions silently and takes trailers for headers of the request; all else it checks.
    """

    def __init__(self) -> None:
        self._size_line = b""
        self._skip_bytes = 0
        self._ended = False

    def scan(self, data: bytes) -> int:
        """How many bytes of `data` belong to the body. Raises _Refused where a size line holds more than a size."""
        position = 0
        while position < len(data):
            skipped = min(self._skip_bytes, len(data) - position)
            self._skip_bytes -= skipped
            position += skipped
            if self._skip_bytes or self._ended:
                break
            position = self._read_size_line(data, position)
        return position

    def _read_size_line(self, data: bytes, position: int) -> int:
        limit = position + CHUNK_SIZE_LINE_LIMIT_BYTES - len(self._size_line)
        line_end = data.find(b"\n", position, limit) + 1
        stop = line_end or min(limit, len(data))
        self._size_line += data[position:stop]
        if line_end or len(self._size_line) == CHUNK_SIZE_LINE_LIMIT_BYTES:
            if not CHUNK_SIZE_LINE.fullmatch(self._size_line):
                raise _malformed("A chunk of the body has a bad size; chunk extensions are not read here.")
            size_bytes = int(self._size_line, 16)
            self._size_line = b""
            self._ended = size_bytes == 0
            self._skip_bytes = size_bytes + len(b"\r\n")
        return stop


Awaited = Literal["head", "body", "next request", "nothing"]


class GuardedProtocol(HttpToolsProtocol):
    """One connection. Takes one request at a time: what is pipelined behind it waits for its answer.

    The parser gets every byte as it comes, but never bytes beyond the request at hand, so what it holds is bounded by
    the limits on URL and headers, and by the body that the application has yet to read.
    """

    def __init__(self, *args: Any, deadlines: Deadlines, gate: Gate, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.deadlines = deadlines
        self.gate = gate
        self.access_log = False
        self._timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self._awaited: Awaited = "nothing"
        self._refusal: _Refused | None = None
        self._held = b""
        self._reading_body = False
        self._begin_head()

    def _begin_head(self) -> None:
        self._head_tail = b""
        self._head_bytes = 0
        self._content_length = 0
        self._chunks: ChunkScanner | None = None
        self._unwanted_bytes = 0

    # The life of the connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if not self.gate.admits(self, len(self.connections)):
            self._refusal = _Refused("overloaded", "Too many connections are open; try again in a moment.")
            transport.write(_refusal_bytes(self._refusal, new_request_id()))
            if len(self.connections) <= self.gate.limit * 9 // 8:
                self._linger()
            else:
                transport.close()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self.gate.silent.pop(self, None)
        for timer in (self._timer, self._write_timer):
            if timer is not None:
                timer.cancel()
        self._held = b""
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refusal is not None or self.transport.is_closing():
            return
        try:
            self._take(self._held + data if self._held else data)
        except _Refused as refusal:
            self._refuse(refusal)
        except httptools.HttpParserError:
            self._refuse(_malformed("The request is not well-formed HTTP/1.1."))
        self._watch()

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self.transport.is_closing() or self._refusal is not None:
            return
        self.flow.resume_reading()
        held, self._held = self._held, b""
        self.data_received(held)

    # Reading

    def _take(self, data: bytes) -> None:
        """Feeds the parser request by request; keeps what comes after one that has yet to be answered."""
        self._held = b""
        while data:
            if self._reading_body:
                data = self._take_body(data)
            elif self._answer_is_due():
                return self._hold(data)
            else:
                data = self._take_head(data)

    def _hold(self, data: bytes) -> None:
        if len(data) > HELD_LIMIT_BYTES:
            raise _malformed("Wait for answers before sending so many further requests.")
        self._held = data
        self.flow.pause_reading()

    def _answer_is_due(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _take_head(self, data: bytes) -> bytes:
        """Feeds the parser up to the end of the headers, or within the limits as far as they have come."""
        known = self._head_tail + data
        end = known.find(END_OF_HEAD)
        length = len(data) if end < 0 else end + len(END_OF_HEAD) - len(self._head_tail)
        head = data[: min(length, URL_LIMIT_BYTES + HEADERS_LIMIT_BYTES - self._head_bytes)]
        self._head_bytes += len(head)
        self._head_tail = (self._head_tail + head)[-3:]
        self._feed(head)
        if len(head) < length:
            raise _Refused("headers_too_large", f"Send at most {HEADERS_LIMIT_BYTES // 1024} KB of headers.")
        return data[length:]

    def _take_body(self, data: bytes) -> bytes:
        length = self._chunks.scan(data) if self._chunks is not None else min(len(data), self._content_length)
        self._content_length -= length
        if self.cycle.response_complete:
            self._unwanted_bytes += length
        self._feed(data[:length])
        if self._unwanted_bytes > DRAIN_LIMIT_BYTES:
            raise _Refused("body_too_large", "The body is too large.")
        if length < len(data) and self._reading_body:
            raise _malformed("The body does not end where its framing says.")
        return data[length:]

    def _feed(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # Nothing is upgraded here: the request is answered as if it had not asked.
        except httptools.HttpParserCallbackError as error:
            raise error.__context__ if isinstance(error.__context__, _Refused) else error from None

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        if len(self.url) > URL_LIMIT_BYTES:
            raise _Refused("uri_too_long", f"The URL is longer than {URL_LIMIT_BYTES // 1024} KB.")

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        if len(self.headers) > HEADERS_LIMIT:
            raise _Refused("headers_too_large", f"Send at most {HEADERS_LIMIT} headers.")

    def on_headers_complete(self) -> None:
        self._check_head()
        self.gate.silent.pop(self, None)
        super().on_headers_complete()
        self._reading_body = True

    def _check_head(self) -> None:
        """Refuses what RFC 9112 calls ambiguous and the parser lets pass; learns how the body is framed."""
        if self._head_bytes - len(self.url) > HEADERS_LIMIT_BYTES:
            raise _Refused("headers_too_large", f"Send at most {HEADERS_LIMIT_BYTES // 1024} KB of headers.")
        version = self.parser.get_http_version()
        if version not in ("1.1", "1.0"):
            raise _malformed("Only HTTP/1.1 and HTTP/1.0 are spoken here.")
        hosts = 0
        for name, value in self.headers:
            if name == b"host":
                hosts += 1
            elif name == b"content-length":
                self._content_length = int(value)
            elif name == b"transfer-encoding":
                if value.lower() != b"chunked" or version == "1.0":
                    raise _malformed("The only transfer encoding read here is chunked, in HTTP/1.1.")
                self._chunks = ChunkScanner()
        if self.parser.should_upgrade() and (self._chunks is not None or self._content_length):
            # The parser would not read the body, and take it for the next request.
            raise _malformed("A request that asks for an upgrade cannot have a body.")
        if hosts > 1 or (hosts == 0 and version == "1.1"):
            raise _malformed("Send exactly one Host header.")

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._reading_body = False
        self._begin_head()

    # Waiting

    def _watch(self) -> None:
        """Keeps one timer for what the client owes us now; none while we owe it an answer."""
        awaited = self._what_is_awaited()
        if awaited == self._awaited or self._refusal is not None:
            return
        self._awaited = awaited
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if awaited != "nothing":
            self._timer = self.loop.call_later(self._seconds_for(awaited), self._overdue)

    def _what_is_awaited(self) -> Awaited:
        if self._reading_body:
            return "body"
        if self._answer_is_due():
            return "nothing"
        return "head" if self._head_bytes or self.cycle is None else "next request"

    def _seconds_for(self, awaited: Awaited) -> float:
        waits = {"head": self.deadlines.headers_s, "body": self.deadlines.body_s, "next request": self.deadlines.idle_s}
        return waits[awaited]

    def _overdue(self) -> None:
        self._timer = None
        if self._awaited == "next request" or (self._awaited == "head" and not self._head_bytes):
            self.transport.close()
        else:
            what = "headers" if self._awaited == "head" else "body"
            self._refuse(_Refused("request_timeout", f"The {what} of the request did not arrive in time."))

    def pause_writing(self) -> None:
        super().pause_writing()
        self._write_timer = self.loop.call_later(self.deadlines.write_s, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._write_timer is not None:
            self._write_timer.cancel()

    # Refusing

    def _refuse(self, refusal: _Refused) -> None:
        """Answers and closes. A request the application has begun to answer can only be cut off."""
        if self._refusal is not None or self.transport.is_closing():
            return
        self._refusal = refusal
        if self._answer_is_due():
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            if self.cycle.response_started or not self._reading_body:
                return self.transport.abort()
        if not self._reading_body or not self.cycle.response_complete:
            self._write_refusal(refusal)
        self._linger()

    def _linger(self) -> None:
        """Closes our half, and the other when the client has read it: closing at once could destroy the answer."""
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_later(self.deadlines.linger_s, self.transport.abort)

    def _write_refusal(self, refusal: _Refused) -> None:
        request_id = new_request_id()
        log.info("request_refused", code=refusal.code, request_id=request_id)
        self.transport.write(_refusal_bytes(refusal, request_id))


def _refusal_bytes(refusal: _Refused, request_id: str) -> bytes:
    problem = BY_CODE[refusal.code]
    body = document(problem, refusal.detail, request_id)
    lines = [
        f"HTTP/1.1 {problem.status} {HTTPStatus(problem.status).phrase}",
        "content-type: application/problem+json",
        f"content-length: {len(body)}",
        "connection: close",
        "cache-control: no-store",
        "x-content-type-options: nosniff",
        "content-security-policy: default-src 'none'; frame-ancestors 'none'",
        f"x-request-id: {request_id}",
    ]
    if problem.retry_after_s is not None:
        lines.append(f"retry-after: {problem.retry_after_s}")
    return "\r\n".join([*lines, "", ""]).encode("ascii") + body
