"""The OpenAPI 3.1 document, made of the table of operations, the shapes and the table of problems."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema
from pydantic_core import to_json

from qrisd import __version__
from qrisd.api import examples
from qrisd.api.operations import OPERATIONS
from qrisd.api.operations.base import HEADERS, STORAGE, TAGS, Answer, Operation, Parameter
from qrisd.api.problems import BY_CODE
from qrisd.api.shapes.base import GenericWebhook, Problem
from qrisd.services.api_keys import SCOPES

JsonObject = dict[str, Any]

KEYED: Final = ("bad_request", "unauthorized", "forbidden", "rate_limited", *STORAGE)
WITH_BODY: Final = ("body_too_large",)
ANYWHERE: Final = (
    "bad_request",
    "method_not_allowed",
    "request_timeout",
    "body_too_large",
    "uri_too_long",
    "headers_too_large",
    "internal_error",
    "overloaded",
    "shutting_down",
)
ABOUT: Final = """\
Take payments by QRIS, the Indonesian QR payment standard.

**Money** is whole rupiah as a JSON integer. **Times** are RFC 3339 in UTC. **Errors** are problem documents
(RFC 9457); decide by `code`. **Repeating** a `POST /payments` is always safe: the same `order_id` with the same
request gives the same payment.

| status | means |
| --- | --- |
| `CREATED` | stored; the provider has not confirmed a QR yet |
| `PENDING` | the QR is live |
| `PAID` | the money came |
| `EXPIRED` | its time ran out |
| `FAILED` | the provider refused |
| `CANCELLED` | you cancelled it |
| `PARTIALLY_REFUNDED`, `REFUNDED` | some or all of the money was given back |
"""
WEBHOOK_ABOUT: Final = (
    "A provider that speaks our own format, such as the simulator, posts this to `/webhooks/qris`. `X-Signature` is "
    'the HMAC-SHA256 in hex, with the webhook secret, over the timestamp, ".", and the body exactly as sent.'
)


class _Schemas(GenerateJsonSchema):
    """Without the titles pydantic makes of names."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


@cache
def openapi_json() -> bytes:
    """The document as bytes, made once."""
    return to_json(openapi())


