from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from qrisd.store import migrate
from qrisd.store.db import connect
from qrisd.store.verify import OFFENDERS_MAX, RULES, Finding, findings, violations
from qrisd.store.verify.rules import Rule
from tests.fakes.receiver import FakeReceiver
from tests.fakes.server import Reply
from tests.store import breaking
from tests.store.books_breaks import BREAKS as BOOKS_BREAKS
from tests.store.refund_breaks import BREAKS as REFUND_BREAKS
from tests.support.clock import FakeClock
from tests.support.installation import Installation
from tests.support.older import older

ENTRY = "INSERT INTO ledger_entries (kind, debit_account, credit_account, amount, payment_id, happened_at, created_at)"

POSTED = ENTRY.replace("payment_id", "settlement_id")
LINE = (
    "INSERT INTO settlements (provider, kind, line_id, vat, currency, settlement_date, file_id, row_number, raw, "
    "created_at, updated_at, amount, fee, net_amount, is_settled, payment_id, attempt_id) "
    "VALUES ('x', 'payment', 'x', 0, 'IDR', '2026-01-15', 'f', 2, '{}', '', '',"
)

# What a hand in the database could do, and the rule that must notice. Payment 1 is paid, 2 is open, 3 was paid after it
# had expired, 4 was paid too little, 5 waits for its first answer, 6 has a callback that was tried once.
BREAKS = [
    ("amount_paid", "UPDATE payments SET amount_paid = 14999 WHERE order_id = 'INV-1'"),
    ("amount_paid", "UPDATE attempts SET amount_paid = 30000 WHERE payment_id = (SELECT id FROM payments LIMIT 1)"),
    ("paid_status", "UPDATE payments SET status = 'PAID' WHERE order_id = 'INV-2'"),
    ("paid_status", "UPDATE payments SET status = 'EXPIRED' WHERE order_id = 'INV-1'"),
    ("paid_at", "UPDATE payments SET paid_at = NULL WHERE order_id = 'INV-1'"),
    ("paid_at", "UPDATE payments SET paid_at = created_at WHERE order_id = 'INV-2'"),
    ("attempt_paid", "UPDATE attempts SET status = 'EXPIRED' WHERE status = 'PAID'"),
    ("attempt_paid", "UPDATE attempts SET status = 'PAID' WHERE status = 'PENDING'"),
    ("exception", "UPDATE payments SET exception = NULL WHERE order_id = 'INV-4'"),
    ("exception", "UPDATE payments SET exception = 'underpaid' WHERE order_id = 'INV-2'"),
    ("exception", "UPDATE payments SET exception = 'late' WHERE order_id = 'INV-2'"),
    ("exception", "UPDATE payments SET exception = 'overpaid' WHERE order_id = 'INV-1'"),
    ("duplicate", "UPDATE payments SET exception = 'duplicate' WHERE order_id = 'INV-1'"),
    ("amount_refunded", "UPDATE attempts SET amount_refunded = 1 WHERE status = 'PAID'"),
    ("refunds", "UPDATE payments SET amount_refunded = 15001 WHERE order_id = 'INV-1'"),
    ("refunds", "UPDATE payments SET amount_refunded = 100 WHERE order_id = 'INV-1'"),
    ("refunds", "UPDATE payments SET status = 'REFUNDED', amount_refunded = 100 WHERE order_id = 'INV-1'"),
    ("refunds", "UPDATE payments SET status = 'PARTIALLY_REFUNDED' WHERE order_id = 'INV-1'"),
    ("ledger_paid", f"{ENTRY} SELECT 'paid', 'receivable:x', 'sales', 1, id, '', '' FROM payments LIMIT 1 OFFSET 1"),
    ("ledger_arrived", f"{ENTRY} SELECT 'overpaid', 'receivable:x', 'overpaid', 1, id, '', '' FROM payments LIMIT 1"),
    ("ledger_accounts", f"{ENTRY} VALUES ('adjusted', 'sales', 'bank', 1000000, NULL, '', '')"),
    ("ledger_accounts", f"{ENTRY} VALUES ('adjusted', 'bank', 'refunds', 1000000, NULL, '', '')"),
    ("settlement_posted", f"{POSTED} VALUES ('fee', 'fees', 'receivable:x', 1, 7, '', '')"),
    ("settlement_posted", f"{LINE} 1000, 7, 993, 1, NULL, NULL)"),
    ("settlement_match", f"{LINE} 0, 0, 0, 0, (SELECT payment_id FROM attempts LIMIT 1), NULL)"),
    ("settlement_net", f"{LINE} 1000, 7, 994, 0, NULL, NULL)"),
    ("settlement_files", "INSERT INTO settlement_files VALUES ('f', 'x', 'x', 'x', 'x', 1, 0, 0, 0, 0, 0, '', '')"),
    ("attempt_amount", "UPDATE attempts SET amount = amount + 1 WHERE status = 'PENDING'"),
    ("attempt_amount", "UPDATE attempts SET amount = amount - 1 WHERE status = 'EXPIRED' OR status = 'PAID'"),
    ("attempt_amount", "UPDATE payments SET amount = amount + 1 WHERE order_id = 'INV-2'"),
    ("attempt_amount", "UPDATE payments SET amount_due = amount_due + 1 WHERE order_id = 'INV-2'"),
    ("attempts", "UPDATE payments SET attempt = 2 WHERE order_id = 'INV-1'"),
    ("attempts", "DELETE FROM attempts WHERE payment_id = (SELECT id FROM payments WHERE order_id = 'INV-2')"),
    ("attempts", "UPDATE attempts SET number = 2"),
    ("open_attempt", "UPDATE attempts SET status = 'EXPIRED' WHERE status = 'PENDING'"),
    ("watched", "UPDATE attempts SET next_check_at = NULL WHERE status = 'CREATED'"),
    ("watched", "UPDATE attempts SET next_check_at = NULL WHERE status = 'PENDING'"),
    ("created_log", "DELETE FROM payment_logs WHERE event = 'CREATED'"),
    ("attempt_log", "DELETE FROM payment_logs"),
    ("logged_status", "UPDATE payments SET status = 'CANCELLED' WHERE order_id = 'INV-2'"),
    ("logged_status", "DELETE FROM payment_logs WHERE event != 'CREATED'"),
    ("moves", "UPDATE payment_logs SET payload = json_set(payload, '$.from', 'REFUNDED') WHERE event = 'QR_READY'"),
    ("moves", "DELETE FROM payment_logs WHERE event = 'QR_READY'"),
    ("moves", "UPDATE payment_logs SET payload = json_set(payload, '$.to', 'REFUNDED', '$.from', 'REFUNDED')"),
    ("events", "DELETE FROM events WHERE sequence = 1"),
    ("events", "UPDATE events SET sequence = 9 WHERE sequence = 2"),
    ("events", "UPDATE payments SET sequence = sequence + 1"),
    ("event_body", "UPDATE events SET body = json_set(body, '$.type', 'payment.failed')"),
    ("event_body", "UPDATE events SET body = json_set(body, '$.data.id', 'another')"),
    ("event_body", "UPDATE events SET body = '{'"),
    ("event_payment", "UPDATE payments SET amount = 14000, amount_due = 14000 WHERE order_id = 'INV-1'"),
    ("event_payment", "UPDATE payments SET order_id = 'INV-1b' WHERE order_id = 'INV-1'"),
    ("event_payment", "UPDATE payments SET paid_at = created_at WHERE order_id = 'INV-1'"),
    ("event_payment", "UPDATE events SET body = json_set(body, '$.data.amount', 1)"),
    ("paid_event", "DELETE FROM events WHERE type = 'payment.paid'"),
    ("paid_event", "UPDATE events SET type = 'payment.paid'"),
    ("status_event", "DELETE FROM events WHERE type = 'payment.pending'"),
    ("exception_event", "DELETE FROM events WHERE type = 'payment.exception'"),
    ("callbacks", "DELETE FROM callbacks"),
    ("callbacks", "UPDATE callbacks SET url = 'https://elsewhere.example/'"),
    ("callbacks", "UPDATE callbacks SET payment_id = (SELECT id FROM payments WHERE order_id = 'INV-2')"),
    ("callbacks", "UPDATE payments SET callback_url = NULL WHERE order_id = 'INV-6'"),
    ("callbacks", "UPDATE payments SET callback_url = 'https://shop.example/' WHERE order_id = 'INV-1'"),
    ("callback_done", "UPDATE callbacks SET status = 'DELIVERED'"),
    ("callback_reason", "UPDATE callbacks SET status = 'DEAD', next_try_at = NULL, reason = NULL"),
    ("callback_reason", "UPDATE callbacks SET tries = 1, reason = NULL"),
    ("idempotency", "UPDATE idempotency_keys SET payment_id = 'gone'"),
    ("webhook_done", "UPDATE webhook_events SET status = 'PENDING'"),
    ("qr", "UPDATE payments SET qris_payload = replace(qris_payload, 'SIMULASI', 'PALSU123') WHERE status = 'PENDING'"),
    ("qr", "UPDATE payments SET qris_payload = NULL WHERE status = 'PENDING'"),
    ("qr", "UPDATE attempts SET amount = 15001"),
    ("foreign_keys", "UPDATE events SET payment_id = 'gone' WHERE type = 'payment.exception' AND body LIKE '%late%'"),
]


