"""The log: one JSON line per event, short coloured lines when a person looks on. Never a secret, never a body."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from contextvars import ContextVar
from typing import Any, BinaryIO, Final

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
        logger_factory=structlog.PrintLoggerFactory(sys.stderr) if for_people else lambda *_: _Lines(sys.stderr.buffer),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(message)s")


def _people_format() -> list[Any]:
    # Never a traceback with the values of variables: they may be secrets.
    return [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]


class _Lines:
    """Writes lines; what is not urgent waits for `flush()`, so that a busy server does not write them one by one."""

    def __init__(self, file: BinaryIO) -> None:
        self._write = file.write
        self._flush = file.flush

    def info(self, line: bytes) -> None:
        self._write(line + b"\n")

    def error(self, line: bytes) -> None:
        self._write(line + b"\n")
        self._flush()

    debug = info
    warning = exception = critical = error


def flush() -> None:
    """Write what waits. Called every second, and at the end by the interpreter."""
    sys.stderr.flush()


def _add_request_id(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    request_id = REQUEST_ID.get()
    if request_id is not None:
        event["request_id"] = request_id
    return event


def _as_json(_: object, __: str, event: MutableMapping[str, Any]) -> bytes:
    return to_json(event, fallback=str)
