"""Refunds over the API: what may be asked for, by whom, and what is answered where it may not."""

from __future__ import annotations

from typing import Any

import pytest

from qrisd.domain.permissions import Role
from tests.support.installation import Installation
from tests.support.refunds import Json, ask, asked, becomes, call, decide, paid, person, shown


def code(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


async def test_a_refund_is_asked_for_approved_and_done(shop: Installation) -> None:
    payment, (sri_id, sri) = await paid(shop), person(shop, Role.FINANCE, "sri")
    refund = await asked(shop, payment, amount=5_000)
    assert (refund["status"], refund["method"], refund["requester"]) == ("REQUESTED", "provider", "test")
    answer = await decide(shop, refund, "approve", sri)
    assert (answer.status_code, answer.json()["status"]) == (200, "APPROVED")
    done = await becomes(shop, refund, "DONE")
    assert [(one["decision"], one["by"], one["name"]) for one in done["decisions"]] == [("approved", sri_id, "sri")]
    after = await shop.get(payment["id"])
    assert (after["status"], after["amount_refunded"]) == ("PARTIALLY_REFUNDED", 5_000)
    events = (await shop.client.get("/events")).json()["data"]
    assert [one["type"] for one in events][-1] == "payment.partially_refunded"


async def test_all_that_is_left_goes_back_when_no_amount_is_named(shop: Installation) -> None:
    payment, (_, sri) = await paid(shop), person(shop, Role.FINANCE)
    wishes: tuple[Json, Json] = ({"amount": 5_000}, {})
    for wish in wishes:
        refund = await asked(shop, payment, **wish)
        await decide(shop, refund, "approve", sri)
        done = await becomes(shop, refund, "DONE")
    assert done["amount"] == 10_000
    assert (await shop.get(payment["id"]))["status"] == "REFUNDED"
    assert code(await ask(shop, payment)) == (409, "wrong_state")


async def test_an_idempotency_key_is_required_and_asks_once(shop: Installation) -> None:
    payment = await paid(shop)
    path = f"/payments/{payment['id']}/refunds"
    bare = await call(shop, "POST", path, json={"reason": "not served"})
    assert code(bare) == (400, "idempotency_key_required")
    first = await ask(shop, payment, once="one", amount=5_000)
    again = await ask(shop, payment, once="one", amount=5_000)
    assert (again.status_code, again.headers["Idempotent-Replayed"], again.text) == (201, "true", first.text)
    assert code(await ask(shop, payment, once="one", amount=5_001)) == (422, "idempotency_key_reused")
    assert len(shop.rows("SELECT id FROM refunds")) == 1
    order = {"order_id": "INV-9", "amount": 15_000}
    taken = await call(shop, "POST", "/payments", json=order, headers={"Idempotency-Key": "one"})
    assert code(taken) == (422, "idempotency_key_reused")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"amount": 0}, "amount"),
        ({"amount": -1}, "amount"),
        ({"amount": 15_001}, "amount"),
        ({"amount": 1.5}, "amount"),
        ({"amount": "5000"}, "amount"),
        ({"amount": True}, "amount"),
        ({"reason": ""}, "reason"),
        ({"reason": "  "}, "reason"),
        ({"reason": "a\u200bb"}, "reason"),
        ({"method": "elsewhere"}, "method"),
        ({"method": "cash"}, "evidence"),
        ({"method": "transfer"}, "evidence"),
        ({"evidence": "receipt 7"}, "evidence"),
        ({"target": "another account"}, "target"),
    ],
)
async def test_a_refund_that_makes_no_sense_is_refused_by_field(
    shop: Installation, body: dict[str, Any], field: str
) -> None:
    """MO-11"""
    answer = await ask(shop, await paid(shop), **body)
    assert code(answer) == (422, "validation_failed")
    assert [one["field"] for one in answer.json()["errors"]] == [field]
    assert shop.rows("SELECT id FROM refunds") == []


