"""The edge of the application: request id, body limit, security headers, access line, and the last net under errors."""

import asyncio
import re
import time
from collections.abc import Callable, Sequence

import structlog
import uuid_utils
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from qrisd.api.problems import BY_CODE, document
from qrisd.log import REQUEST_ID

Observe = Callable[[str, str, int, float], None]
RequestLine = Callable[[str, str, int, float, str], None]
Page = Callable[[Request, int], Response | None]

BODY_LIMIT_BYTES = 64 * 1024
WEBHOOK_BODY_LIMIT_BYTES = 256 * 1024
REPORT_BODY_LIMIT_BYTES = 32 * 1024 * 1024
REPORT_PATH = "/settlements/import"
CALLERS_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
# What access logs commonly write where the client left before the answer; it is never sent.
CLIENT_LEFT = 499
UNLOGGED_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})
# What follows these opens something for whoever has it; it is left out of the log, known route or not.
SECRET_PATHS = {"/setup/": "/setup/{token}"}
SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
ONLY_HTTPS = (b"strict-transport-security", b"max-age=31536000")

log = structlog.get_logger("qrisd.http")


class BodyTooLarge(Exception):
    """More body arrived than the path takes; raised out of `receive` and answered by Edge."""


def body_limit_bytes(path: str) -> int:
    """The most bytes a request body to this path may have: 256 KB for webhooks, 32 MB for settlement reports, 64 KB for
    everything else."""
    if path == REPORT_PATH:
        return REPORT_BODY_LIMIT_BYTES
    return WEBHOOK_BODY_LIMIT_BYTES if path.startswith("/webhooks/") else BODY_LIMIT_BYTES


def new_request_id() -> str:
    """A request id of our own: 32 hex digits that sort by time."""
    return uuid_utils.uuid7().hex


def route_template(scope: Scope) -> str:
    """The path of the route that took the request, with its parameters unfilled; "unmatched" where none did."""
    route = scope.get("route")
    if route is None:
        return "unmatched"
    mounted_at: str = scope.get("root_path", "")[len(scope.get("app_root_path", "")) :]
    return mounted_at if isinstance(route, Mount) else mounted_at + getattr(route, "path", "")


def logged_path(path: str) -> str:
    """The path as the log may show it: one that holds a secret only up to there."""
    return next((shown for secret, shown in SECRET_PATHS.items() if path.startswith(secret)), path)


def no_page(request: Request, status: int) -> Response | None:
    """Everybody gets the problem document."""
    return None


class Edge:
    """The outermost middleware: `Starlette(middleware=[Middleware(Edge, observe=...)])`, first in the list.

    Not around Starlette itself, whose own last net would answer an exception, and a body too large, before this one.

    Gives the request its id (`scope["state"]["request_id"]`, the log context, `X-Request-Id`), refuses a body beyond
    `body_limit(path)` bytes with 413, adds the security headers that a response did not set itself, answers an
    unexpected exception with a 500 without internals, and calls `log(method, path, status, duration_ms, request_id)`,
    never with query, headers or body, and `observe(method, route template, status, seconds)`; both are told what a page
    means that says 200 to a script (`scope["state"]["status"]`). What it refuses itself is `page(request, status)`, and
    a problem document where that is None. Where we are known by an https address (`is_secure`), browsers are told to
    come by no other way.
    """

    def __init__(
        self,
        app: ASGIApp,
        observe: Observe,
        log: RequestLine,
        body_limit: Callable[[str], int] = body_limit_bytes,
        page: Page = no_page,
        is_secure: bool = False,
    ) -> None:
        self.app = app
        self.observe = observe
        self.log = log
        self.body_limit = body_limit
        self.page = page
        self.headers = (*SECURITY_HEADERS, ONLY_HTTPS) if is_secure else SECURITY_HEADERS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        exchange = _Exchange(scope, receive, send, self.body_limit(scope["path"]), self.headers, self.page)
        scope.setdefault("state", {})["request_id"] = exchange.request_id
        token = REQUEST_ID.set(exchange.request_id)
        try:
            await self._answer(exchange)
        finally:
            self._record(exchange)
            REQUEST_ID.reset(token)

    async def _answer(self, exchange: "_Exchange") -> None:
        try:
            if exchange.scope["method"] == "TRACE":
                return await exchange.refuse("method_not_allowed", "TRACE is not supported.")
            await self.app(exchange.scope, exchange.limited_receive(), exchange.send)
        except BodyTooLarge:
            limit_kb = exchange.body_limit_bytes // 1024
            await exchange.refuse("body_too_large", f"The body is too large; send at most {limit_kb} KB here.")
        except ClientDisconnect:
            log.debug("client_left")
        except asyncio.CancelledError:
            await exchange.refuse("shutting_down", "The service is stopping; send the request again in a moment.")
            raise
        except Exception:
            # A response already under way cannot be replaced: left incomplete, the server closes its connection.
            log.exception("request_failed", method=exchange.scope["method"], route=route_template(exchange.scope))
            await exchange.refuse("internal_error", "Something went wrong here. Report it with the request id.")

    def _record(self, exchange: "_Exchange") -> None:
        scope, status = exchange.scope, exchange.status or CLIENT_LEFT
        if status == 200:
            status = scope["state"].get("status", status)
        seconds = time.perf_counter() - exchange.started_at
        self.observe(scope["method"], route_template(scope), status, seconds)
        if scope["path"] not in UNLOGGED_PATHS:
            duration_ms = round(seconds * 1000, 1)
            self.log(scope["method"], logged_path(scope["path"]), status, duration_ms, exchange.request_id)