def openapi() -> JsonObject:
    """The whole document."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "qrisd", "version": __version__, "description": ABOUT},
        "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        "paths": _paths(),
        "webhooks": {"genericWebhook": {"post": _generic_webhook()}},
        "components": {
            "schemas": _schemas(),
            "responses": _problem_responses(),
            "headers": {name: _header(text) for name, text in HEADERS.items()},
            "parameters": {"RequestId": _parameter(REQUEST_ID)},
            "securitySchemes": {"apiKey": _security_scheme()},
        },
    }


REQUEST_ID: Final = Parameter(
    "X-Request-Id",
    "header",
    "A name of yours for this request: 1 to 64 letters, digits and `. _ -`. Anything else is ignored.",
    {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"},
)


def _paths() -> JsonObject:
    paths: JsonObject = {}
    for (method, path), operation in OPERATIONS.items():
        paths.setdefault(path, {})[method.lower()] = _operation(operation)
    return paths


def _operation(operation: Operation) -> JsonObject:
    made: JsonObject = {
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": _description(operation),
        "parameters": [*map(_parameter, operation.parameters), {"$ref": "#/components/parameters/RequestId"}],
        "responses": _responses(operation),
    }
    if operation.body is not None:
        made["requestBody"] = _body(operation.body, operation.body_example)
    if operation.file_example is not None:
        made["requestBody"] = _file(operation.file_example)
    made["security"] = [{"apiKey": [operation.scope]}] if operation.scope else []
    return made


def _description(operation: Operation) -> str:
    needs = f"\n\nNeeds the scope `{operation.scope}`." if operation.scope else "\n\nNeeds no API key."
    return operation.description + needs


def _parameter(parameter: Parameter) -> JsonObject:
    made: JsonObject = {
        "name": parameter.name,
        "in": parameter.where,
        "required": parameter.where == "path",
        "description": parameter.description,
        "schema": dict(parameter.schema),
    }
    if parameter.example is not None:
        made["example"] = parameter.example
    return made


def _body(shape: type[BaseModel], example: Mapping[str, Any] | None) -> JsonObject:
    content = {"schema": _ref(shape.__name__), "example": example}
    return {"required": True, "content": {"application/json": content}}


def _file(example: str) -> JsonObject:
    content = {"schema": {"type": "string"}, "example": example}
    return {"required": True, "content": {"text/csv": content, "application/octet-stream": {}}}


def _responses(operation: Operation) -> JsonObject:
    made: JsonObject = {str(status): _answer(answer) for status, answer in operation.answers.items()}
    for status, codes in _refusals(operation).items():
        made[str(status)] = _response_ref(codes)
    made["default"] = _response_ref(ANYWHERE)
    return made


def _refusals(operation: Operation) -> dict[int, tuple[str, ...]]:
    """The codes of every problem of this call, by status."""
    codes = (
        *(KEYED if operation.scope else ()),
        *operation.problems,
        *(WITH_BODY if operation.body or operation.file_example else ()),
    )
    by_status: dict[int, tuple[str, ...]] = {}
    for code in sorted(set(codes), key=lambda code: (BY_CODE[code].status, codes.index(code))):
        status = BY_CODE[code].status
        by_status[status] = (*by_status.get(status, ()), code)
    return by_status


def _response_ref(codes: tuple[str, ...]) -> JsonObject:
    return {"$ref": f"#/components/responses/{_response_name(codes)}"}


def _response_name(codes: tuple[str, ...]) -> str:
    return "anywhere" if codes == ANYWHERE else "-".join(codes)


def _problem_responses() -> JsonObject:
    groups = {codes for operation in OPERATIONS.values() for codes in _refusals(operation).values()}
    made = {_response_name(codes): _problems(codes) for codes in sorted(groups)}
    return {**made, _response_name(ANYWHERE): _problems(ANYWHERE, "Refused before the call was looked at, or failed.")}


def _answer(answer: Answer) -> JsonObject:
    made: JsonObject = {"description": answer.description, "headers": _headers("X-Request-Id", *answer.headers)}
    if answer.shape is not None:
        made["content"] = {"application/json": {"schema": _ref(answer.shape.__name__), "example": answer.example}}
    elif answer.media_type is not None:
        made["content"] = {answer.media_type: {}}
    for media_type in answer.also:
        made["content"][media_type] = {}
    return made


def _problems(codes: Iterable[str], description: str | None = None) -> JsonObject:
    """One response for all problems that share a status; its schema lists their codes."""
    rows = [BY_CODE[code] for code in codes]
    shown = "; ".join(f"`{row.code}`: {row.title}" for row in rows)
    headers = ["Retry-After"] if {row.status for row in rows} & {429, 503} else []
    headers += ["WWW-Authenticate"] if rows[0].code == "unauthorized" else []
    schema = {"allOf": [_ref("Problem")], "properties": {"code": {"enum": [row.code for row in rows]}}}
    return {
        "description": f"{description} {shown}" if description else shown,
        "headers": _headers(*headers),
        "content": {
            "application/problem+json": {"schema": schema, "examples": {row.code: _example(row.code) for row in rows}}
        },
    }


def _example(code: str) -> JsonObject:
    problem = BY_CODE[code]
    value: JsonObject = {
        "type": f"urn:qrisd:problem:{code}",
        "title": problem.title,
        "status": problem.status,
        "detail": problem.title + ".",
        "code": code,
        "request_id": "019bc9a17c407d3e9d572f6a1c0b8e11",
    }
    return {"summary": problem.title, "value": {**value, **examples.PROBLEM_MEMBERS.get(code, {})}}


def _headers(*names: str) -> JsonObject:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _header(description: str) -> JsonObject:
    return {"description": description, "schema": {"type": "string"}}


def _ref(name: str) -> JsonObject:
    return {"$ref": f"#/components/schemas/{name}"}


def _schemas() -> JsonObject:
    shapes: set[type[BaseModel]] = {Problem, GenericWebhook}
    for operation in OPERATIONS.values():
        shapes |= {answer.shape for answer in operation.answers.values() if answer.shape is not None}
        shapes |= {operation.body} if operation.body is not None else set()
    ordered = sorted(shapes, key=lambda shape: shape.__name__)
    _, made = models_json_schema(
        [(shape, "serialization") for shape in ordered],
        ref_template="#/components/schemas/{model}",
        schema_generator=_Schemas,
    )
    schemas: JsonObject = made["$defs"]
    return schemas


def _generic_webhook() -> JsonObject:
    received = OPERATIONS["POST", "/webhooks/{provider}"]
    return {
        "operationId": "genericWebhook",
        "tags": ["Webhooks"],
        "summary": "The generic, signed notification",
        "description": WEBHOOK_ABOUT,
        "parameters": [_parameter(one) for one in received.parameters if one.where == "header"],
        "requestBody": _body(GenericWebhook, examples.WEBHOOK),
        "responses": _responses(received),
    }


def _security_scheme() -> JsonObject:
    scopes = ", ".join(f"`{scope}`" for scope in SCOPES)
    text = f"An API key made with `qrisd keys create`. A key may do everything, or have scopes: {scopes}."
    return {"type": "http", "scheme": "bearer", "bearerFormat": "qrisd_<environment>_<secret>", "description": text}
