"""The samples for shops do what their comments say, in every language, against the real service."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx
import pytest

from qrisd.domain.callback import LONGEST_ASKED_PAUSE_S, PAUSES_S, SWITCHED_OFF_AFTER
from qrisd.domain.callback_signature import signed_headers
from qrisd.providers.simulator import sign
from qrisd.store.db import connect
from tests.support.server import LiveServer

DOCS = Path(__file__).parents[2] / "docs"
EXAMPLES = DOCS / "examples"
CALLBACKS = (DOCS / "callbacks.md").read_text()
RUNTIMES = {"py": sys.executable, "php": "php", "js": "node"}
SECRET = "whsec_" + "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVowMTIz"
OLD_SECRET = "whsec_" + "MzIxMFpZWFdWVVRTUlFQT05NTEtKSUhHRkVEQ0JB"
FOREIGN_SECRET = "whsec_" + "bm90LXlvdXJzLW5vdC15b3Vycy1ub3QteW91cnMh"
SETTINGS = {"QRISD_CALLBACKS__ALLOW_LOOPBACK": "true", "QRISD_CALLBACKS__SECRET": SECRET}
every_language = pytest.mark.parametrize("language", RUNTIMES)


@dataclass(slots=True)
class Sample:
    """A sample as its first comment runs it, in a directory of its own; what it says goes to a file there."""

    command: list[str]
    directory: Path
    env: Mapping[str, str]
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def __enter__(self) -> Sample:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def start(self) -> None:
        self.directory.mkdir(exist_ok=True)
        env = {"PATH": os.environ["PATH"], **self.env}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log, env=env, cwd=self.directory)

    def kill(self) -> None:
        """SIGKILL, as a power cut would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    @property
    def log(self) -> Path:
        return self.directory / "said.log"

    def said(self, pattern: str) -> list[str]:
        return re.findall(pattern, self.log.read_text())


def command(kind: str, language: str, *options: str) -> list[str]:
    """The command line of a sample; a language that is not installed fails, so that none is left out in silence."""
    assert shutil.which(RUNTIMES[language]), f"{RUNTIMES[language]} is not installed; tests/run installs it"
    return [RUNTIMES[language], *options, str(EXAMPLES / f"{kind}.{language}")]


def until(holds: Callable[[], bool], within_s: float = 30.0) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


@dataclass(slots=True)
class Receiver(Sample):
    """A shop's server."""

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hooks/qrisd"

    def start(self) -> None:
        Sample.start(self)
        until(lambda: answers(self.port))

    @property
    def news(self) -> list[str]:
        """How it has seen payments change so far."""
        return self.said(r"INV-\S+ is \w+")

    @property
    def all_news(self) -> list[str]:
        """The same, once it has said all: it speaks after it has answered, so it is told one thing more."""
        last = event(f"LAST-{time.monotonic_ns()}")
        assert self.post(last, webhook_id=last["data"]["id"]) == 200
        until(lambda: bool(self.said(last["data"]["order_id"])))
        return self.news

    def post(self, event: Mapping[str, Any], **signing: Any) -> int:
        """Send an event as qrisd would, unless told otherwise; the status of the answer."""
        body = json.dumps(event)
        headers = signed(body, **signing)
        return httpx.post(self.url, content=body, headers=headers, trust_env=False).status_code


def signed(body: str, *, secrets: tuple[str, ...] = (SECRET,), webhook_id: str = "msg_1", ago_s: int = 0) -> Any:
    return signed_headers(secrets, webhook_id, body, datetime.now(UTC) - timedelta(seconds=ago_s))


def event(order_id: str, sequence: int = 1, status: str = "PENDING") -> dict[str, Any]:
    payment = {"id": f"id-of-{order_id}", "order_id": order_id, "status": status, "exception": None}
    return {"type": f"payment.{status.lower()}", "timestamp": "", "sequence": sequence, "data": payment}


def free_port() -> int:
    with closing(socket.socket()) as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


@pytest.fixture
def receiver(tmp_path: Path, language: str) -> Iterator[Receiver]:
    port = free_port()
    options = ["-S", f"127.0.0.1:{port}"] if language == "php" else []
    env = {"CALLBACK_SECRETS": f"{SECRET} {OLD_SECRET}", "PORT": str(port)}
    with Receiver(command("receiver", language, *options), tmp_path / "receiver", env, port) as running:
        assert isinstance(running, Receiver)
        yield running


@pytest.fixture(scope="module")
def qrisd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with LiveServer(tmp_path_factory.mktemp("examples") / "data", SETTINGS) as running:
        yield running


def order(server: LiveServer, order_id: str, **fields: Any) -> dict[str, Any]:
    with server.client() as client:
        answer = client.post("/payments", json={"order_id": order_id, "amount": 15_000, **fields})
    assert answer.status_code == 201, answer.text
    payment: dict[str, Any] = answer.json()
    return payment


