import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import structlog
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.types import Message, Receive, Scope, Send

from qrisd.api.middleware import Edge
from qrisd.log import REQUEST_ID

Observation = tuple[str, str, int]
Logged = tuple[str, str, int, float, str]


async def echo(request: Request) -> Response:
    bound = REQUEST_ID.get()
    body = await request.body()
    return JSONResponse({"state": request.state.request_id, "bound": bound, "body_bytes": len(body)})


async def page(request: Request) -> Response:
    return PlainTextResponse("ok", headers={"Cache-Control": "max-age=60", "X-Frame-Options": "SAMEORIGIN"})


async def broken(request: Request) -> Response:
    raise ValueError("secret internals")


async def left(request: Request) -> Response:
    raise ClientDisconnect


async def half_sent(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"half", "more_body": True})
    raise ValueError("secret internals")


ROUTES = [
    Route("/payments/{id}", echo, methods=["GET", "POST"]),
    Route("/webhooks/{provider}", echo, methods=["POST"]),
    Route("/page", page),
    Route("/broken", broken),
    Route("/left", left),
    Route("/healthz", page),
    Mount("/admin", routes=[Route("/users/{id}", page)]),
    Mount("/raw", app=half_sent),
]


@pytest.fixture
def observed() -> list[Observation]:
    return []


@pytest.fixture
def logged() -> list[Logged]:
    return []


@pytest.fixture
def app(observed: list[Observation], logged: list[Logged]) -> Starlette:
    def observe(method: str, route: str, status: int, seconds: float) -> None:
        assert seconds >= 0
        observed.append((method, route, status))

    edge = Middleware(Edge, observe=observe, log=lambda *line: logged.append(line))
    return Starlette(routes=ROUTES, middleware=[edge])


@pytest.fixture
async def client(app: Starlette) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://qrisd.test") as client:
        yield client


async def test_a_sensible_request_id_is_kept_and_found_everywhere(client: httpx.AsyncClient) -> None:
    answer = await client.get("/payments/1", headers={"X-Request-Id": "till-7_a.B"})
    assert answer.headers["X-Request-Id"] == "till-7_a.B"
    assert answer.json() == {"state": "till-7_a.B", "bound": "till-7_a.B", "body_bytes": 0}
    assert REQUEST_ID.get() is None


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("X-Request-Id", "a b")],
        [("X-Request-Id", "")],
        [("X-Request-Id", "a" * 65)],
        [("X-Request-Id", "\x1b[31m")],
        [("X-Request-Id", "a"), ("X-Request-Id", "b")],
    ],
)
async def test_any_other_request_id_is_replaced(client: httpx.AsyncClient, headers: list[tuple[str, str]]) -> None:
    answer = await client.get("/payments/1", headers=headers)
    assert len(answer.headers["X-Request-Id"]) == 32
    assert answer.json()["state"] == answer.headers["X-Request-Id"]


@pytest.mark.parametrize("path", ["/payments/1", "/nowhere", "/broken"])
async def test_every_response_carries_the_security_headers(client: httpx.AsyncClient, path: str) -> None:
    headers = (await client.get(path)).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["X-Request-Id"]


async def test_a_header_the_response_set_itself_stays_alone(client: httpx.AsyncClient) -> None:
    headers = (await client.get("/page")).headers
    assert headers.get_list("Cache-Control") == ["max-age=60"]
    assert headers.get_list("X-Frame-Options") == ["SAMEORIGIN"]


async def test_an_unexpected_exception_is_a_500_without_internals_logged_once(
    client: httpx.AsyncClient, observed: list[Observation]
) -> None:
    with structlog.testing.capture_logs() as lines:
        answer = await client.get("/broken", headers={"X-Request-Id": "r1"})
    assert answer.status_code == 500
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json() | {"title": "", "detail": ""} == {
        "type": "urn:qrisd:problem:internal_error",
        "title": "",
        "status": 500,
        "detail": "",
        "code": "internal_error",
        "request_id": "r1",
    }
    assert "secret" not in answer.text
    assert [line["event"] for line in lines] == ["request_failed"]
    assert observed == [("GET", "/broken", 500)]