async def test_a_reason_is_required(shop: Installation) -> None:
    payment = await paid(shop)
    path = f"/payments/{payment['id']}/refunds"
    answer = await call(shop, "POST", path, json={}, headers={"Idempotency-Key": "one"})
    assert code(answer) == (422, "validation_failed")


@pytest.mark.parametrize(
    ("status", "said"), [("PENDING", "cancel it"), ("EXPIRED", "nothing to give back"), ("FAILED", "nothing to give")]
)
async def test_what_is_not_paid_is_not_refunded(shop: Installation, status: str, said: str) -> None:
    """MO-11"""
    payment = await shop.create()
    if status != "PENDING":
        await shop.webhook(payment, status)
    answer = await ask(shop, payment)
    assert code(answer) == (409, "wrong_state")
    assert answer.json()["payment_status"] == status
    assert said in answer.json()["detail"]


async def test_what_is_refunded_is_not_refunded_again(shop: Installation) -> None:
    """MO-11"""
    payment = await paid(shop)
    await shop.webhook(payment, "REFUNDED", amount=15_000)
    assert code(await ask(shop, payment)) == (409, "wrong_state")
    assert code(await ask(shop, payment, amount=1)) == (409, "wrong_state")


async def test_more_than_is_left_is_a_conflict_and_more_than_came_is_wrong(shop: Installation) -> None:
    payment = await paid(shop)
    await asked(shop, payment, amount=10_000)
    assert code(await ask(shop, payment, amount=5_001)) == (409, "wrong_state")
    assert code(await ask(shop, payment, amount=15_001)) == (422, "validation_failed")
    await asked(shop, payment, amount=5_000)


async def test_money_of_a_payment_that_stays_unpaid_can_go_back(shop: Installation) -> None:
    payment, (_, sri) = await shop.create(), person(shop, Role.FINANCE)
    await shop.webhook(payment, amount=14_000)
    refund = await asked(shop, payment)
    await decide(shop, refund, "approve", sri)
    assert (await becomes(shop, refund, "DONE"))["amount"] == 14_000
    assert (await shop.get(payment["id"]))["amount_refunded"] == 14_000


async def test_what_belongs_to_another_outlet_is_not_there(shop: Installation) -> None:
    """MO-11"""
    payment, (_, sri) = await paid(shop), person(shop, Role.FINANCE, outlets=frozenset({"bandung"}))
    refund = await asked(shop, payment)
    assert code(await ask(shop, payment, sri)) == (404, "not_found")
    assert code(await ask(shop, {"id": "nothing"})) == (404, "not_found")
    for path in (f"/payments/{payment['id']}/refunds", f"/payments/{payment['id']}/refundable"):
        assert (await call(shop, "GET", path, sri)).status_code == 404
    assert (await call(shop, "GET", f"/refunds/{refund['id']}", sri)).status_code == 404
    assert code(await decide(shop, refund, "approve", sri)) == (404, "not_found")
    assert (await call(shop, "GET", "/refunds", sri)).json()["data"] == []


# Who may


async def test_a_machine_asks_and_never_approves(shop: Installation) -> None:
    payment = await paid(shop)
    refund = await asked(shop, payment)
    other = shop.new_key(name="another machine")
    for key in (shop.key, other):
        assert code(await decide(shop, refund, "approve", key)) == (403, "forbidden")
        assert code(await decide(shop, refund, "reject", key, reason="no")) == (403, "forbidden")
    assert (await shown(shop, refund))["status"] == "REQUESTED"


async def test_a_key_without_the_scope_does_not_ask(shop: Installation) -> None:
    payment, key = await paid(shop), shop.new_key("payments:write", "refunds:read")
    assert code(await ask(shop, payment, key)) == (403, "forbidden")