@pytest.fixture
async def receiver() -> AsyncIterator[FakeReceiver]:
    """It fails, so that what was tried goes on waiting."""
    fake = FakeReceiver("whsec_" + "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVowMTIz")
    fake.script.next("callback", reply=Reply(500))
    await fake.start()
    yield fake
    await fake.stop()


@pytest.fixture
async def shop(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Installation]:
    async with Installation(tmp_path / "data", clock, {"callbacks": {"allow_loopback": True}}).running() as running:
        yield running


@pytest.fixture
async def busy_shop(shop: Installation, receiver: FakeReceiver) -> Installation:
    paid = await shop.create("INV-1")
    await shop.webhook(paid)
    headers = {"Idempotency-Key": "once"}
    order = {"order_id": "INV-2", "amount": 15_000}
    assert (await shop.client.post("/payments", json=order, headers=headers)).status_code == 201
    late = await shop.create("INV-3")
    await shop.webhook(late, "EXPIRED")
    await shop.webhook(late)
    await shop.webhook(await shop.create("INV-4"), amount=14_000)
    await shop.create("INV-5", metadata={"simulator": "lose_answer"})
    await shop.create("INV-6", callback_url=receiver.url)
    for _ in range(1_000):
        if shop.rows("SELECT id FROM callback_tries"):
            return shop
        await asyncio.sleep(0.01)
    raise AssertionError("the callback was never tried")


