"""The Postman collection is what the API is, and runs from top to bottom."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from qrisd.api.operations import OPERATIONS
from tests.docs.postman import COLLECTION, RUN, collection_text
from tests.support.server import LiveServer

NEWMAN = Path(__file__).parents[2] / ".cache" / "node" / "node_modules" / ".bin" / "newman"
A_STREAM = {"streamPayment"}  # a run would never get past it


def test_the_committed_collection_is_what_the_api_gives_today() -> None:
    assert COLLECTION.read_text() == collection_text(), "run: python -m tests.docs.postman"


def test_every_call_is_in_the_run() -> None:
    run = {step.operation for steps in RUN.values() for step in steps}
    assert run == {operation.id for operation in OPERATIONS.values()} - A_STREAM


def test_the_collection_runs_against_a_live_server(server: LiveServer, tmp_path: Path) -> None:
    assert NEWMAN.exists(), "newman is not installed; run tests/setup-node first"
    secret = (server.data_dir / "simulator.secret").read_text().strip()
    report = tmp_path / "report.json"
    variables = {"baseUrl": server.url, "apiKey": server.key, "webhookSecret": secret}
    command = [str(NEWMAN), "run", str(COLLECTION), "--reporters", "cli,json", "--reporter-json-export", str(report)]
    command += [part for name, value in variables.items() for part in ("--env-var", f"{name}={value}")]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    stats = json.loads(report.read_text())["run"]["stats"]
    assert stats["requests"]["total"] == sum(map(len, RUN.values()))
    assert stats["assertions"]["total"] > stats["requests"]["total"]