@pytest.mark.parametrize("role", [Role.OWNER, Role.FINANCE, Role.SUPERVISOR])
async def test_nobody_approves_their_own_request_by_any_key(shop: Installation, role: Role) -> None:
    """MO-05"""
    payment, (user_id, key) = await paid(shop), person(shop, role)
    refund = await asked(shop, payment, key)
    another = shop.new_key(name="their other key", user_id=user_id)
    for own in (key, another):
        for word in ("approve", "reject"):
            assert code(await decide(shop, refund, word, own, reason="mine")) == (403, "self_approval")
    assert (await shown(shop, refund))["status"] == "REQUESTED"
    rows = shop.rows("SELECT who, what FROM audit_log WHERE action = 'refund.self_approval_refused'")
    assert rows == [{"who": user_id, "what": refund["id"]}] * 4


@pytest.mark.parametrize("role", [Role.CASHIER, Role.AUDITOR, Role.TECHNICIAN, Role.MARKETING])
async def test_who_may_not_approve_does_not(shop: Installation, role: Role) -> None:
    payment, (_, key) = await paid(shop), person(shop, role)
    refund = await asked(shop, payment)
    assert code(await decide(shop, refund, "approve", key)) == (403, "forbidden")
    assert code(await ask(shop, payment, key)) == (403, "forbidden")


async def test_a_persons_key_with_fewer_scopes_does_no_more_than_these(shop: Installation) -> None:
    payment, (user_id, _) = await paid(shop), person(shop, Role.OWNER)
    refund, key = await asked(shop, payment), shop.new_key("refunds:read", user_id=user_id)
    assert code(await decide(shop, refund, "approve", key)) == (403, "forbidden")


async def test_a_key_that_was_just_revoked_neither_asks_nor_approves(shop: Installation) -> None:
    payment, (_, sri) = await paid(shop), person(shop, Role.FINANCE)
    refund = await asked(shop, payment, sri, amount=1_000)
    machine = await asked(shop, payment, amount=1_000)
    shop.write("UPDATE api_keys SET revoked_at = created_at")
    assert (await ask(shop, payment, sri)).status_code == 401
    assert (await ask(shop, payment)).status_code == 401
    assert (await decide(shop, machine, "approve", sri)).status_code == 401
    assert shop.rows("SELECT DISTINCT status FROM refunds") == [{"status": "REQUESTED"}]
    assert refund["status"] == "REQUESTED"


# Deciding


async def test_a_refund_is_decided_once(shop: Installation) -> None:
    """MO-06"""
    payment, (_, sri), (_, tono) = await paid(shop), person(shop, Role.FINANCE), person(shop, Role.OWNER)
    rejected = await asked(shop, payment)
    assert (await decide(shop, rejected, "reject", sri, reason="it was served")).json()["status"] == "REJECTED"
    for word in ("approve", "reject", "cancel"):
        answer = await decide(shop, rejected, word, tono, reason="again")
        assert (*code(answer), answer.json()["refund_status"]) == (409, "wrong_state", "REJECTED")
    assert (await shop.client.get(f"/payments/{payment['id']}/refundable")).json()["amount_left"] == 15_000


async def test_a_refund_is_withdrawn_by_who_asked_for_it(shop: Installation) -> None:
    payment, (_, sri), (_, ani) = await paid(shop), person(shop, Role.FINANCE), person(shop, Role.SUPERVISOR)
    mine, theirs = await asked(shop, payment, sri, amount=1_000), await asked(shop, payment, amount=2_000)
    machine = shop.new_key(name="another machine")
    assert code(await decide(shop, mine, "cancel", machine)) == (403, "forbidden")
    assert (await call(shop, "POST", f"/refunds/{mine['id']}/cancel", sri)).json()["status"] == "CANCELLED"
    assert (await decide(shop, theirs, "cancel", ani)).json()["status"] == "CANCELLED"
    assert code(await decide(shop, mine, "approve", ani)) == (409, "wrong_state")


