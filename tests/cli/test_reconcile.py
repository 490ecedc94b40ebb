"""`qrisd reconcile`, as people and timers run it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from qrisd.cli import app
from tests.fakes.midtrans import FakeMidtrans
from tests.faults.reconciliation_campaign import reconcile
from tests.faults.reconciliation_stage import ZONE, Seeding, settings_for
from tests.support.server import LiveServer


@pytest.fixture
async def fake() -> AsyncIterator[FakeMidtrans]:
    provider = FakeMidtrans()
    await provider.start()
    yield provider
    await provider.stop()


async def test_the_report_is_the_same_in_any_time_zone_of_the_process(tmp_path: Path, fake: FakeMidtrans) -> None:
    """SM-06"""
    (tmp_path / "qrisd.toml").write_text(settings_for(fake.url))
    day = (datetime.now(UTC).astimezone(ZONE) - timedelta(days=10)).date()
    await asyncio.to_thread(Seeding(tmp_path, fake, day, 1).run, 40, 0.4)
    runs = [await reconcile(tmp_path, day, {"TZ": zone}) for zone in ("UTC", "Asia/Tokyo", "America/New_York")]
    assert [run.code for run in runs] == [2, 2, 2]
    assert runs[0] == runs[1] == runs[2]
    assert b"<style>" in runs[0].files[0]
    assert b"<script" not in runs[0].files[0]


def test_it_works_beside_a_server_and_without_one(server: LiveServer) -> None:
    with server.client() as client:
        client.post("/payments", json={"order_id": "INV-1", "amount": 15_000})
    server.run("simulate-pay", "INV-1")
    beside = server.run("reconcile", "--date", "today")
    assert (beside.returncode, beside.stderr) == (0, "")
    assert "Clean: everything agrees." in beside.stdout
    server.terminate()
    alone = server.run("reconcile", "--date", "today", "--json")
    report = json.loads(alone.stdout)
    assert (alone.returncode, report["is_clean"], report["totals"][0]["paid_amount"]) == (0, True, 15_000)


def test_an_exception_is_noted_resolved_and_opened_again(server: LiveServer) -> None:
    today = datetime.now(UTC).astimezone(ZONE).date().isoformat()
    assert server.run("reconcile", "payout", "simulator", today, "5000").returncode == 0
    found = server.run("reconcile", "--date", "today", "--json")
    finding = json.loads(found.stdout)["exceptions"][0]
    assert (found.returncode, finding["reason"]) == (2, "other_amount_at_bank")
    finding_id = finding["id"]
    noted = json.loads(
        server.run("reconcile", "note", finding_id, "asked the bank", "--owner", "Sari", "--json").stdout
    )
    assert (noted["note"], noted["owner"], noted["status"]) == ("asked the bank", "Sari", "open")
    resolved = server.run("reconcile", "resolve", finding_id, "--reason", "a transfer of our own")
    assert (resolved.returncode, resolved.stdout) == (0, "amount payout " + today + ": resolved\n")
    assert server.run("reconcile", "--date", "today").returncode == 0
    assert server.run("reconcile", "reopen", finding_id, "--reason", "it was not").returncode == 0
    assert server.run("reconcile", "--date", "today").returncode == 2
    assert server.run("verify").returncode == 0


@pytest.mark.parametrize(("bank", "code"), [(5_000, 2), (None, 1)])
async def test_what_could_not_be_asked_hides_no_exception(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fake: FakeMidtrans, bank: int | None, code: int
) -> None:
    monkeypatch.setattr("qrisd.services.sweeping.PAUSES_S", ())
    (tmp_path / "qrisd.toml").write_text(settings_for(fake.url))
    day = (datetime.now(UTC).astimezone(ZONE) - timedelta(days=1)).date()
    await asyncio.to_thread(Seeding(tmp_path, fake, day, 1).run, 4, 0)
    await fake.stop()

    async def run(*arguments: str) -> Result:
        env = {"QRISD_DATA_DIR": str(tmp_path / "data")}
        given = ["reconcile", *arguments, "--config", str(tmp_path / "qrisd.toml")]
        return await asyncio.to_thread(CliRunner().invoke, app, given, env=env)

    if bank is not None:
        assert (await run("payout", "midtrans", day.isoformat(), str(bank))).exit_code == 0
    ended = await run("--date", day.isoformat())
    assert ended.exit_code == code
    assert ended.stderr == "qrisd: 4 QRs could not be asked about. Run it again: it goes on with those.\n"


def test_who_ran_it_is_in_the_audit_log(server: LiveServer) -> None:
    server.run("reconcile", "--date", "today", "--provider", "simulator")
    server.run("reconcile", "--date", "2099-01-01")
    audited = json.loads(server.run("audit", "--action", "reconciliation.run", "--json").stdout)["data"]
    today = datetime.now(UTC).astimezone(ZONE).date().isoformat()
    assert [(one["who"], one["what"], one["after"]) for one in audited] == [
        ("command line", today, {"provider": "simulator"})
    ]


def test_a_payout_is_changed_for_a_reason_only(server: LiveServer) -> None:
    entered = ("reconcile", "payout", "simulator", "2026-01-16")
    assert server.run(*entered, "5000", "--reason", "the statement of January").returncode == 0
    refused = server.run(*entered, "6000")
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "reason" in refused.stderr
    assert server.run(*entered, "6000", "--reason", "a digit was wrong").returncode == 0
    audited = json.loads(server.run("audit", "--action", "payout.enter", "--json").stdout)["data"]
    assert [(one["before"], one["after"], one["why"]) for one in audited] == [
        ({"amount": 5_000}, {"amount": 6_000}, "a digit was wrong"),
        (None, {"amount": 5_000}, "the statement of January"),
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "say which day"),
        (["--date", "2026-02-30"], "is no day"),
        (["--date", "2099-01-01"], "still to come"),
        (["--date", "today", "--provider", "bank"], "no provider bank"),
        (["--date", "today", "--lang", "jv"], "--lang is id or en"),
        (["--date", "today", "--html", "missing/report.html"], "cannot be written"),
        (["payout", "bank", "today", "1"], "no provider 'bank'"),
        (["resolve", "nothing", "--reason", "why"], "no such exception"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(server: LiveServer, arguments: list[str], said: str) -> None:
    refused = server.run("reconcile", *arguments)
    assert refused.returncode == 1
    assert said in refused.stderr
    assert refused.stderr.count("\n") == 1
