"""The log: one JSON line per event, whatever the values hold."""

from __future__ import annotations

import json
import subprocess
import sys

SCRIPT = """
import structlog
from qrisd import log
log.configure()
lines = structlog.get_logger()
token = log.REQUEST_ID.set("r1")
lines.info("request", path="/a\\r\\nb\\x1b[31m\\u202e")
try:
    secret = "canary"
    raise ValueError("broken")
except ValueError:
    lines.exception("failed", unusual=object)
log.RequestLog().write("GET", "/b\\r\\n\\u202e", 200, 1.5, "r2")
"""


def test_each_event_is_one_json_line_with_its_request_and_without_the_values_of_variables() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, check=True)
    first, second, third = (json.loads(line) for line in done.stderr.splitlines())
    assert (first["request_id"], first["path"]) == ("r1", "/a\r\nb\x1b[31m\u202e")
    assert b"\x1b" not in done.stderr
    assert (third["event"], third["request_id"], third["path"]) == ("request", "r2", "/b\r\n\u202e")
    assert set(third) >= {"timestamp", "level"}
    assert "ValueError: broken" in second["exception"]
    assert b"'canary'" not in done.stderr.replace(b'secret = "canary"', b"")
