from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from qrisd.cli import app
from tests.support.installation import Installation
from tests.support.server import LiveServer


def verify(shop: Installation, *options: str) -> Result:
    return CliRunner().invoke(app, ["verify", *options], env={"QRISD_DATA_DIR": str(shop.settings.data_dir)})


@pytest.fixture
async def paid_shop(shop: Installation) -> Installation:
    await shop.webhook(await shop.create("INV-1"))
    return shop


async def test_sound_payments_exit_0(paid_shop: Installation) -> None:
    checked = verify(paid_shop)
    assert (checked.exit_code, "checks hold" in checked.stdout) == (0, True)


async def test_a_broken_rule_exits_2_and_names_the_payment(paid_shop: Installation) -> None:
    with closing(sqlite3.connect(paid_shop.data_dir.database, isolation_level=None)) as conn:
        conn.execute("UPDATE payments SET amount_paid = 1")
    payment_id = paid_shop.rows("SELECT id FROM payments")[0]["id"]
    checked = verify(paid_shop)
    assert checked.exit_code == 2
    assert payment_id in checked.stdout
    told = {one["check"]: one for one in json.loads(verify(paid_shop, "--json").stdout)}
    assert (told["amount_paid"]["state"], told["amount_paid"]["offenders"]) == ("fail", [payment_id])
    assert told["events"]["state"] == "ok"


def test_without_a_database_it_exits_1(tmp_path: Path) -> None:
    checked = CliRunner().invoke(app, ["verify"], env={"QRISD_DATA_DIR": str(tmp_path / "none")})
    assert (checked.exit_code, checked.stdout) == (1, "")


def test_it_works_beside_a_running_server_and_changes_nothing(server: LiveServer) -> None:
    with server.client() as client:
        client.post("/payments", json={"order_id": "INV-1", "amount": 15_000})
    assert server.run("verify").returncode == 0
    assert server.run("simulate-pay", "INV-1", "--url", server.url).returncode == 0
