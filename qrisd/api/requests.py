"""What a request says, read strictly: its body, its query, its Idempotency-Key."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import date, datetime
from typing import Final, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from qrisd.api.headers import single_header
from qrisd.api.json_body import BadBody, parse
from qrisd.domain.errors import FieldError, IdempotencyKeyInvalid, Invalid
from qrisd.domain.times import from_rfc3339
from qrisd.services.api_keys import Caller
from qrisd.store.audit_log import Actor

Model = TypeVar("Model", bound=BaseModel)

_KEY: Final = re.compile(r"[!-~]{1,255}")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_ROW_ID: Final = re.compile(r"[0-9]{1,15}")

# Kinder words for what pydantic says; the rest of its messages are clear as they are.
_ADVICE: Final = {
    "missing": "This field is required.",
    "extra_forbidden": "There is no such field; remove it.",
    "string_type": "Send a JSON string.",
    "dict_type": "Send a JSON object.",
    "model_type": "Send a JSON object.",
}


async def read_body(request: Request, model: type[Model]) -> Model:
    """The body as `model`. Raises BadBody when it cannot be read, Invalid naming every wrong field."""
    value = parse(await request.body(), request.headers.get("content-type"))
    if not isinstance(value, dict):
        raise BadBody(400, "bad_json", "Send a JSON object as the body.")
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise Invalid(*_field_errors(error)) from None


def _field_errors(error: ValidationError) -> list[FieldError]:
    found = error.errors(include_url=False, include_input=False, include_context=False)
    return [FieldError(".".join(map(str, one["loc"])) or "body", _ADVICE.get(one["type"], one["msg"])) for one in found]


def read_query(request: Request, allowed: Collection[str]) -> Mapping[str, str]:
    """The query's parameters. Raises BadBody for one that is unknown or given twice."""
    found: dict[str, str] = {}
    if not request.scope["query_string"]:
        return found
    for name, value in request.query_params.multi_items():
        if name in found:
            raise bad_query(name, "is given twice; send it once")
        if name not in allowed:
            raise bad_query(name, f"is not known here; use {', '.join(allowed) or 'none'}")
        found[name] = value
    return found


def bad_query(name: str, what: str) -> BadBody:
    """The refusal of a query parameter; `name` may be anything a caller sent."""
    return BadBody(400, "bad_request", f"The query parameter {name[:40]!r} {what}.")


def read_whole_number(query: Mapping[str, str], name: str, *, least: int, most: int, default: int) -> int:
    """A whole number of the query within bounds. Raises BadBody."""
    text = query.get(name)
    if text is None:
        return default
    if not re.fullmatch(r"[0-9]{1,9}", text) or not least <= int(text) <= most:
        raise bad_query(name, f"must be a whole number from {least} to {most}")
    return int(text)


def read_moment(query: Mapping[str, str], name: str) -> datetime | None:
    """A time of the query. Raises BadBody."""
    try:
        return from_rfc3339(query[name]) if name in query else None
    except ValueError as error:
        raise bad_query(name, str(error)) from None


def read_day(query: Mapping[str, str], name: str) -> date | None:
    """A business day of the query. Raises BadBody."""
    text = query.get(name)
    if text is None:
        return None
    try:
        day = date.fromisoformat(text) if _DATE.fullmatch(text) else None
    except ValueError:
        day = None
    if day is None or not date(2000, 1, 1) <= day <= date(2200, 1, 1):
        raise bad_query(name, "must be a business day like 2026-01-15")
    return day


def read_row_cursor(query: Mapping[str, str]) -> int | None:
    """The `cursor` of a list whose cursors are the ids of rows. Raises BadBody."""
    text = query.get("cursor")
    if text is not None and not _ROW_ID.fullmatch(text):
        raise bad_query("cursor", "is not a next_cursor from this list")
    return None if text is None else int(text)


def read_idempotency_key(request: Request) -> str | None:
    """The Idempotency-Key, None when there is none. Raises IdempotencyKeyInvalid."""
    key = single_header(request.headers, "idempotency-key")
    if key is not None and not _KEY.fullmatch(key):
        raise IdempotencyKeyInvalid("Send an Idempotency-Key of 1 to 255 visible ASCII characters, a UUID for example.")
    return key


def acting(request: Request, caller: Caller) -> Actor:
    """Who does what this request asks for, for the audit log."""
    return caller.acting(request.client.host if request.client else "-")
