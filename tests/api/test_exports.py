"""`GET /exports/{table}.{csv|xlsx}`"""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from python_calamine import CalamineWorkbook

from qrisd.domain.permissions import Role
from qrisd.store import audit_log
from tests.support.installation import Installation
from tests.support.people import add_person, audited

DAYS = {"from": "2026-01-15", "to": "2026-01-15"}


async def test_a_table_comes_as_csv_and_who_took_it_is_in_the_audit_log(shop: Installation) -> None:
    await shop.webhook(await shop.create())
    answer = await shop.client.get("/exports/payments.csv", params={**DAYS, "provider": "simulator", "totals": "true"})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="payments-2026-01-15-2026-01-15.csv"'
    row, totals = csv.DictReader(io.StringIO(answer.text, newline=""))
    assert (row["order_id"], row["amount_paid"], totals["amount_paid"]) == ("INV-1", "15000", "15000")
    (noted,) = audited(shop, "export.made")
    assert noted["what"] == "payments"
    assert json.loads(noted["after"]) == {
        **DAYS,
        "provider": "simulator",
        "rows": 1,
        "amount": 15_000,
        "amount_paid": 15_000,
        "amount_refunded": 0,
    }


async def test_a_table_comes_as_a_sheet(shop: Installation) -> None:
    await shop.webhook(await shop.create())
    answer = await shop.client.get("/exports/ledger.xlsx", params=DAYS)
    assert answer.status_code == 200
    assert answer.headers["content-type"].endswith("spreadsheetml.sheet")
    headings, entry = CalamineWorkbook.from_object(io.BytesIO(answer.content)).get_sheet_by_name("ledger").to_python()
    assert dict(zip(headings, entry, strict=True))["amount"] == 15_000


async def test_excel_is_told_that_it_is_utf_8_when_that_is_asked_for(shop: Installation) -> None:
    for asked, begins in (("true", b"\xef\xbb\xbfbusiness_day,"), ("false", b"business_day,")):
        answer = await shop.client.get("/exports/payments.csv", params={**DAYS, "bom": asked})
        assert answer.content.startswith(begins)


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        ("payments.csv", {}, 400),
        ("payments.csv", {"from": "2026-01-15"}, 400),
        ("payments.csv", {**DAYS, "to": "15-01-2026"}, 400),
        ("payments.csv", {**DAYS, "totals": "yes"}, 400),
        ("payments.csv", {**DAYS, "status": "PAID"}, 400),
        ("payments.csv", {"from": "2026-01-15", "to": "2026-01-14"}, 422),
        ("payments.csv", {"from": "2026-01-15", "to": "2027-01-16"}, 422),
        ("users.csv", DAYS, 404),
        ("payments.json", DAYS, 404),
        ("payments", DAYS, 404),
    ],
)
async def test_what_cannot_be_exported_is_refused_and_not_noted(
    shop: Installation, path: str, query: dict[str, str], status: int
) -> None:
    answer = await shop.client.get(f"/exports/{path}", params=query)
    assert answer.status_code == status
    assert audited(shop, "export.made") == []


async def test_a_key_of_some_outlets_exports_those(shop: Installation) -> None:
    for outlet in ("dago", "braga"):
        await shop.webhook(await shop.create(f"INV-{outlet}", outlet=outlet))
    headers = {"Authorization": f"Bearer {shop.new_key(outlets=frozenset({'dago'}))}"}
    for table in ("payments", "ledger"):
        answer = await shop.client.get(f"/exports/{table}.csv", params=DAYS, headers=headers)
        assert [row["outlet"] for row in csv.DictReader(io.StringIO(answer.text, newline=""))] == ["dago"]


async def test_what_cannot_be_noted_is_not_handed_out(shop: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    await shop.create()

    def broken(*given: Any, **more: Any) -> None:
        raise RuntimeError

    monkeypatch.setattr(audit_log, "add", broken)
    answer = await shop.client.get("/exports/payments.csv", params=DAYS)
    assert (answer.status_code, "INV-1" in answer.text) == (500, False)


async def test_a_person_exports_by_their_key_as_their_role_allows(shop: Installation) -> None:
    for role, status in ((Role.FINANCE, 200), (Role.AUDITOR, 200), (Role.SUPERVISOR, 403), (Role.CASHIER, 403)):
        user = add_person(shop, role)
        headers = {"Authorization": f"Bearer {shop.new_key(user_id=user.id)}"}
        assert (await shop.client.get("/exports/ledger.csv", params=DAYS, headers=headers)).status_code == status