def checked(shop: Installation, *, later: timedelta | None = None) -> dict[str, Finding]:
    now = None if later is None else shop.clock() + later
    with closing(connect(shop.data_dir.database, read_only=True)) as conn:
        return {finding.rule: finding for finding in violations(conn, now)}


def break_in(shop: Installation, *statements: str) -> None:
    breaking.break_in(shop.data_dir.database, *statements)


async def test_nothing_is_wrong_with_what_the_service_does_itself(busy_shop: Installation) -> None:
    assert checked(busy_shop, later=timedelta(0)) == {}


async def test_a_payment_with_every_turn_of_its_life_breaks_no_rule(shop: Installation) -> None:
    refused = {"order_id": "INV-1", "amount": 15_000, "metadata": {"simulator": "wrong_qr"}}
    assert (await shop.client.post("/payments", json=refused)).status_code == 502
    first = await shop.create("INV-2")
    await shop.webhook(first, "EXPIRED")
    renewed = (await shop.client.post(f"/payments/{first['id']}/renew")).json()
    await shop.webhook(first, amount=14_000)
    await shop.webhook(renewed)
    await shop.webhook(first)
    await shop.webhook(renewed, "REFUNDED", amount=5_000)
    await shop.webhook(renewed, "REFUNDED", amount=30_000)
    await shop.client.post(f"/payments/{(await shop.create('INV-3'))['id']}/cancel")
    short = await shop.create("INV-5")
    await shop.webhook(short, amount=14_000)
    await shop.webhook(short, "REFUNDED", amount=14_000)
    again = await shop.create("INV-4")
    await shop.client.post(f"/payments/{again['id']}/renew")
    assert checked(shop, later=timedelta(0)) == {}


@pytest.mark.parametrize(("rule", "statement"), BREAKS)
async def test_a_break_is_noticed_by_its_rule(busy_shop: Installation, rule: str, statement: str) -> None:
    break_in(busy_shop, statement)
    assert rule in checked(busy_shop)


def test_every_rule_is_seen_to_fail_here() -> None:
    warnings = {rule.name for rule in RULES if rule.is_warning}
    assert warnings == {"unknown_outcome", "refund_unknown", "webhook_waiting", "callback_waiting"}
    seen = {rule for rule, _ in (*BREAKS, *REFUND_BREAKS, *BOOKS_BREAKS)}
    assert {rule.name for rule in RULES} - warnings - seen == {"guards", "pages"}


