"""Reconciliations over the API."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from qrisd.api import reconciliations
from tests.support.installation import Installation
from tests.support.people import audited

TODAY = "2026-01-15"


async def start(shop: Installation, **fields: Any) -> httpx.Response:
    return await shop.client.post("/reconciliations", json={"date": TODAY, **fields})


async def with_an_exception(shop: Installation) -> dict[str, Any]:
    """A bank amount that nothing was paid out for."""
    entered = {"provider": "simulator", "date": TODAY, "amount": 5_000}
    assert (await shop.client.post("/payouts", json=entered)).json() == entered
    report: dict[str, Any] = (await start(shop)).json()
    return report


async def test_a_day_is_reconciled_and_shown(shop: Installation) -> None:
    assert (await shop.client.get(f"/reconciliations/{TODAY}")).status_code == 404
    await shop.webhook(await shop.create())
    answer = await start(shop)
    assert answer.status_code == 200
    shown = (await shop.client.get(f"/reconciliations/{TODAY}")).json()
    assert shown == answer.json()
    assert (shown["status"], shown["is_clean"], shown["totals"][0]["paid"]) == ("done", True, 1)
    assert (await shop.client.get("/reconciliations/today")).json() == shown
    listed = (await shop.client.get("/reconciliations")).json()
    assert [(one["date"], one["status"], one["open"]) for one in listed["data"]] == [(TODAY, "done", 0)]


async def test_a_long_run_is_looked_at_again(shop: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconciliations, "ANSWER_WITHIN_S", 0)
    await shop.create()
    begun = await start(shop)
    assert (begun.status_code, begun.json()["status"], begun.headers["retry-after"]) == (202, "running", "2")
    for _ in range(200):
        shown = (await shop.client.get(begun.headers["location"])).json()
        if shown.get("status") == "done":
            break
        await asyncio.sleep(0.02)
    assert shown["is_clean"] is True


@pytest.mark.parametrize(
    ("query", "headers", "media_type", "begins"),
    [
        ("?format=csv", {}, "text/csv", "Hari,"),
        ("?format=csv&lang=en", {}, "text/csv", "Day,"),
        ("?format=html", {}, "text/html", "<!doctype html>"),
        ("", {"Accept": "text/html,*/*"}, "text/html", "<!doctype html>"),
        ("", {"Accept": "text/csv"}, "text/csv", "Hari,"),
        ("", {"Accept": "application/json"}, "application/json", "{"),
    ],
)
async def test_a_day_has_several_forms(
    shop: Installation, query: str, headers: dict[str, str], media_type: str, begins: str
) -> None:
    await with_an_exception(shop)
    answer = await shop.client.get(f"/reconciliations/{TODAY}{query}", headers=headers)
    assert answer.headers["content-type"].startswith(media_type)
    assert answer.text.startswith(begins)
    assert "<style" not in answer.text
    assert "<script" not in answer.text


@pytest.mark.parametrize("form", ["csv", "html"])
async def test_what_is_noted_by_its_id_shows_its_id(shop: Installation, form: str) -> None:
    finding = (await with_an_exception(shop))["exceptions"][0]
    assert finding["id"] in (await shop.client.get(f"/reconciliations/{TODAY}?format={form}")).text


async def test_the_page_s_style_is_there(shop: Installation) -> None:
    assert (await shop.client.get("/static/reconciliation.css")).status_code == 200


async def test_an_exception_is_resolved_by_somebody_for_a_reason(shop: Installation) -> None:
    finding = (await with_an_exception(shop))["exceptions"][0]
    url = f"/reconciliations/exceptions/{finding['id']}"
    assert (await shop.client.post(url, json={"action": "resolve"})).status_code == 422
    resolved = (await shop.client.post(url, json={"action": "resolve", "reason": "ours", "owner": "Sari"})).json()
    assert (resolved["status"], resolved["note"], resolved["owner"]) == ("resolved", "ours", "Sari")
    shown = (await shop.client.get(f"/reconciliations/{TODAY}")).json()
    assert (shown["is_clean"], shown["classes"]["amount"]["resolved"]) == (True, 1)
    reopened = await shop.client.post(url, json={"action": "reopen", "reason": "it was not"})
    assert reopened.json()["status"] == "open"
    audited = shop.rows("SELECT action, why FROM audit_log WHERE what = ? ORDER BY id", finding["id"])
    assert [(row["action"], row["why"]) for row in audited] == [
        ("reconciliation.resolve", "ours"),
        ("reconciliation.reopen", "it was not"),
    ]
    assert (await shop.client.post("/reconciliations/exceptions/nothing", json={"note": "?"})).status_code == 404


async def test_exceptions_come_in_pages(shop: Installation) -> None:
    await with_an_exception(shop)
    url = f"/reconciliations/{TODAY}/exceptions"
    page = (await shop.client.get(f"{url}?status=open&class=amount&limit=1")).json()
    assert (len(page["data"]), page["next_cursor"]) == (1, None)
    assert (await shop.client.get(f"{url}?status=resolved")).json()["data"] == []
    assert (await shop.client.get(f"{url}?class=nothing")).status_code == 400
    assert (await shop.client.get(f"{url}?cursor=nothing")).status_code == 400


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"date": "15-01-2026"}, 422),
        ({"date": "2026-01-16"}, 422),
        ({"provider": "bank"}, 422),
        ({"more": 1}, 422),
        ({"date": "today"}, 200),
        ({"provider": "simulator"}, 200),
    ],
)
async def test_what_is_asked_is_checked(shop: Installation, fields: dict[str, Any], status: int) -> None:
    assert (await start(shop, **fields)).status_code == status


async def test_reading_and_running_are_two_permissions(shop: Installation) -> None:
    reader, limited = shop.new_key("reconciliations:read"), shop.new_key("*", outlets=frozenset({"main"}))
    for key in (reader, limited):
        headers = {"Authorization": f"Bearer {key}"}
        assert (await shop.client.post("/reconciliations", json={"date": TODAY}, headers=headers)).status_code == 403
    await start(shop)
    as_reader = {"Authorization": f"Bearer {reader}"}
    assert (await shop.client.get(f"/reconciliations/{TODAY}", headers=as_reader)).status_code == 200


async def test_open_exceptions_and_the_last_day_are_measured(shop: Installation) -> None:
    await with_an_exception(shop)
    text = (await shop.client.get("/metrics")).text
    assert "qrisd_reconciliation_exceptions_open 1.0" in text
    assert "qrisd_reconciliation_last_day_timestamp_seconds 1.768" in text


async def test_who_starts_a_run_is_in_the_audit_log(shop: Installation) -> None:
    await start(shop)
    await start(shop, provider="simulator")
    await start(shop, provider="bank")
    rows = audited(shop, "reconciliation.run")
    key = shop.rows("SELECT id FROM api_keys")[0]["id"]
    assert [(row["who"], row["source"], row["what"], row["after"]) for row in rows] == [
        (f"api_key:{key}", "127.0.0.1", TODAY, '{"provider":null}'),
        (f"api_key:{key}", "127.0.0.1", TODAY, '{"provider":"simulator"}'),
    ]


async def test_a_payout_is_changed_for_a_reason_only(shop: Installation) -> None:
    async def enter(amount: int, **reason: str) -> int:
        entered = {"provider": "simulator", "date": TODAY, "amount": amount, **reason}
        return (await shop.client.post("/payouts", json=entered)).status_code

    assert await enter(5_000) == 200
    assert await enter(5_000) == 200
    assert (await enter(6_000), await enter(6_000, reason=" ")) == (422, 422)
    assert shop.rows("SELECT amount FROM payouts") == [{"amount": 5_000}]
    assert await enter(6_000, reason="a digit was wrong") == 200
    assert shop.rows("SELECT amount FROM payouts") == [{"amount": 6_000}]
    assert [(row["before"], row["after"], row["why"]) for row in audited(shop, "payout.enter")] == [
        (None, '{"amount":5000}', None),
        ('{"amount":5000}', '{"amount":6000}', "a digit was wrong"),
    ]
