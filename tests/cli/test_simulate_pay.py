from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from qrisd.cli import app
from qrisd.store.db import connect
from tests.support.installation import Installation
from tests.support.server import LiveServer


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with LiveServer(tmp_path_factory.mktemp("simulate-pay") / "data") as running:
        yield running


def order(live: LiveServer, order_id: str, **fields: Any) -> dict[str, Any]:
    with live.client() as client:
        answer = client.post("/payments", json={"order_id": order_id, "amount": 15_000, **fields})
    assert answer.status_code in (201, 202), answer.text
    payment: dict[str, Any] = answer.json()
    return payment


def pay(live: LiveServer, name: str, *options: str) -> tuple[int, dict[str, Any]]:
    """(exit code, what was printed)"""
    done = live.run("simulate-pay", name, "--url", live.url, "--json", *options)
    return done.returncode, json.loads(done.stdout)


def outcomes(told: dict[str, Any]) -> list[tuple[str, int, str]]:
    return [(one["status"], one["http_status"], one["outcome"]) for one in told["deliveries"]]


@pytest.mark.parametrize("named_by", ["id", "order_id"])
def test_it_pays_a_payment_by_id_and_by_order_id(live: LiveServer, named_by: str) -> None:
    payment = order(live, f"PLAIN-{named_by}")
    code, told = pay(live, payment[named_by])
    assert (code, outcomes(told)) == (0, [("PAID", 200, "applied")])
    assert (told["payment"]["status"], told["payment"]["amount_paid"]) == ("PAID", 15_000)
    assert told["payment"]["provider_ref_no"] == told["deliveries"][0]["provider_ref_no"]
    assert len(told["payment"]["provider_ref_no"]) == 12


def test_people_read_what_was_answered_and_how_the_payment_stands(live: LiveServer) -> None:
    order(live, "PEOPLE")
    done = live.run("simulate-pay", "PEOPLE", "--url", live.url)
    assert done.stdout == "PAID Rp15.000: HTTP 200, applied\nPEOPLE is PAID, Rp15.000 of Rp15.000 paid\n"


def test_duplicates_are_one_event_and_one_payment(live: LiveServer) -> None:
    order(live, "TWICE")
    code, told = pay(live, "TWICE", "--repeat", "3")
    assert (code, told["payment"]["amount_paid"]) == (0, 15_000)
    assert [one["outcome"] for one in told["deliveries"]] == ["applied", "duplicate", "duplicate"]
    assert len({(one["event_id"], one["provider_ref_no"]) for one in told["deliveries"]}) == 1


@pytest.mark.parametrize(
    ("options", "status", "exception", "paid"),
    [
        (["--amount", "14000"], "PENDING", "underpaid", 14_000),
        (["--amount", "16000"], "PAID", "overpaid", 16_000),
        (["--late"], "PAID", "late", 15_000),
        (["--late", "--shuffle", "--repeat", "4"], "PAID", "late", 15_000),
    ],
)
def test_what_needs_a_person_exits_2(
    live: LiveServer, options: list[str], status: str, exception: str, paid: int
) -> None:
    order(live, "ODD" + "".join(options))
    code, told = pay(live, "ODD" + "".join(options), *options)
    found = told["payment"]
    assert (code, found["status"], found["exception"], found["amount_paid"]) == (2, status, exception, paid)


def test_late_money_comes_after_the_simulator_said_expired(live: LiveServer) -> None:
    order(live, "LATE")
    _, told = pay(live, "LATE", "--late")
    assert outcomes(told) == [("EXPIRED", 200, "applied"), ("PAID", 200, "applied")]


def test_shuffled_events_are_paid_once(live: LiveServer) -> None:
    order(live, "SHUFFLED")
    code, told = pay(live, "SHUFFLED", "--shuffle", "--repeat", "20")
    said = [one["status"] for one in told["deliveries"]]
    assert (code, said.count("PAID"), said.count("PENDING")) == (0, 20, 1)
    assert (told["payment"]["status"], told["payment"]["amount_paid"]) == ("PAID", 15_000)


@pytest.mark.parametrize("status", ["PENDING", "FAILED", "EXPIRED", "CANCELLED"])
def test_other_statuses_are_reported_too(live: LiveServer, status: str) -> None:
    order(live, f"STATUS-{status}")
    code, told = pay(live, f"STATUS-{status}", "--status", status.lower())
    assert (code, told["payment"]["status"], told["payment"]["amount_paid"]) == (0, status, 0)


