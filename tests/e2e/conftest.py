"""A real browser before a real `qrisd serve`, apart from the other tests, whose event loop its own would disturb."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from typing import Any, Final
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, ViewportSize

from qrisd.data_dir import DataDir
from qrisd.domain.times import to_text
from tests.support.server import LiveServer

CHROMIUM: Final = os.environ.get("CHROMIUM", "/usr/bin/chromium")
QUIET: Final = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PHONE: Final[ViewportSize] = {"width": 360, "height": 740}
DESK: Final[ViewportSize] = {"width": 1280, "height": 800}


class Shop:
    """The running server, and what happens to its payments."""

    def __init__(self, server: LiveServer) -> None:
        self.server = server
        self.url = server.url

    def create(self, amount: int = 15_000, **fields: Any) -> dict[str, Any]:
        order = {"order_id": f"INV-{uuid4().hex[:10]}", "amount": amount, **fields}
        with self.server.client() as client:
            answer = client.post("/payments", json=order)
        assert answer.status_code in (201, 202), answer.text
        payment: dict[str, Any] = answer.json()
        return payment

    def get(self, payment_id: str) -> dict[str, Any]:
        with self.server.client() as client:
            payment: dict[str, Any] = client.get(f"/payments/{payment_id}").json()
        return payment

    def webhook(self, payment: dict[str, Any], *options: str) -> None:
        """A signed webhook to the running server, as `qrisd simulate-pay` sends it."""
        ran = self.server.run("simulate-pay", payment["order_id"], "--url", self.url, *options)
        assert ran.returncode in (0, 2), ran.stdout + ran.stderr  # 2: a person has to look at the payment

    def unconfirm(self, payment: dict[str, Any]) -> None:
        """Bring about that the provider has not confirmed the QR, for as long as nobody asks it."""
        self._write("UPDATE payments SET status = 'CREATED', qris_payload = NULL, version = version + 1", payment)

    def end_at(self, payment: dict[str, Any], moment: datetime) -> None:
        """Bring about what would take minutes."""
        ends_at = to_text(moment)
        self._write("UPDATE payments SET expires_at = ?, version = version + 1", payment, ends_at)
        attempts = "UPDATE attempts SET expires_at = ?, next_check_at = ?, version = version + 1"
        self._write(attempts, payment, ends_at, ends_at, key="payment_id")

    def _write(self, update: str, payment: dict[str, Any], *values: Any, key: str = "id") -> None:
        with closing(sqlite3.connect(DataDir(self.server.data_dir).database, timeout=10)) as conn, conn:
            conn.execute(f"{update} WHERE {key} = ?", (*values, payment["id"]))


@pytest.fixture(scope="session")
def base_url() -> None:
    """Instead of the plugin's, which pytest is about to forbid; tests ask the server they run for its address."""


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    return {**browser_type_launch_args, "executable_path": CHROMIUM, "args": QUIET}


@pytest.fixture(scope="session")
def browser_context_args(browser_context_args: dict[str, Any]) -> dict[str, Any]:
    return {**browser_context_args, "viewport": PHONE, "locale": "id-ID", "timezone_id": "America/Lima"}


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with LiveServer(tmp_path_factory.mktemp("shop") / "data") as server:
        yield Shop(server)


@pytest.fixture
def context(browser: Browser, running: Shop, browser_context_args: dict[str, Any]) -> Iterator[BrowserContext]:
    """A browser that must stay with us and have nothing to complain about."""
    asked: list[str] = []
    complaints: list[str] = []
    context = browser.new_context(**browser_context_args)

    def note(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            complaints.append(message.text)

    def ask(request: Request) -> None:
        asked.append(request.url)

    context.on("request", ask)
    context.on("console", note)
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    yield context
    context.close()
    assert [url for url in asked if not url.startswith(running.url)] == []
    assert complaints == []


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()
