"""The log: one JSON line per event, short coloured lines when a person looks on. Never a secret, never a body."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from contextvars import ContextVar
from typing import Any, Final

import structlog
from pydantic_core import to_json

# The request being answered; set at the edge, on every line written meanwhile.
REQUEST_ID: Final[ContextVar[str | None]] = ContextVar("request_id", default=None)


def configure() -> None:
    """Send every line of ours, and the warnings of libraries, to stderr."""
    for_people = sys.stderr.isatty()
    structlog.configure(
        processors=[
            _add_request_id,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *(_people_format() if for_people else [structlog.processors.format_exc_info, _as_json]),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=_to_terminal() if for_people else structlog.BytesLoggerFactory(sys.stderr.buffer),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(message)s")


def _people_format() -> list[Any]:
    # Never a traceback with the values of variables: they may be secrets.
    return [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]


def _to_terminal() -> Any:
    return structlog.PrintLoggerFactory(sys.stderr)


def _add_request_id(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    request_id = REQUEST_ID.get()
    if request_id is not None:
        event["request_id"] = request_id
    return event


def _as_json(_: object, __: str, event: MutableMapping[str, Any]) -> bytes:
    return to_json(event, fallback=str)
