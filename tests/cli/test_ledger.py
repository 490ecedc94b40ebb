"""`qrisd ledger`: the accounts, what a payment posted, and putting the books right."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from qrisd.cli import app
from qrisd.domain.permissions import Role
from tests.support.clock import FakeClock
from tests.support.installation import Installation
from tests.support.people import PASSWORD, add_person


@pytest.fixture
async def shop(tmp_path: Path, clock: FakeClock) -> Installation:
    async with Installation(tmp_path / "data", clock, {}).running() as running:
        await running.webhook(await running.create("INV-1"), amount=15_500)
        add_person(running, Role.FINANCE, "sri")
        add_person(running, Role.CASHIER, "budi")
        return running


def ledger(shop: Installation, *arguments: str, typed: str = f"{PASSWORD}\n") -> Result:
    env = {"QRISD_DATA_DIR": str(shop.settings.data_dir)}
    return CliRunner().invoke(app, ["ledger", *arguments], input=typed, env=env)


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


def test_every_account_is_printed_with_its_balance(shop: Installation) -> None:
    accounts = {one["account"]: one["balance"] for one in said(shop, "accounts")["data"]}
    assert accounts == {"receivable:simulator": 15_500, "sales": 15_000, "overpaid": 500}
    assert "Rp15.500" in ledger(shop, "accounts").stdout


def test_an_entry_s_time_is_that_of_the_shop(shop: Installation) -> None:
    assert "2026-01-15 10:00:00 WIB" in ledger(shop, "show", "INV-1").stdout


def test_a_payment_shows_what_it_posted(shop: Installation) -> None:
    assert [one["kind"] for one in said(shop, "show", "INV-1")["data"]] == ["paid", "overpaid"]
    assert "receivable:simulator <- sales" in ledger(shop, "show", "INV-1").stdout
    assert ledger(shop, "show", "INV-9").exit_code == 1


def test_a_finance_person_puts_the_books_right_and_says_why(shop: Installation) -> None:
    assert adjustment(shop).exit_code == 0
    accounts = {one["account"]: one["balance"] for one in said(shop, "accounts")["data"]}
    assert accounts == {"receivable:simulator": 15_500, "sales": 15_500, "overpaid": 0}
    (row,) = shop.rows("SELECT * FROM audit_log WHERE action = 'ledger.adjust'")
    assert row["why"] == "a tip, the payer says"


def test_somebody_of_one_outlet_does_not_touch_the_books_of_all(shop: Installation) -> None:
    add_person(shop, Role.FINANCE, "rina", outlets=frozenset({"bandung"}))
    refused = adjustment(shop, **{"as": "rina"})
    assert (refused.exit_code, "all outlets" in refused.stderr) == (1, True)
    assert len(shop.rows("SELECT * FROM ledger_entries")) == 2


def test_who_cannot_prove_who_they_are_posts_nothing(shop: Installation) -> None:
    given = ("--debit=overpaid", "--credit=sales", "--amount=500", "--reason=x", "--as=sri")
    assert ledger(shop, "adjust", *given, typed="a guess\n").exit_code == 1
    assert len(shop.rows("SELECT * FROM ledger_entries")) == 2


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
def test_a_correction_that_makes_no_sense_posts_nothing(shop: Installation, changed: dict[str, str], said: str) -> None:
    refused = adjustment(shop, **changed)
    assert (refused.exit_code, said in refused.stderr) == (1, True)
    assert len(shop.rows("SELECT * FROM ledger_entries")) == 2
