"""`qrisd settlements`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from qrisd.cli import app
from tests.support.clock import FakeClock
from tests.support.installation import Installation
from tests.support.reports import XENDIT_V2, as_csv, xendit


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Installation]:
    async with Installation(tmp_path / "data", FakeClock()).running() as running:
        yield running


async def settlements(shop: Installation, *arguments: str, **env: str) -> Result:
    """Run it on a thread of its own, beside the service."""
    given = {"QRISD_DATA_DIR": str(shop.settings.data_dir), **env}
    return await asyncio.to_thread(CliRunner().invoke, app, ["settlements", *arguments], env=given)


@pytest.fixture
def report(tmp_path: Path) -> Path:
    file = tmp_path / "january.csv"
    rows = [xendit("R1"), xendit("R2", number=2), xendit("R3", number=3, Channel="VIRTUAL_ACCOUNT")]
    file.write_bytes(as_csv(XENDIT_V2, rows))
    return file


async def test_a_report_is_imported_beside_a_running_server(shop: Installation, report: Path) -> None:
    tried = await settlements(shop, "import", str(report), "--provider", "xendit", "--dry-run")
    assert tried.exit_code == 0, tried.output
    assert tried.stdout.splitlines() == [
        "january.csv: xendit_transactions_v2, 2 lines of xendit",
        "  amount Rp30.000, fee Rp210, net Rp29.790",
        "  2 new, 0 changed, 0 known already",
        "  2 are about no payment here: `qrisd settlements list --unmatched`",
        "  1 rows left out (Channel: VIRTUAL_ACCOUNT)",
        "Checked only; nothing was stored.",
    ]
    assert shop.rows("SELECT * FROM settlements") == []
    done = await settlements(shop, "import", str(report), "--provider", "xendit", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["new"] == 2
    listed = await settlements(shop, "list", "--date", "2026-01-17", "--json")
    assert [one["reference"] for one in json.loads(listed.stdout)["settlements"]] == ["R2", "R1"]
    assert "R1" in (await settlements(shop, "list", "--unmatched")).stdout
    assert "january.csv" in (await settlements(shop, "files")).stdout


async def test_the_same_file_twice_exits_1_and_says_when(shop: Installation, report: Path) -> None:
    await settlements(shop, "import", str(report), "--provider", "xendit")
    again = await settlements(shop, "import", str(report), "--provider", "xendit")
    assert again.exit_code == 1
    assert "This file was imported on 20" in again.stderr


async def test_a_wrong_row_exits_1_and_is_named(shop: Installation, tmp_path: Path) -> None:
    file = tmp_path / "wrong.csv"
    file.write_bytes(as_csv(XENDIT_V2, [xendit("R1") | {"Total Fee": "1,000"}]))
    refused = await settlements(shop, "import", str(file), "--provider", "xendit")
    assert refused.exit_code == 1
    assert refused.stderr.splitlines() == [
        "qrisd: wrong.csv was not imported, nothing was stored:",
        "  row 2, Total Fee: '1,000' can be read as thousands or as a fraction: say which with "
        'decimal = "," or decimal = "." in a layout',
    ]
    assert shop.rows("SELECT * FROM settlements") == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("import", "nowhere.csv", "--provider", "xendit"), "there is no file nowhere.csv"),
        (("list", "--date", "tomorrow"), "--date must be a business day"),
    ],
)
async def test_what_cannot_be_done_exits_1(shop: Installation, arguments: tuple[str, ...], said: str) -> None:
    refused = await settlements(shop, *arguments)
    assert refused.exit_code == 1
    assert said in refused.stderr


async def test_an_unknown_provider_exits_1_and_the_known_are_named(shop: Installation, report: Path) -> None:
    refused = await settlements(shop, "import", str(report), "--provider", "nobody")
    assert refused.exit_code == 1
    assert "choose from simulator, antom, dana, midtrans, xendit" in refused.stderr


async def test_a_layout_can_be_given_in_the_environment(shop: Installation, tmp_path: Path) -> None:
    file = tmp_path / "bank.csv"
    file.write_text("Ref;Jumlah;Tanggal\nR1;15.000;17/01/2026\n")
    layout = {
        "provider": "bank",
        "columns": {"reference": "Ref", "amount": "Jumlah", "settlement_date": "Tanggal"},
        "unit": "rupiah",
        "decimal": ",",
        "date_format": "%d/%m/%Y",
    }
    env = {"QRISD_SETTLEMENTS__LAYOUTS": json.dumps({"bank": layout})}
    done = await settlements(shop, "import", str(file), "--provider", "bank", **env)
    assert done.exit_code == 0, done.output
    assert "paid out in full until a report says what was kept" in done.stdout


async def test_overcharges_exit_2(shop: Installation, tmp_path: Path) -> None:
    await shop.create("INV-1", 15_000)
    assert (await settlements(shop, "overcharges")).stdout == "Nothing too much was kept.\n"
    file = tmp_path / "r.csv"
    file.write_text("order_id,amount,fee,settlement_date\nINV-1,15000,105,2026-01-17\n")
    await settlements(shop, "import", str(file), "--provider", "simulator")
    found = await settlements(shop, "overcharges", "--from", "2026-01-17", "--to", "2026-01-17")
    assert found.exit_code == 2
    assert found.stdout.splitlines() == [
        "2026-01-17  simulator  INV-1: of Rp15.000 kept Rp105, UMI allows Rp0: Rp105 too much",
        "1 payments, Rp105 too much.",
    ]
    listed = json.loads((await settlements(shop, "overcharges", "--json")).stdout)
    assert [one["over"] for one in listed["overcharges"]] == [105]


async def test_what_is_planned_is_said_with_what_to_do(shop: Installation, tmp_path: Path) -> None:
    soon = (datetime.now(UTC) + timedelta(days=2)).date()
    file = tmp_path / "r.csv"
    file.write_text(f"line_id,amount,fee,settlement_date\nL1,15000,105,{soon}\n")
    done = await settlements(shop, "import", str(file), "--provider", "simulator")
    assert done.exit_code == 0, done.output
    assert "  1 are to be paid out on a day to come: import the same file again from that day on" in done.stdout
    assert "(expected)" in (await settlements(shop, "list")).stdout
