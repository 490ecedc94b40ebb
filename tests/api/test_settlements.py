"""Settlement reports over the API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from qrisd.api.middleware import REPORT_BODY_LIMIT_BYTES
from qrisd.api.shapes.settlements import Import, Overcharge, Settlement, SettlementFile
from tests.support.clock import FakeClock
from tests.support.installation import Installation
from tests.support.reports import XENDIT_V2, as_csv, write_xlsx, xendit

IMPORT = "/settlements/import"


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Installation]:
    """A day after all that its reports pay out."""
    async with Installation(tmp_path / "data", FakeClock(datetime(2026, 1, 20, 3, tzinfo=UTC))).running() as running:
        yield running


def report(*numbers: int) -> bytes:
    return as_csv(XENDIT_V2, [xendit(f"R{number}", number=number) for number in numbers])


async def test_a_report_is_imported_and_its_lines_are_listed(shop: Installation) -> None:
    payment = await shop.create("INV-1", 15_000)
    text = f"order_id,amount,fee,settlement_date\n{payment['order_id']},15000,105,2026-01-17\nINV-9,1,0,2026-01-18\n"
    answer = await shop.client.post(IMPORT, params={"provider": "simulator", "name": "bank.csv"}, content=text)
    assert answer.status_code == 201, answer.text
    done = Import.model_validate(answer.json())
    assert (done.name, done.lines, done.new, done.unmatched, done.net_amount) == ("bank.csv", 2, 2, 1, 14_896)
    listed = (await shop.client.get("/settlements", params={"date": "2026-01-17"})).json()
    assert listed["next_cursor"] is None
    [line] = [Settlement.model_validate(one, strict=False) for one in listed["data"]]
    assert (line.payment_id, line.amount, line.fee, line.net_amount) == (payment["id"], 15_000, 105, 14_895)
    assert line.file_id == done.file_id
    orphans = (await shop.client.get("/settlements", params={"matched": "false"})).json()["data"]
    assert [one["order_id"] for one in orphans] == ["INV-9"]


async def test_a_dry_run_stores_nothing(shop: Installation) -> None:
    query = {"provider": "xendit", "dry_run": "true"}
    answer = await shop.client.post(IMPORT, params=query, content=report(1, 2))
    assert (answer.status_code, answer.json()["new"], answer.json()["file_id"]) == (200, 2, None)
    assert (await shop.client.get("/settlements")).json()["data"] == []


async def test_the_same_file_twice_is_a_conflict_that_names_the_first(shop: Installation) -> None:
    first = await shop.client.post(IMPORT, params={"provider": "xendit"}, content=report(1))
    again = await shop.client.post(IMPORT, params={"provider": "xendit"}, content=report(1))
    assert (again.status_code, again.json()["code"]) == (409, "report_known")
    assert again.json()["existing"] == first.json()["file_id"]
    assert "2026-01-20 03:00:00 UTC" in again.json()["detail"]


async def test_wrong_rows_are_named_by_row_and_column(shop: Installation) -> None:
    body = as_csv(XENDIT_V2, [xendit("R1"), xendit("R2", number=2) | {"Amount": "1.000"}])
    answer = await shop.client.post(IMPORT, params={"provider": "xendit"}, content=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")
    assert [one["field"] for one in answer.json()["errors"]] == ["row 3, Amount"]
    assert (await shop.client.get("/settlements")).json()["data"] == []


@pytest.mark.parametrize(
    ("query", "status"),
    [({}, 400), ({"provider": "nobody"}, 422), ({"provider": "xendit", "dry_run": "yes"}, 400), ({"x": "1"}, 400)],
)
async def test_a_request_that_cannot_be_understood_is_refused(
    shop: Installation, query: dict[str, str], status: int
) -> None:
    assert (await shop.client.post(IMPORT, params=query, content=report(1))).status_code == status


async def test_a_spreadsheet_larger_than_other_bodies_is_taken(shop: Installation, tmp_path: Path) -> None:
    write_xlsx(tmp_path / "r.xlsx", XENDIT_V2, [xendit(f"R{number}", number=number) for number in range(3_000)])
    body = (tmp_path / "r.xlsx").read_bytes()
    assert len(body) > 64 * 1024
    answer = await shop.client.post(IMPORT, params={"provider": "xendit"}, content=body)
    assert (answer.status_code, answer.json()["new"]) == (201, 3_000)


async def test_a_file_beyond_the_limit_is_refused_before_it_is_read(shop: Installation) -> None:
    headers = {"Content-Length": str(REPORT_BODY_LIMIT_BYTES + 1)}
    answer = await shop.client.post(IMPORT, params={"provider": "xendit"}, content=b"x", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


async def test_pages_follow_each_other_whatever_is_imported_meanwhile(shop: Installation) -> None:
    await shop.client.post(IMPORT, params={"provider": "xendit"}, content=report(*range(5)))
    page = (await shop.client.get("/settlements", params={"limit": "2"})).json()
    seen = [one["reference"] for one in page["data"]]
    await shop.client.post(IMPORT, params={"provider": "xendit"}, content=report(5, 6))
    while page["next_cursor"]:
        page = (await shop.client.get("/settlements", params={"limit": "2", "cursor": page["next_cursor"]})).json()
        seen += [one["reference"] for one in page["data"]]
    assert seen == ["R4", "R3", "R2", "R1", "R0"]


async def test_files_are_listed_newest_first(shop: Installation) -> None:
    for number in range(3):
        await shop.client.post(IMPORT, params={"provider": "xendit", "name": f"{number}.csv"}, content=report(number))
    page = (await shop.client.get("/settlements/files", params={"limit": "2"})).json()
    rest = (await shop.client.get("/settlements/files", params={"cursor": page["next_cursor"]})).json()
    files = [SettlementFile.model_validate(one) for one in page["data"] + rest["data"]]
    assert [file.name for file in files] == ["2.csv", "1.csv", "0.csv"]
    assert rest["next_cursor"] is None
    of_file = await shop.client.get("/settlements", params={"file": files[0].id})
    assert [one["reference"] for one in of_file.json()["data"]] == ["R2"]


async def test_what_was_kept_too_much_is_listed(shop: Installation) -> None:
    """The simulator's merchant is UMI: nothing up to 500,000, then 0.3 %."""
    await shop.create("SMALL", 15_000)
    await shop.create("RIGHT", 1_000_000)
    text = (
        "order_id,amount,fee,settlement_date,transacted_at\nSMALL,15000,105,2026-01-17,2026-01-15T03:00:00Z\n"
        "RIGHT,1000000,3000,2026-01-17,2026-01-15T03:00:00Z\nNOBODYS,15000,105,2026-01-17,2026-01-15T03:00:00Z\n"
    )
    await shop.client.post(IMPORT, params={"provider": "simulator"}, content=text)
    listed = (await shop.client.get("/settlements/overcharges")).json()
    assert listed["next_cursor"] is None
    [over] = [Overcharge.model_validate(one, strict=False) for one in listed["data"]]
    assert (over.amount, over.criteria, over.fee, over.expected_fee, over.over) == (15_000, "UMI", 105, 0, 105)
    other_day = await shop.client.get("/settlements/overcharges", params={"from": "2026-01-18"})
    assert other_day.json()["data"] == []