async def test_an_approver_who_saw_something_else_approves_nothing(shop: Installation) -> None:
    """MO-07"""
    payment, (_, sri) = await paid(shop), person(shop, Role.FINANCE)
    refund = await asked(shop, payment, amount=5_000)
    assert code(await decide(shop, refund, "approve", sri, content_hash="0" * 64)) == (409, "wrong_state")
    right = await decide(shop, refund, "approve", sri, content_hash=refund["content_hash"])
    assert right.status_code == 200


async def test_every_step_is_in_the_audit_log_with_who_and_why(shop: Installation) -> None:
    payment, (sri_id, sri) = await paid(shop), person(shop, Role.FINANCE)
    refund = await asked(shop, payment, reason="one cup was not served")
    await decide(shop, refund, "reject", sri, reason="it was served")
    rows = shop.rows("SELECT action, who, why FROM audit_log WHERE what = ? ORDER BY id", refund["id"])
    assert rows == [
        {"action": "refund.requested", "who": refund["requested_by"], "why": "one cup was not served"},
        {"action": "refund.rejected", "who": sri_id, "why": "it was served"},
    ]
    timeline = (await shop.client.get(f"/payments/{payment['id']}/timeline")).json()["data"]
    assert [one["event"] for one in timeline][-2:] == ["REFUND_REQUESTED", "REFUND_REJECTED"]


# Reading


async def test_what_may_be_given_back_is_answered_before_the_click(shop: Installation) -> None:
    payment, (_, sri) = await paid(shop), person(shop, Role.FINANCE)
    await asked(shop, payment, amount=5_000)
    path = f"/payments/{payment['id']}/refundable"
    offer = (await call(shop, "GET", path, sri)).json()
    assert (offer["amount_paid"], offer["amount_reserved"], offer["amount_left"]) == (15_000, 5_000, 10_000)
    assert (offer["you_may_request"], offer["you_may_approve"]) == (True, True)
    assert [(way["method"], way["possible"], way["amount_max"]) for way in offer["ways"]] == [
        ("provider", True, 10_000),
        ("cash", True, 10_000),
        ("transfer", True, 10_000),
    ]
    assert (await shop.client.get(path)).json()["you_may_approve"] is False
    unpaid = await shop.create("INV-2")
    offer = (await shop.client.get(f"/payments/{unpaid['id']}/refundable")).json()
    assert [way["why_not"] for way in offer["ways"]] == [["no money has come"]] * 2


async def test_refunds_are_listed_newest_first_in_pages(shop: Installation) -> None:
    payment = await paid(shop)
    made = [(await asked(shop, payment, amount=1_000 + step))["id"] for step in range(5)]
    seen: list[Json] = []
    query = "limit=2"
    while query:
        page = (await shop.client.get(f"/refunds?{query}")).json()
        seen += page["data"]
        query = f"limit=2&cursor={page['next_cursor']}" if page["next_cursor"] else ""
    assert [one["id"] for one in seen] == made[::-1]
    of_payment = (await shop.client.get(f"/payments/{payment['id']}/refunds")).json()["data"]
    assert [one["id"] for one in of_payment] == made
    assert (await shop.client.get("/refunds?status=DONE")).json()["data"] == []
    assert len((await shop.client.get("/refunds?status=REQUESTED")).json()["data"]) == 5
    assert len((await shop.client.get(f"/refunds?payment_id={payment['id']}")).json()["data"]) == 5
    assert (await shop.client.get("/refunds?status=GONE")).status_code == 400
    assert (await shop.client.get("/refunds?cursor=x")).status_code == 400


async def test_who_may_not_read_refunds_does_not_read_them_in_the_timeline_either(shop: Installation) -> None:
    payment, (_, marketing) = await paid(shop), person(shop, Role.MARKETING)
    await asked(shop, payment, reason="the customer was ill")
    path = f"/payments/{payment['id']}/timeline"
    assert "the customer was ill" in (await shop.client.get(path)).text
    answer = await call(shop, "GET", path, marketing)
    assert [one["event"] for one in answer.json()["data"]] == ["CREATED", "QR_READY", "WEBHOOK_SUCCESS"]
