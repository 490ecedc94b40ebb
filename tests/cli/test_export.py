"""`qrisd export` and `qrisd audit`"""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from python_calamine import CalamineWorkbook
from typer.testing import CliRunner, Result

from qrisd.cli import app
from qrisd.domain.permissions import Role
from tests.support.installation import Installation
from tests.support.people import add_person, audited

DAYS = ("--from", "2026-01-15", "--to", "2026-01-15")


def run(shop: Installation, *arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, env={"QRISD_DATA_DIR": str(shop.settings.data_dir)})


@pytest.fixture
async def sold(shop: Installation) -> Installation:
    await shop.webhook(await shop.create("000123", description="=1+1"))
    return shop


async def test_csv_goes_to_standard_output_and_the_totals_beside_it(sold: Installation) -> None:
    done = run(sold, "export", "payments", *DAYS)
    assert done.exit_code == 0
    (row,) = csv.DictReader(io.StringIO(done.stdout_bytes.decode(), newline=""))
    assert (row["order_id"], row["description"], row["amount"]) == ("000123", "'=1+1", "15000")
    assert done.stderr == "1 rows; amount 15000, amount_paid 15000, amount_refunded 0.\n"
    (noted,) = audited(sold, "export.made")
    assert (noted["who"], noted["what"]) == ("command line", "payments")


async def test_a_file_is_made_and_never_overwritten(sold: Installation, tmp_path: Path) -> None:
    path = tmp_path / "ledger.xlsx"
    assert run(sold, "export", "ledger", *DAYS, "--format", "xlsx", "--out", str(path), "--totals").exit_code == 0
    lines = CalamineWorkbook.from_path(path).get_sheet_by_index(0).to_python()
    assert [line[0] for line in lines] == ["business_day", "2026-01-15", "total"]
    again = run(sold, "export", "ledger", *DAYS, "--format", "xlsx", "--out", str(path))
    assert (again.exit_code, "exists already" in again.stderr) == (1, True)
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("users", *DAYS), "there is no table 'users'"),
        (("payments", *DAYS, "--format", "pdf"), "there is no format 'pdf'"),
        (("payments", *DAYS, "--format", "xlsx"), "--out"),
        (("payments", "--from", "kemarin", "--to", "2026-01-15"), "kemarin is no business day"),
        (("payments", "--from", "2026-01-16", "--to", "2026-01-15"), "The last day is before the first."),
        (("payments", *DAYS, "--out", "/nowhere/x.csv"), "cannot be written"),
    ],
)
async def test_what_cannot_be_done_is_said_in_one_line(
    sold: Installation, arguments: tuple[str, ...], told: str
) -> None:
    done = run(sold, "export", *arguments)
    assert (done.exit_code, told in done.stderr) == (1, True), done.stderr
    assert done.stderr.count("\n") == 1


async def test_what_was_done_is_printed_newest_first_with_names(sold: Installation) -> None:
    owner = add_person(sold, Role.OWNER)
    headers = {"Authorization": f"Bearer {sold.new_key(user_id=owner.id)}"}
    payment = await sold.create("INV-2")
    await sold.client.post(f"/payments/{payment['id']}/cancel", headers=headers)
    shown = run(sold, "audit")
    assert shown.exit_code == 0
    first, before, after, second, *_ = shown.stdout.splitlines()
    assert "2026-01-15 10:00:00 WIB  owner from 127.0.0.1 api_key:" in first
    assert first.endswith(f": payment.cancelled {payment['id']}")
    assert ("PENDING" in before, "CANCELLED" in after) == (True, True)
    assert "user.created" in second
    told = json.loads(run(sold, "audit", "--json", "--who", "owner").stdout)["data"]
    assert [row["what"] for row in told] == [payment["id"]]
    assert shown.stdout.splitlines()[-1].endswith(f"hash {told[0]['hash']}")


async def test_what_was_done_is_narrowed(sold: Installation) -> None:
    run(sold, "export", "payments", *DAYS)
    today = datetime.now(UTC).astimezone(ZoneInfo("Asia/Jakarta")).date().isoformat()
    assert "export.made payments" in run(sold, "audit", "--since", today, "--action", "export.*").stdout
    assert run(sold, "audit", "--who", "nobody").stdout == "Nothing of the kind.\n"
    assert "export.made" in run(sold, "audit", "--what", "payments").stdout
    wrong = run(sold, "audit", "--since", "kemarin")
    assert (wrong.exit_code, "--since must be" in wrong.stderr) == (1, True)
