"""The log: one JSON line per event, short coloured lines when a person looks on. Never a secret, never a body."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, BinaryIO, Final

import structlog
from pydantic_core import to_json

# The request being answered; set at the edge, on every line written meanwhile.
REQUEST_ID: Final[ContextVar[str | None]] = ContextVar("request_id", default=None)


class RequestLog:
    """One line per request. Every request pays for it, so it does not pass through the processors of the rest."""

    def __init__(self) -> None:
        self._for_people = sys.stderr.isatty()
        self._log = structlog.get_logger("qrisd.http")

    def write(self, method: str, path: str, status: int, duration_ms: float, request_id: str) -> None:
        """Write the line; it has the same members as every other line, and waits for `flush()` like them."""
        if self._for_people:
            self._log.info("request", method=method, path=path, status=status, duration_ms=duration_ms)
            return
        line = {
            "method": method,
            "path": path,
            "status": status,
            "duration_ms": duration_ms,
            "event": "request",
            "request_id": request_id,
            "level": "info",
            "timestamp": datetime.now(UTC).isoformat()[:-6] + "Z",
        }
        sys.stderr.buffer.write(to_json(line) + b"\n")


def configure(least: int = logging.INFO) -> None:
    """Send every line of ours from level `least` on, and the warnings of libraries, to stderr."""
    for_people = sys.stderr.isatty()
    structlog.configure(
        processors=[
            _add_request_id,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *(_people_format() if for_people else [structlog.processors.format_exc_info, _as_json]),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(least),
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
