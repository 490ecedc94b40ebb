"""The pages about the API name everything there is, and their examples run."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from qrisd.api.operations import OPERATIONS
from qrisd.api.problems import BY_CODE
from qrisd.api.shapes.base import Problem
from qrisd.domain.payment import Oddity, Status
from qrisd.services.api_keys import SCOPES
from tests.support.server import LiveServer

DOCS = Path(__file__).parents[2] / "docs"
API = (DOCS / "api.md").read_text()
EVENTS = (DOCS / "events.md").read_text()
ERRORS = (DOCS / "errors.md").read_text()


def section(code: str) -> str:
    """What errors.md says under the heading of `code`, up to the next heading."""
    found = re.search(rf"^### {code}\n(.*?)(?=^#|\Z)", ERRORS, re.MULTILINE | re.DOTALL)
    return found[1] if found else ""


def test_every_problem_code_has_its_section_and_no_other() -> None:
    assert sorted(re.findall(r"^### (\w+)$", ERRORS, re.MULTILINE)) == sorted(BY_CODE)


@pytest.mark.parametrize("code", BY_CODE)
def test_a_section_says_the_status_and_what_to_do(code: str) -> None:
    assert section(code).strip().startswith(f"**{BY_CODE[code].status}.**")
    assert "*Do:* " in section(code)


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_every_call_is_in_the_page_about_the_api(method: str, path: str) -> None:
    assert f"`{method} {path}`" in API


@pytest.mark.parametrize("word", [*Status, *Oddity])
def test_every_status_and_exception_has_its_row(word: str) -> None:
    assert re.search(rf"^\| `{word}` \|", API, re.MULTILINE)


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_the_scopes_of_the_page_are_those_needed(method: str, path: str) -> None:
    row = next(line for line in API.splitlines() if f"`{method} {path}`" in line)
    needed = OPERATIONS[method, path].scope
    assert [scope for scope in SCOPES if f"`{scope}`" in row] == ([needed] if needed else [])


def test_links_lead_somewhere() -> None:
    for target, anchor in re.findall(r"\]\(([\w.-]+)(?:#(\w+))?\)", API + EVENTS + ERRORS):
        assert (DOCS / target).exists()
        assert not anchor or section(anchor)


def test_the_example_of_a_problem_is_one() -> None:
    blocks = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", API, re.DOTALL)]
    problems = [Problem.model_validate(block) for block in blocks if "code" in block]
    assert [problem.title for problem in problems] == [BY_CODE["validation_failed"].title]


@pytest.mark.parametrize("language", ["sh", "python"])
def test_the_examples_of_signing_are_believed(server: LiveServer, language: str) -> None:
    assert shutil.which("curl"), "curl is not installed"
    assert shutil.which("openssl"), "openssl is not installed"
    found = re.search(rf"```{language}\n(# signed webhook\n.*?)```", API, re.DOTALL)
    assert found is not None
    with server.client() as client:
        payment = client.post("/payments", json={"order_id": "INV-2026-0001", "amount": 15_000}).json()
        secret = (server.data_dir / "simulator.secret").read_text().strip()
        ran = subprocess.run(
            [*(["sh"] if language == "sh" else [sys.executable]), "-c", found[1]],
            env={**os.environ, "API_URL": server.url, "WEBHOOK_SECRET": secret},
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
        assert json.loads(ran.stdout) == {"received": True, "outcome": "applied"}
        assert client.get(f"/payments/{payment['id']}").json()["status"] == "PAID"


@pytest.mark.parametrize(("example", "said"), [*enumerate(['"next_after":1}', '"status":"PENDING"', "id: PENDING-1-"])])
def test_the_examples_of_following_run(server: LiveServer, tmp_path: Path, example: int, said: str) -> None:
    assert shutil.which("curl"), "curl is not installed"
    (tmp_path / ".curlrc").write_text("max-time = 2\n")  # a stream does not end by itself
    with server.client() as client:
        payment = client.post("/payments", json={"order_id": "INV-1", "amount": 15_000}).json()
    variables = {"HOME": str(tmp_path), "API_URL": server.url, "API_KEY": server.key, "ID": payment["id"]}
    command = re.findall(r"```sh\n(.*?)```", EVENTS, re.DOTALL)[example].replace("wait=25", "wait=1")
    ran = subprocess.run(["sh", "-c", command], env={**os.environ, **variables}, capture_output=True, timeout=30)
    assert said in ran.stdout.decode(), ran.stderr
