"""`qrisd refunds`: the owner at the machine, beside a running server."""

from __future__ import annotations

import json
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pyotp import TOTP
from typer.testing import CliRunner, Result

from qrisd.cli import app
from qrisd.domain.permissions import Role
from qrisd.services.people import Draft
from qrisd.store import users
from qrisd.store.db import connect
from tests.faults.history import database_violations
from tests.support.clock import FakeClock
from tests.support.installation import Installation
from tests.support.people import PASSWORD, cheap_hash, hire, switch_second_factor_on
from tests.support.refunds import paid
from tests.support.server import LiveServer

PEOPLE = {"sri": Role.FINANCE, "tono": Role.OWNER, "budi": Role.CASHIER, "ani": Role.SUPERVISOR}
TYPED = f"{PASSWORD}\n"


def hire_all(database: Path) -> None:
    for username, role in PEOPLE.items():
        hire(database, Draft(username, username, role, None), datetime.now(UTC), cheap_hash(PASSWORD))


@pytest.fixture
async def shop(tmp_path: Path, clock: FakeClock) -> Installation:
    async with Installation(tmp_path / "data", clock).running() as running:
        await paid(running)
        hire_all(running.data_dir.database)
        return running


def refunds(shop: Installation, *arguments: str, typed: str = TYPED) -> Result:
    env = {"QRISD_DATA_DIR": str(shop.settings.data_dir)}
    return CliRunner().invoke(app, ["refunds", *arguments], input=typed, env=env)


def said(shop: Installation, *arguments: str) -> Any:
    result = refunds(shop, *arguments, "--json")
    assert result.exit_code in (0, 2), result.stderr
    return json.loads(result.stdout)


def requested(shop: Installation, *more: str, by: str = "sri") -> str:
    refund = said(shop, "request", "INV-1", "--reason=not served", f"--as={by}", *more)
    assert refund["status"] == "REQUESTED"
    return str(refund["id"])


def test_a_refund_is_asked_for_listed_shown_and_approved_by_another(shop: Installation) -> None:
    refund = requested(shop, "--amount=5000")
    listed = refunds(shop, "list")
    assert (listed.exit_code, "1 waits for approval" in listed.stdout) == (2, True)
    assert "Rp5.000" in listed.stdout
    assert "asked by  sri" in refunds(shop, "show", refund).stdout
    approved = said(shop, "approve", refund, "--as=tono", "--reason=true")
    assert (approved["status"], approved["decisions"][0]["name"]) == ("APPROVED", "tono")
    assert refunds(shop, "list", "--status=requested").exit_code == 0
    assert len(said(shop, "list", "--payment=INV-1")["data"]) == 1


def test_times_are_those_of_the_shop(shop: Installation) -> None:
    refund = requested(shop)
    asked = refunds(shop, "show", refund).stdout
    assert ("  expires   " in asked, asked.count(" WIB")) == (True, 2)
    shown = refunds(shop, "approve", refund, "--as=tono").stdout
    assert shown.count(" WIB") == 2
    assert "Z  approved" not in shown


@pytest.mark.parametrize("username", ["sri", "tono"])
def test_nobody_approves_their_own_request_at_the_machine_either(shop: Installation, username: str) -> None:
    """MO-05"""
    refund = requested(shop, by=username)
    refused = refunds(shop, "approve", refund, f"--as={username}")
    assert (refused.exit_code, "Another person" in refused.stderr) == (1, True)
    (row,) = shop.rows("SELECT source FROM audit_log WHERE action = 'refund.self_approval_refused'")
    assert row == {"source": "command line"}
    assert said(shop, "show", refund)["status"] == "REQUESTED"


@pytest.mark.parametrize("typed", ["another one\n", "\n", "\x00\n", "", f"{PASSWORD}x\n"])
def test_who_cannot_prove_who_they_are_does_nothing_in_their_name(shop: Installation, typed: str) -> None:
    refund = requested(shop)
    refused = refunds(shop, "approve", refund, "--as=tono", typed=typed)
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert said(shop, "show", refund)["status"] == "REQUESTED"


def test_tries_at_the_machine_are_counted_and_written_down(shop: Installation) -> None:
    refund = requested(shop)
    for _ in range(5):
        assert "wrong" in refunds(shop, "approve", refund, "--as=tono", typed="guess\n").stderr
    assert "wait" in refunds(shop, "approve", refund, "--as=tono").stderr
    rows = shop.rows("SELECT source FROM audit_log WHERE action = 'proof.failed'")
    assert rows == [{"source": "command line"}] * 5