async def answer_of(app: Starlette, scope: dict[str, Any], messages: list[Message]) -> list[Message]:
    """Runs one request with scripted incoming messages; returns what was sent."""
    sent: list[Message] = []

    async def receive() -> Message:
        return messages.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    await app({"type": "http", "method": "GET", "query_string": b"", "headers": []} | scope, receive, send)
    return sent


async def test_a_response_that_breaks_halfway_is_left_incomplete(app: Starlette) -> None:
    with structlog.testing.capture_logs() as lines:
        sent = await answer_of(app, {"path": "/raw/x"}, [])
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert sent[-1]["more_body"] is True
    assert [line["event"] for line in lines] == ["request_failed"]


async def test_a_client_that_leaves_is_no_error(app: Starlette, observed: list[Observation]) -> None:
    with structlog.testing.capture_logs() as lines:
        sent = await answer_of(app, {"path": "/payments/1", "method": "POST"}, [{"type": "http.disconnect"}])
    assert sent == []
    assert {line["log_level"] for line in lines} <= {"debug", "info"}
    assert observed == [("POST", "/payments/{id}", 499)]


async def test_a_request_cut_off_by_the_stop_is_told_to_come_again(app: Starlette) -> None:
    never = asyncio.Event()
    sent: list[Message] = []

    async def receive() -> Message:
        await never.wait()
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/payments/1", "query_string": b"", "headers": []}
    task = asyncio.ensure_future(app(scope, receive, send))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sent[0]["status"] == 503
    assert b"shutting_down" in sent[1]["body"]


async def test_the_request_line_has_the_path_but_no_query_headers_or_body(
    client: httpx.AsyncClient, logged: list[Logged]
) -> None:
    await client.post(
        "/payments/1?token=canary",
        headers={"Authorization": "Bearer canary", "X-Request-Id": "r1"},
        content=b"canary",
    )
    ((method, path, status, duration_ms, request_id),) = logged
    assert (method, path, status, request_id) == ("POST", "/payments/1", 200, "r1")
    assert duration_ms >= 0


async def test_health_checks_are_counted_but_not_logged(
    client: httpx.AsyncClient, observed: list[Observation], logged: list[Logged]
) -> None:
    await client.get("/healthz")
    assert logged == []
    assert observed == [("GET", "/healthz", 200)]


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/payments/42", "/payments/{id}"),
        ("/admin/users/7", "/admin/users/{id}"),
        ("/admin/nothing", "/admin"),
        ("/nothing", "unmatched"),
    ],
)
async def test_metrics_see_route_templates_only(
    client: httpx.AsyncClient, observed: list[Observation], path: str, template: str
) -> None:
    await client.get(path)
    assert [route for _, route, _ in observed] == [template]


async def test_trace_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.request("TRACE", "/payments/1")
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")


@pytest.mark.parametrize("name", ["X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method"])
async def test_a_method_override_has_no_effect(
    client: httpx.AsyncClient, observed: list[Observation], name: str
) -> None:
    await client.get("/payments/1?_method=POST", headers={name: "POST"})
    assert observed == [("GET", "/payments/{id}", 200)]


async def chunks(total_bytes: int) -> AsyncIterator[bytes]:
    for _ in range(total_bytes // 1024):
        yield bytes(1024)


@pytest.mark.parametrize(("path", "limit_kb"), [("/payments/1", 64), ("/webhooks/qris", 256)])
async def test_a_body_is_read_up_to_its_limit_with_and_without_length(
    client: httpx.AsyncClient, path: str, limit_kb: int
) -> None:
    limit = limit_kb * 1024
    assert (await client.post(path, content=bytes(limit))).json()["body_bytes"] == limit
    assert (await client.post(path, content=chunks(limit))).json()["body_bytes"] == limit
    for answer in (
        await client.post(path, content=bytes(limit + 1)),
        await client.post(path, content=chunks(limit + 1024)),
    ):
        assert answer.status_code == 413
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json()["code"] == "body_too_large"
        assert f"{limit_kb} KB" in answer.json()["detail"]


async def test_a_body_declared_too_large_is_refused_before_any_of_it_is_read(app: Starlette) -> None:
    headers = [(b"content-length", b"9" * 30)]
    sent = await answer_of(app, {"path": "/payments/1", "method": "POST", "headers": headers}, [])
    assert sent[0]["status"] == 413