def test_no_rule_reads_all_that_somebody_did(tmp_path: Path) -> None:
    """It would for each row anew, so that a large database could not be checked in time."""
    path = tmp_path / "qrisd.db"
    path.touch()
    with closing(connect(path)) as conn:
        migrate.migrate(conn)
        for rule in (rule for rule in RULES if isinstance(rule, Rule)):
            plan = conn.execute(f"EXPLAIN QUERY PLAN {rule.sql}", {"moves": "[]", "overdue": ""}).fetchall()
            assert not [row["detail"] for row in plan if "audit_log_by_who" in row["detail"]], rule.name


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("DROP TRIGGER ledger_entries_are_not_replaced",), "ledger_entries_are_not_replaced is missing"),
        (("DROP INDEX ledger_entries_paid_once",), "ledger_entries_paid_once is missing"),
        (
            ("CREATE TRIGGER quiet BEFORE INSERT ON ledger_entries BEGIN SELECT RAISE(IGNORE); END",),
            "quiet is not ours",
        ),
        (
            (
                "DROP TRIGGER audit_log_is_not_changed",
                "CREATE TRIGGER audit_log_is_not_changed BEFORE UPDATE ON audit_log BEGIN SELECT 1; END",
            ),
            "audit_log_is_not_changed was changed",
        ),
    ],
)
def test_a_guard_that_is_gone_is_named(tmp_path: Path, change: tuple[str, ...], told: str) -> None:
    path = tmp_path / "qrisd.db"
    path.touch()
    with closing(connect(path)) as conn:
        migrate.migrate(conn)
        assert violations(conn) == []
        for statement in change:
            conn.execute(statement)
        assert [(one.rule, one.offenders) for one in violations(conn)] == [("guards", (told,))]


def test_the_guards_of_an_older_schema_are_those_it_had(tmp_path: Path) -> None:
    with older(tmp_path, 9) as conn:
        assert "guards" not in {one.rule for one in violations(conn)}


async def test_what_waits_for_an_hour_is_a_warning(busy_shop: Installation) -> None:
    break_in(busy_shop, "UPDATE webhook_events SET status = 'PENDING', processed_at = NULL")
    assert checked(busy_shop, later=timedelta(minutes=59)) == {}
    found = checked(busy_shop, later=timedelta(minutes=61))
    assert set(found) == {"unknown_outcome", "webhook_waiting"}
    assert all(finding.is_warning for finding in found.values())


async def test_a_callback_that_is_due_for_an_hour_though_its_receiver_is_well_is_a_warning(
    busy_shop: Installation,
) -> None:
    assert "callback_waiting" not in checked(busy_shop, later=timedelta(minutes=61))
    break_in(busy_shop, "DELETE FROM callback_endpoints")
    assert "callback_waiting" not in checked(busy_shop, later=timedelta(minutes=59))
    assert checked(busy_shop, later=timedelta(minutes=61))["callback_waiting"].is_warning


async def test_the_offender_is_named(busy_shop: Installation) -> None:
    break_in(busy_shop, "UPDATE payments SET paid_at = NULL WHERE order_id = 'INV-1'")
    payment = busy_shop.rows("SELECT id FROM payments WHERE order_id = 'INV-1'")[0]["id"]
    assert checked(busy_shop)["paid_at"].offenders == (payment,)


async def test_offenders_are_counted_up_to_a_limit(shop: Installation) -> None:
    for number in range(OFFENDERS_MAX + 1):
        await shop.create(f"INV-{number}")
    break_in(shop, "UPDATE payments SET sequence = 7")
    assert len(checked(shop)["events"].offenders) == OFFENDERS_MAX


async def test_unreadable_rows_are_an_offence_and_not_a_crash(busy_shop: Installation) -> None:
    break_in(busy_shop, "UPDATE payment_logs SET payload = '{'")
    assert checked(busy_shop)["moves"].offenders == ("cannot be checked: malformed JSON",)


async def test_damaged_pages_are_found(busy_shop: Installation) -> None:
    with closing(connect(busy_shop.data_dir.database)) as conn:
        conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        root = conn.execute("SELECT rootpage FROM sqlite_master WHERE name = 'settlements'").fetchone()[0]
    with busy_shop.data_dir.database.open("r+b") as file:
        file.seek((root - 1) * 4096)
        file.write(b"\xff" * 4096)
    assert "pages" in checked(busy_shop)


async def test_the_check_reads_one_moment_while_the_shop_goes_on(busy_shop: Installation) -> None:
    with closing(connect(busy_shop.data_dir.database, read_only=True)) as conn:
        checks = findings(conn, None)
        before = next(checks)
        break_in(busy_shop, "UPDATE payments SET sequence = 7")
        assert not any(finding.offenders for finding in [before, *checks])
        assert violations(conn)