def test_who_has_a_second_factor_proves_with_it(shop: Installation) -> None:
    refund = requested(shop)
    with closing(connect(shop.data_dir.database)) as conn:
        tono = users.by_username(conn, "tono")
    assert tono is not None
    secret, (recovery_code, *_) = switch_second_factor_on(shop, tono)
    assert "Code of the second factor" in refunds(shop, "approve", refund, "--as=tono").stderr
    assert refunds(shop, "approve", refund, "--as=tono", typed=f"{PASSWORD}\n000000\n").exit_code == 1
    code = TOTP(secret).now()
    assert refunds(shop, "approve", refund, "--as=tono", typed=f"{PASSWORD}\n{code}\n").exit_code == 0
    assert refunds(shop, "cancel", refund, "--as=tono", typed=f"{PASSWORD}\n{code}\n").exit_code == 1, "used"
    assert refunds(shop, "cancel", refund, "--as=tono", typed=f"{PASSWORD}\n{recovery_code}\n").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("request", "INV-1", "--reason=x", "--as=budi"), "refunds:request"),
        (("request", "INV-1", "--reason=x", "--as=nobody"), "nobody with this username"),
        (("request", "INV-9", "--reason=x", "--as=sri"), "no payment"),
        (("request", "INV-1", "--reason= ", "--as=sri"), "--reason"),
        (("request", "INV-1", "--reason=x", "--amount=0", "--as=sri"), "--amount"),
        (("request", "INV-1", "--reason=x", "--amount=15001", "--as=sri"), "Only Rp15.000 came"),
        (("request", "INV-1", "--reason=x", "--method=card", "--as=sri"), "--method"),
        (("request", "INV-1", "--reason=x", "--method=cash", "--as=sri"), "evidence"),
        (("approve", "nothing", "--as=tono"), "no such refund"),
        (("list", "--status=gone"), "no status"),
        (("resolve", "nothing", "--outcome=maybe", "--evidence=x", "--as=tono"), "--outcome done"),
    ],
)
def test_what_cannot_be_done_says_why(shop: Installation, arguments: tuple[str, ...], text: str) -> None:
    result = refunds(shop, *arguments)
    assert (result.exit_code, text in result.stderr) == (1, True), result.stderr
    assert shop.rows("SELECT id FROM refunds") == []


def test_somebody_who_was_disabled_decides_nothing(shop: Installation) -> None:
    refund = requested(shop)
    with closing(connect(shop.data_dir.database)) as conn:
        tono = users.by_username(conn, "tono")
        assert tono is not None
        users.save_disabled(conn, tono.id, datetime.now(UTC))
    assert refunds(shop, "approve", refund, "--as=tono").exit_code == 1


def test_a_refund_is_rejected_or_withdrawn(shop: Installation) -> None:
    assert said(shop, "reject", requested(shop), "--as=tono", "--reason=it was served")["status"] == "REJECTED"
    assert said(shop, "cancel", requested(shop), "--as=sri")["status"] == "CANCELLED"
    assert refunds(shop, "cancel", requested(shop), "--as=budi").exit_code == 1


def test_a_stuck_refund_is_resolved_by_two(shop: Installation) -> None:
    """MO-03"""
    refund = requested(shop)
    resolve = ("resolve", refund, "--outcome=done", "--evidence=their letter of today")
    assert refunds(shop, *resolve, "--as=sri").exit_code == 1
    said(shop, "approve", refund, "--as=tono")
    shop.write("UPDATE refunds SET status = 'UNKNOWN', sent_at = updated_at, tries = 1")
    assert [one["decision"] for one in said(shop, *resolve, "--as=sri")["decisions"]] == ["approved", "proposed"]
    assert refunds(shop, *resolve, "--as=sri").exit_code == 1
    assert refunds(shop, *resolve, "--as=budi").exit_code == 1
    other = ("resolve", refund, "--outcome=failed", "--evidence=they deny it")
    assert said(shop, *other, "--as=ani")["decisions"][-1]["decision"] == "proposed"
    done = said(shop, *resolve, "--as=tono")["decisions"]
    assert done[-1]["decision"] == "proposed", "the two before said different things"
    resolved = said(shop, *resolve, "--as=ani")
    assert [one["decision"] for one in resolved["decisions"]][-1] == "resolved"
    assert refunds(shop, *resolve, "--as=sri").exit_code == 1


def test_what_is_approved_at_the_machine_is_carried_out_by_the_running_server(server: LiveServer) -> None:

    with server.client() as client:
        payment = client.post("/payments", json={"order_id": "INV-1", "amount": 15_000}).json()
        assert server.run("simulate-pay", payment["id"], "--url", server.url).returncode == 0
        hire_all(server.data_dir / "qrisd.db")
        asked = server.run("refunds", "request", "INV-1", "--reason=not served", "--as=sri", "--json", typed=TYPED)
        refund = json.loads(asked.stdout)["id"]
        assert server.run("refunds", "approve", refund, "--as=tono", typed=TYPED).returncode == 0
        for _ in range(100):
            if client.get(f"/payments/{payment['id']}").json()["status"] == "REFUNDED":
                break
            time.sleep(0.1)
        assert client.get(f"/refunds/{refund}").json()["status"] == "DONE"
    with closing(connect(server.data_dir / "qrisd.db", read_only=True)) as conn:
        assert database_violations(conn) == []