def pay(server: LiveServer, order_id: str) -> None:
    paid = {"event_id": f"evt-{order_id}", "order_id": order_id, "status": "PAID", "amount": 15_000, "currency": "IDR"}
    body, timestamp = json.dumps(paid).encode(), str(int(time.time()))
    secret = (server.data_dir / "simulator.secret").read_text().strip().encode()
    headers = {"X-Timestamp": timestamp, "X-Signature": sign(secret, body, timestamp)}
    with server.client() as client:
        assert client.post("/webhooks/qris", content=body, headers=headers).json()["outcome"] == "applied"


def rows(server: LiveServer, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    with closing(connect(server.data_dir / "qrisd.db", read_only=True)) as conn:
        return [tuple(row) for row in conn.execute(sql, values)]


def tries(server: LiveServer, payment: Mapping[str, Any]) -> list[int]:
    """The statuses the shop's server has answered about a payment."""
    sql = "SELECT status_code FROM callback_tries JOIN callbacks ON callbacks.id = callback_id WHERE payment_id = ?"
    return [status for (status,) in rows(server, sql, payment["id"])]


@every_language
def test_a_receiver_is_told_of_each_change_once_though_it_dies_and_all_is_replayed(
    qrisd: LiveServer, receiver: Receiver, language: str
) -> None:
    name = f"INV-{language}"
    payment = order(qrisd, name, callback_url=receiver.url)
    until(lambda: receiver.news == [f"{name} is PENDING"])
    pay(qrisd, name)
    until(lambda: receiver.news == [f"{name} is PENDING", f"{name} is PAID"])
    until(lambda: tries(qrisd, payment) == [200, 200])
    receiver.kill()
    receiver.start()
    replayed = qrisd.run("callbacks", "replay", "--endpoint", receiver.url)
    assert replayed.stdout == "2 will be sent again now.\n"
    until(lambda: tries(qrisd, payment) == [200] * 4)
    assert receiver.all_news == [f"{name} is PENDING", f"{name} is PAID"]


@every_language
def test_a_receiver_takes_the_ping(qrisd: LiveServer, receiver: Receiver, language: str) -> None:
    tested = qrisd.run("callbacks", "test", receiver.url)
    assert (tested.returncode, tested.stdout.startswith("delivered: HTTP 200")) == (0, True)
    assert receiver.all_news == []


@every_language
def test_a_receiver_refuses_what_is_forged_or_stale(receiver: Receiver, language: str) -> None:
    forged = [
        receiver.post(event("INV-1"), secrets=(FOREIGN_SECRET,)),
        receiver.post(event("INV-1"), secrets=()),
        receiver.post(event("INV-1"), ago_s=301),
        receiver.post(event("INV-1"), ago_s=-310),
    ]
    body = json.dumps(event("INV-1"))
    for headers in (
        {},
        signed(body.replace("PENDING", "PAID")),
        {**signed(body), "webhook-id": "msg_2"},
        {**signed(body), "webhook-timestamp": str(int(time.time()) - 60)},
        {**signed(body), "webhook-timestamp": "now"},
        {**signed(body), "webhook-signature": "v1,\xe9 v1, v2,x".encode("latin-1")},
    ):
        forged.append(httpx.post(receiver.url, content=body, headers=headers, trust_env=False).status_code)
    assert forged == [401] * 10
    assert receiver.all_news == []


@every_language
@pytest.mark.parametrize("secrets", [(SECRET,), (OLD_SECRET,), (FOREIGN_SECRET, OLD_SECRET)])
def test_a_receiver_believes_both_secrets_while_they_change(
    receiver: Receiver, language: str, secrets: tuple[str, ...]
) -> None:
    assert receiver.post(event("INV-1"), secrets=secrets) == 200
    assert receiver.all_news == ["INV-1 is PENDING"]


@every_language
@pytest.mark.parametrize("dies", [False, True])
def test_a_receiver_passes_over_what_was_overtaken_and_what_it_knows(
    receiver: Receiver, language: str, dies: bool
) -> None:
    assert receiver.post(event("INV-1", 2, "PAID"), webhook_id="msg_2") == 200
    until(lambda: receiver.news == ["INV-1 is PAID"])
    if dies:
        receiver.kill()
        receiver.start()
    assert receiver.post(event("INV-1", 1, "PENDING"), webhook_id="msg_1") == 200
    assert receiver.post(event("INV-1", 2, "PAID"), webhook_id="msg_2") == 200
    assert receiver.post(event("INV-1", 3, "REFUNDED"), webhook_id="msg_2") == 200  # its id is known
    assert receiver.all_news == ["INV-1 is PAID"]


@every_language
def test_a_receiver_does_not_believe_an_empty_secret(tmp_path: Path, language: str) -> None:
    port = free_port()
    options = ["-S", f"127.0.0.1:{port}"] if language == "php" else []
    env = {"CALLBACK_SECRETS": "whsec_", "PORT": str(port)}
    with Sample(command("receiver", language, *options), tmp_path / "receiver", env) as running:
        assert running.process is not None
        if language == "php":  # it reads the secret with every request
            until(lambda: answers(port))
            body = json.dumps(event("INV-1"))
            refused = httpx.post(f"http://127.0.0.1:{port}", content=body, headers=signed(body), trust_env=False)
            assert refused.status_code == 500
        else:
            assert running.process.wait(10) == 1
    assert "CALLBACK_SECRETS" in running.log.read_text()


def till(server: LiveServer, tmp_path: Path, language: str, key: str | None = None) -> Sample:
    env = {"API_URL": server.url, "API_KEY": key or server.key}
    return Sample(command("till", language), tmp_path / "till", env)


def book(running: Sample, language: str) -> list[tuple[Any, ...]]:
    """What a till has written down."""
    if language == "js":
        file = running.directory / "till.jsonl"
        lines = file.read_text().splitlines(keepends=True) if file.exists() else []
        found = [json.loads(line) for line in lines if line.endswith("\n")]
        return [(one["event_id"], one["order_id"], one["type"], one["status"]) for one in found]
    with closing(sqlite3.connect(running.directory / "till.db")) as conn:
        if not conn.execute("SELECT 1 FROM sqlite_schema WHERE name = 'book'").fetchone():
            return []
        return conn.execute("SELECT event_id, order_id, type, status FROM book ORDER BY rowid").fetchall()


def happened(server: LiveServer) -> list[tuple[Any, ...]]:
    """What the till should have written down."""
    sql = """SELECT id, json_extract(body, '$.data.order_id'), type, json_extract(body, '$.data.status')
        FROM events ORDER BY id"""
    return rows(server, sql)


def sell(server: LiveServer, numbers: range) -> None:
    for number in numbers:
        order(server, f"INV-{number}")
        pay(server, f"INV-{number}")


@every_language
def test_a_till_loses_and_doubles_nothing_while_the_server_dies_and_the_till_has_a_night_off(
    server: LiveServer, tmp_path: Path, language: str
) -> None:
    with till(server, tmp_path, language) as running:
        sell(server, range(5))
        until(lambda: book(running, language) == happened(server))
        server.kill()
        until(lambda: "The server is away" in running.log.read_text())
        server.start()
        sell(server, range(5, 10))
        until(lambda: book(running, language) == happened(server))
        running.kill()
        sell(server, range(10, 110))
        for seen in (25, 60, 130, 190):
            running.start()
            until(lambda least=seen: len(book(running, language)) > least)  # type: ignore[misc]
            running.kill()
        running.start()
        until(lambda: book(running, language) == happened(server))
    assert len(happened(server)) == 220
    paid = running.said(r"INV-\d+ is paid")
    assert len(paid) == len(set(paid)) >= 100


@every_language
def test_a_till_that_needs_a_person_says_so_and_ends(qrisd: LiveServer, tmp_path: Path, language: str) -> None:
    with till(qrisd, tmp_path, language, key="qrisd_test_wrong") as running:
        assert running.process is not None
        assert running.process.wait(10) == 1
    assert "A person is needed" in running.log.read_text()
    assert "unauthorized" in running.log.read_text()


@pytest.mark.parametrize("language", ["js"])
def test_a_line_that_a_power_cut_tore_comes_again(
    qrisd: LiveServer, receiver: Receiver, tmp_path: Path, language: str
) -> None:
    order(qrisd, "INV-TORN")
    (tmp_path / "till").mkdir()
    (tmp_path / "till/till.jsonl").write_text('{"event_id":')
    with till(qrisd, tmp_path, language) as running:
        until(lambda: book(running, language) == happened(qrisd))
    receiver.kill()
    kept = receiver.directory / "callbacks.jsonl"
    kept.write_text('{"webhook_id":"msg_1"')
    receiver.start()
    assert receiver.post(event("INV-1")) == 200
    assert [json.loads(line)["webhook_id"] for line in kept.read_text().splitlines()] == ["msg_1"]


def test_the_example_of_a_callback_has_the_fields_of_a_real_one(qrisd: LiveServer) -> None:
    order(qrisd, "INV-FIELDS")
    pay(qrisd, "INV-FIELDS")
    (body,) = rows(qrisd, "SELECT body FROM events ORDER BY id DESC LIMIT 1")[0]
    example = re.search(r"```json\n(\{.*?\n)```", CALLBACKS, re.DOTALL)
    assert example is not None
    shown, real = json.loads(example[1]), json.loads(body)
    assert list(shown) == list(real)
    assert list(shown["data"]) == list(real["data"])
    assert (shown["type"], shown["sequence"], shown["data"]["status"]) == (real["type"], 2, "PAID")


def duration(seconds: float) -> str:
    size, unit = next(one for one in ((3600, "h"), (60, "min"), (1, "s")) if seconds >= one[0])
    return f"{seconds / size:g} {unit}"


def test_the_page_says_the_true_pauses_and_limits() -> None:
    assert f"at once, then after {', '.join(map(duration, PAUSES_S[1:]))}" in " ".join(CALLBACKS.split())
    assert f"up to {duration(LONGEST_ASKED_PAUSE_S)}" in CALLBACKS
    assert f"{SWITCHED_OFF_AFTER.days} days" in CALLBACKS
