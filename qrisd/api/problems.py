"""Every error as a problem document (RFC 9457): one table says which status and code each kind gets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from qrisd.api.headers import BadHeader
from qrisd.api.json_body import BadBody
from qrisd.domain import errors


@dataclass(frozen=True, slots=True)
class Problem:
    """How one kind of error is answered. `retry_after_s` None leaves the header out."""

    status: int
    code: str
    title: str
    retry_after_s: int | None = None


PROBLEMS: Final[Mapping[type[Exception], Problem]] = {
    errors.Unauthorized: Problem(401, "unauthorized", "No valid API key"),
    errors.Forbidden: Problem(403, "forbidden", "Not allowed with this API key"),
    errors.SelfApproval: Problem(403, "self_approval", "Nobody decides about their own request"),
    errors.NotFound: Problem(404, "not_found", "Not found"),
    errors.WrongState: Problem(409, "wrong_state", "The payment's status does not allow this"),
    errors.WrongRefundState: Problem(409, "wrong_state", "The refund's status does not allow this"),
    errors.EndpointOff: Problem(409, "endpoint_off", "The callback's endpoint is switched off"),
    errors.ReportKnown: Problem(409, "report_known", "The report was imported before"),
    errors.OrderIdTaken: Problem(409, "order_id_taken", "The order id belongs to another payment"),
    errors.IdempotencyInProgress: Problem(409, "idempotency_in_progress", "The first request is still running", 1),
    errors.IdempotencyKeyRequired: Problem(400, "idempotency_key_required", "This call needs an Idempotency-Key"),
    errors.IdempotencyKeyInvalid: Problem(400, "idempotency_key_invalid", "The Idempotency-Key cannot be used"),
    errors.IdempotencyKeyReused: Problem(
        422, "idempotency_key_reused", "The Idempotency-Key belongs to another request"
    ),
    errors.Invalid: Problem(422, "validation_failed", "Some fields are wrong"),
    errors.RateLimited: Problem(429, "rate_limited", "Too many requests"),
    errors.ProviderRejected: Problem(502, "provider_error", "The payment provider refused"),
    errors.ProviderUnreachable: Problem(503, "provider_unavailable", "The payment provider cannot be reached", 5),
    errors.ProviderUncertain: Problem(503, "provider_unavailable", "The payment provider did not answer", 5),
    errors.StorageBusy: Problem(503, "storage_busy", "The database is busy", 1),
    errors.StorageUnavailable: Problem(503, "storage_unavailable", "The database cannot take writes", 30),
    errors.WebhookUnsigned: Problem(401, "unauthorized", "The webhook is not signed by the provider"),
    errors.WebhookUnreadable: Problem(400, "bad_json", "The webhook cannot be read"),
}

# What the readers of bodies and headers, starlette, the edge and the connection refuse: no error of ours is behind it.
REFUSALS: Final[tuple[Problem, ...]] = (
    Problem(400, "bad_request", "The request is not understood"),
    Problem(400, "bad_json", "The body is not valid JSON"),
    Problem(400, "bad_encoding", "The body is not plain UTF-8"),
    Problem(400, "duplicate_key", "A key appears twice in the body"),
    Problem(404, "not_found", "Not found"),
    Problem(405, "method_not_allowed", "The method is not possible here"),
    Problem(408, "request_timeout", "The request did not arrive in time"),
    Problem(413, "body_too_large", "The body is too large"),
    Problem(414, "uri_too_long", "The URL is too long"),
    Problem(415, "unsupported_media_type", "The media type is not read"),
    Problem(431, "headers_too_large", "The headers are too large"),
    Problem(500, "internal_error", "Something went wrong here"),
    Problem(503, "overloaded", "Too many connections are open", 5),
    Problem(503, "shutting_down", "The service is stopping", 5),
)
# Where two errors share a code, the row further up names it.
BY_CODE: Final[Mapping[str, Problem]] = {
    problem.code: problem for problem in (*reversed([*PROBLEMS.values()]), *REFUSALS)
}
CODES_BY_STATUS: Final[Mapping[int, str]] = {
    404: "not_found",
    405: "method_not_allowed",
    413: "body_too_large",
    415: "unsupported_media_type",
}


def document(problem: Problem, detail: str, request_id: str | None, **more: Any) -> bytes:
    """The problem document as JSON; `more` are further members."""
    return to_json(
        {
            "type": f"urn:qrisd:problem:{problem.code}",
            "title": problem.title,
            "status": problem.status,
            "detail": detail,
            "code": problem.code,
            "request_id": request_id,
            **more,
        }
    )


def respond(
    request: Request, problem: Problem, detail: str, *, headers: Mapping[str, str] | None = None, **more: Any
) -> Response:
    """The problem document as a response, with the request's id; `more` are further members."""
    extra = dict(headers or {})
    if problem.retry_after_s is not None:
        extra["Retry-After"] = str(problem.retry_after_s)
    request_id = request.scope.get("state", {}).get("request_id")
    body = document(problem, detail, request_id, **more)
    return Response(body, problem.status, extra, "application/problem+json")


async def on_qrisd_error(request: Request, error: Exception) -> Response:
    """Any error of ours, by the row of its nearest kind."""
    problem = next(PROBLEMS[kind] for kind in type(error).__mro__ if kind in PROBLEMS)
    return respond(request, problem, str(error), headers=_headers(error), **_members(error))


def _members(error: Exception) -> dict[str, Any]:
    match error:
        case errors.Invalid():
            return {"errors": [asdict(one) for one in error.errors]}
        case errors.WrongState():
            return {"payment_status": error.status}
        case errors.WrongRefundState():
            return {"refund_status": error.status}
        case errors.OrderIdTaken():
            return {} if error.payment_id is None else {"existing": error.payment_id}
        case errors.ReportKnown():
            return {"existing": error.file_id}
        case errors.ProviderError():
            return {"provider": error.provider, "provider_code": error.provider_code}
    return {}


def _headers(error: Exception) -> dict[str, str]:
    match error:
        case errors.Unauthorized():
            return {"WWW-Authenticate": 'Bearer realm="qrisd"'}
        case errors.RateLimited():
            return {"Retry-After": str(error.retry_after_s)}
    return {}


async def on_bad_request(request: Request, error: Exception) -> Response:
    """A body or a header that cannot be read."""
    assert isinstance(error, BadBody | BadHeader)
    return respond(request, BY_CODE[error.code], error.detail)


async def on_http_exception(request: Request, error: Exception) -> Response:
    """What starlette refuses by itself: unknown paths and methods."""
    assert isinstance(error, HTTPException)
    problem = BY_CODE[CODES_BY_STATUS.get(error.status_code, "bad_request")]
    return respond(request, problem, _detail(request, error), headers=error.headers)


def _detail(request: Request, error: HTTPException) -> str:
    if error.status_code == 404:
        return "There is nothing at this address. The calls are listed at /docs."
    if error.status_code == 405:
        return f"{request.method} is not possible here; use {(error.headers or {}).get('Allow', 'another method')}."
    return str(error.detail)


HANDLERS: Final = {
    errors.QrisdError: on_qrisd_error,
    BadBody: on_bad_request,
    BadHeader: on_bad_request,
    HTTPException: on_http_exception,
}