class _Exchange:
    """One request and its response: what its headers say, how much body came, which status went out (0: none yet)."""

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        body_limit_bytes: int,
        headers: Sequence[tuple[bytes, bytes]],
        page: Page,
    ) -> None:
        self.started_at = time.perf_counter()
        self.scope = scope
        self.body_limit_bytes = body_limit_bytes
        self.status = 0
        self._headers = headers
        self._page = page
        self._receive = receive
        self._send = send
        self._body_bytes = 0
        self._content_length: int | None = None
        self.request_id = self._read_headers() or new_request_id()

    def _read_headers(self) -> str | None:
        """Takes the content length from the headers and returns the caller's request id where it is a sensible one."""
        request_ids: list[bytes] = []
        for name, value in self.scope["headers"]:
            if name == b"content-length" and value.isdigit():
                self._content_length = int(value[:20])
            elif name == b"x-request-id":
                request_ids.append(value)
        if len(request_ids) == 1 and CALLERS_REQUEST_ID.fullmatch(request_ids[0]):
            return request_ids[0].decode("ascii")
        return None

    def limited_receive(self) -> Receive:
        """The `receive` to hand on. Raises BodyTooLarge at once where the declared length is beyond the limit."""
        if self._content_length is None:
            return self._counted_receive
        if self._content_length > self.body_limit_bytes:
            raise BodyTooLarge
        return self._receive

    async def _counted_receive(self) -> Message:
        message = await self._receive()
        self._body_bytes += len(message.get("body", b""))
        if self._body_bytes > self.body_limit_bytes:
            raise BodyTooLarge
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = list(message.get("headers", ()))
            already_set = {name for name, _ in headers}
            headers.extend(header for header in self._headers if header[0] not in already_set)
            headers.append((b"x-request-id", self.request_id.encode("ascii")))
            message["headers"] = headers
        await self._send(message)

    async def refuse(self, code: str, detail: str) -> None:
        """Answers with a page or a problem document, unless a response is under way already."""
        if self.status:
            return
        problem = BY_CODE[code]
        answer = self._drawn(problem.status)
        if answer is None:
            body = document(problem, detail, self.request_id)
            answer = Response(body, problem.status, media_type="application/problem+json")
        if problem.retry_after_s is not None:
            answer.headers["Retry-After"] = str(problem.retry_after_s)
        await answer(self.scope, self._receive, self.send)

    def _drawn(self, status: int) -> Response | None:
        try:
            return self._page(Request(self.scope), status)
        except Exception:
            log.exception("refusal_not_drawn", status=status)
            return None
