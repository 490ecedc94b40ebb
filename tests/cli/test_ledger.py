"""`qrisd ledger`: the accounts, what a payment posted, and putting the books right."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from qrisd.cli import app
from qrisd.domain.permissions import Role
from qrisd.services import people
from qrisd.services.people import Draft
from qrisd.store.db import connect
from tests.support.clock import FakeClock
from tests.support.installation import Installation
from tests.support.people import BY


@pytest.fixture
async def shop(tmp_path: Path, clock: FakeClock) -> Installation:
    async with Installation(tmp_path / "data", clock, {}).running() as running:
        await running.webhook(await running.create("INV-1"), amount=15_500)
        with closing(connect(running.data_dir.database)) as conn:
            for username, role in (("sri", Role.FINANCE), ("budi", Role.CASHIER)):
                people.create(conn, Draft(username, username, role, None), BY, datetime.now(UTC))
        return running


def ledger(shop: Installation, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["ledger", *arguments], env={"QRISD_DATA_DIR": str(shop.settings.data_dir)})


def said(shop: Installation, *arguments: str) -> Any:
    result = ledger(shop, *arguments, "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def adjustment(shop: Installation, **changed: str) -> Result:
    given = {
        "debit": "overpaid",
        "credit": "sales",
        "amount": "500",
        "reason": "a tip, the payer says",
        "as": "sri",
        **changed,
    }
    return ledger(shop, "adjust", *(f"--{name}={value}" for name, value in given.items()))


async def test_every_account_is_printed_with_its_balance(shop: Installation) -> None:
    accounts = {one["account"]: one["balance"] for one in said(shop, "accounts")["data"]}
    assert accounts == {"receivable:simulator": 15_500, "sales": 15_000, "overpaid": 500}
    assert "Rp15.500" in ledger(shop, "accounts").stdout


async def test_a_payment_shows_what_it_posted(shop: Installation) -> None:
    assert [one["kind"] for one in said(shop, "show", "INV-1")["data"]] == ["paid", "overpaid"]
    assert "receivable:simulator <- sales" in ledger(shop, "show", "INV-1").stdout
    assert ledger(shop, "show", "INV-9").exit_code == 1


async def test_a_finance_person_puts_the_books_right_and_says_why(shop: Installation) -> None:
    assert adjustment(shop).exit_code == 0
    accounts = {one["account"]: one["balance"] for one in said(shop, "accounts")["data"]}
    assert accounts == {"receivable:simulator": 15_500, "sales": 15_500, "overpaid": 0}
    (row,) = shop.rows("SELECT * FROM audit_log WHERE action = 'ledger.adjust'")
    assert row["why"] == "a tip, the payer says"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"as": "budi"}, "may not"),
        ({"as": "nobody"}, "nobody with this username"),
        ({"debit": "sale"}, "no account sale"),
        ({"credit": "overpaid"}, "two different"),
        ({"amount": "0"}, "above 0"),
        ({"reason": " "}, "Say why"),
    ],
)
async def test_a_correction_that_makes_no_sense_posts_nothing(
    shop: Installation, changed: dict[str, str], said: str
) -> None:
    refused = adjustment(shop, **changed)
    assert (refused.exit_code, said in refused.stderr) == (1, True)
    assert len(shop.rows("SELECT * FROM ledger_entries")) == 2