async def test_a_fee_is_judged_by_the_rate_of_the_day_it_was_paid(tmp_path: Path, clock: FakeClock) -> None:
    """A report that names no time of the payment pays it out when another rate holds."""
    rates = [
        {"since": since, "criteria": ["UMI"], "basis_points": points}
        for since, points in (("2026-01-01", 70), ("2026-01-16", 0))
    ]
    async with Installation(tmp_path / "data", clock, {"mdr": {"rates": rates}}).running() as shop:
        await shop.webhook(await shop.create("PAID"))
        clock.advance(5 * 86_400)
        text = "order_id,amount,fee,settlement_date\nPAID,15000,105,2026-01-17\n"
        await shop.client.post(IMPORT, params={"provider": "simulator"}, content=text)
        assert (await shop.client.get("/settlements/overcharges")).json()["data"] == []


@pytest.mark.parametrize(
    "path",
    [
        "/settlements?date=2026-1-1",
        "/settlements?kind=x",
        "/settlements?matched=1",
        "/settlements?cursor=x",
        "/settlements?file=x",
        "/settlements?limit=0",
        "/settlements/files?cursor=1",
        "/settlements/overcharges?from=x",
    ],
)
async def test_a_filter_that_cannot_be_read_is_refused(shop: Installation, path: str) -> None:
    assert (await shop.client.get(path)).status_code == 400


@pytest.mark.parametrize(
    ("scopes", "outlets", "status"),
    [(("settlements:write",), None, 201), (("settlements:read",), None, 403), ((), frozenset({"main"}), 403)],
)
async def test_only_who_may_write_settlements_of_the_whole_shop_imports(
    shop: Installation, scopes: tuple[str, ...], outlets: frozenset[str] | None, status: int
) -> None:
    key = shop.new_key(*scopes, outlets=outlets)
    headers = {"Authorization": f"Bearer {key}"}
    answer = await shop.client.post(IMPORT, params={"provider": "xendit"}, content=report(1), headers=headers)
    assert answer.status_code == status


@pytest.mark.parametrize("content_type", ["multipart/form-data; boundary=x", "Multipart/Form-Data", "multipart/mixed"])
async def test_a_form_is_refused_with_what_to_send_instead(shop: Installation, content_type: str) -> None:
    headers = {"Content-Type": content_type}
    answer = await shop.client.post(IMPORT, params={"provider": "xendit"}, content=report(1), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")
    assert "send the file itself as the body" in answer.json()["detail"]
    assert (await shop.client.get("/settlements")).json()["data"] == []


@pytest.mark.parametrize(
    "content_type", ["", "text/csv", "application/octet-stream", "application/x-www-form-urlencoded"]
)
async def test_a_file_is_taken_whatever_else_it_is_called(shop: Installation, content_type: str) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    answer = await shop.client.post(IMPORT, params={"provider": "xendit"}, content=report(1), headers=headers)
    assert answer.status_code == 201


async def test_what_is_planned_for_a_day_to_come_is_counted_and_not_settled(shop: Installation) -> None:
    text = "line_id,amount,settlement_date\nL1,15000,2026-01-21\n"
    answer = await shop.client.post(IMPORT, params={"provider": "simulator"}, content=text)
    assert (answer.status_code, Import.model_validate(answer.json()).planned) == (201, 1)
    [line] = (await shop.client.get("/settlements")).json()["data"]
    assert not line["is_settled"]