def test_a_refund_follows_the_payment(live: LiveServer) -> None:
    order(live, "REFUND")
    pay(live, "REFUND")
    code, told = pay(live, "REFUND", "--status", "REFUNDED", "--amount", "5000")
    assert (code, told["payment"]["status"], told["payment"]["amount_refunded"]) == (0, "PARTIALLY_REFUNDED", 5_000)


def test_a_forged_webhook_is_refused_and_that_is_fine(live: LiveServer) -> None:
    order(live, "FORGED")
    code, told = pay(live, "FORGED", "--forge", "--repeat", "2")
    assert (code, [one["http_status"] for one in told["deliveries"]]) == (0, [401, 401])
    assert told["payment"]["status"] == "PENDING"


async def test_a_payment_without_a_qr_yet_must_wait(shop: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    await shop.create("INV-1", metadata={"simulator": "lose_answer"})
    monkeypatch.setenv("QRISD_DATA_DIR", str(shop.settings.data_dir))
    refused = CliRunner().invoke(app, ["simulate-pay", "INV-1"])
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "wait a moment" in refused.stderr


class Gullible(BaseHTTPRequestHandler):
    """Takes everything and does nothing."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"outcome": "applied"}')

    def log_message(self, format: str, *args: object) -> None:
        """Silence on stderr, where the command's one line is looked for."""


@pytest.mark.parametrize(("options", "problem"), [(["--forge"], "must be refused with 401"), ([], "PENDING")])
def test_a_server_that_takes_what_it_must_not_or_does_nothing_exits_1(
    live: LiveServer, options: list[str], problem: str
) -> None:
    order(live, "GULLIBLE" + "".join(options))
    with ThreadingHTTPServer(("127.0.0.1", 0), Gullible) as gullible:
        threading.Thread(target=gullible.serve_forever).start()
        url = f"http://127.0.0.1:{gullible.server_port}"
        done = live.run("simulate-pay", "GULLIBLE" + "".join(options), "--url", url, *options)
        gullible.shutdown()
    assert done.returncode == 1
    assert problem in done.stderr


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (["NO-SUCH"], "no payment"),
        (["PAYABLE", "--status", "SETTLED"], "no status"),
        (["PAYABLE", "--url", "http://127.0.0.1:1"], "qrisd serve"),
        (["PAYABLE", "--url", "nonsense"], "--url"),
        (["REFUSED"], "never made a QR"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_exit_1(live: LiveServer, arguments: list[str], advice: str) -> None:
    with live.client() as client:
        client.post("/payments", json={"order_id": "PAYABLE", "amount": 1})
        client.post("/payments", json={"order_id": "REFUSED", "amount": 1, "metadata": {"simulator": "refuse"}})
    done = live.run("simulate-pay", *arguments)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert advice in done.stderr


def test_a_server_with_another_secret_refuses_and_says_why(live: LiveServer) -> None:
    order(live, "SECRET")
    other = LiveServer(live.data_dir, {"QRISD_PROVIDERS__SIMULATOR__WEBHOOK_SECRET": "another secret entirely"})
    done = other.run("simulate-pay", "SECRET", "--url", live.url)
    assert done.returncode == 1
    assert "HTTP 401" in done.stderr
    assert "webhook_secret" in done.stderr


async def test_it_is_off_where_money_is_real(shop: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    await shop.create("INV-1")
    monkeypatch.setenv("QRISD_DATA_DIR", str(shop.settings.data_dir))
    monkeypatch.setenv("QRISD_ENVIRONMENT", "live")
    monkeypatch.setenv("QRISD_DEFAULT_PROVIDER", "midtrans")
    monkeypatch.setenv("QRISD_PROVIDERS__MIDTRANS__SERVER_KEY", "Mid-server-0123456789abcdef")
    refused = CliRunner().invoke(app, ["simulate-pay", "INV-1"])
    assert refused.exit_code == 1
    assert "off" in refused.stderr


async def test_a_payment_at_another_provider_is_not_simulated(
    shop: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    await shop.create("INV-1")
    with closing(connect(shop.data_dir.database)) as conn:
        conn.execute("UPDATE attempts SET provider = 'midtrans'")
    monkeypatch.setenv("QRISD_DATA_DIR", str(shop.settings.data_dir))
    refused = CliRunner().invoke(app, ["simulate-pay", "INV-1"])
    assert refused.exit_code == 1
    assert "this payment is at midtrans" in refused.stderr


def test_version_1_signatures_carry_no_time(tmp_path: Path) -> None:
    (tmp_path / "qrisd.toml").write_text("[providers.simulator]\nsignature_version = 1\n")
    with LiveServer(tmp_path / "data") as old:
        order(old, "OLD")
        assert pay(old, "OLD")[0] == 0
