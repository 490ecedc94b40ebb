"""Days are reconciled once and for all: resumed, joined, caught up with, and the same however often."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from qrisd.app import reconciling_alone
from qrisd.config import Settings, load
from qrisd.day_report.resource import resource
from qrisd.domain.errors import Invalid, NotFound, WrongState
from qrisd.domain.reconciliation import Class, FindingStatus
from qrisd.jobs.reconcile import Nightly
from qrisd.reports.presets import preset
from qrisd.reports.sources import Source
from qrisd.services import findings as people
from qrisd.services.findings import Act
from qrisd.services.reconciling import Reconciling
from qrisd.services.settlements import import_report
from qrisd.store import findings, reconciliations, settlement_matching
from qrisd.store.audit_log import Actor
from qrisd.store.db import connect
from tests.fakes.midtrans import FakeMidtrans
from tests.faults.reconciliation_stage import ZONE, Seeding, facts_of
from tests.support.clock import FakeClock
from tests.support.installation import Installation

DAY = date(2026, 1, 15)
BY = Actor("test")
STATIC_QRIS = (
    "00020101021126690017ID.CO.EXAMPLE.WWW01189360099900000000170215UJI0000000000010303UMI51440014ID.CO.QRIS.WWW0215"
    "ID00000000000010303UMI5204581253033605802ID5913WARUNG CONTOH6007BANDUNG6105101106304A03B"
)


@pytest.fixture
async def fake() -> AsyncIterator[FakeMidtrans]:
    provider = FakeMidtrans()
    await provider.start()
    yield provider
    await provider.stop()


def settings_of(root: Path, fake: FakeMidtrans) -> Settings:
    midtrans = {"server_key": "SB-Mid-server-fake", "base_url": fake.url, "timeout": 1}
    rates = [{"since": "2020-01-01", "criteria": ["UMI"], "basis_points": 70}]
    return load(
        flags={
            "data_dir": root / "data",
            "default_provider": "midtrans",
            "providers": {"midtrans": midtrans},
            "reconcile": {"calls_per_second": 1000},
            "mdr": {"rates": rates},
        }
    )


def after(days: int) -> FakeClock:
    """A clock so many days after noon of DAY."""
    return FakeClock(datetime(2026, 1, 15, 5, 0, tzinfo=UTC) + timedelta(days=days))


async def done(settings: Settings, clock: FakeClock, day: date = DAY) -> dict[str, Any]:
    async with reconciling_alone(settings, clock) as reconciling:
        return resource(await reconciling.run(day, by=BY))


async def test_a_second_run_changes_nothing(tmp_path: Path, fake: FakeMidtrans) -> None:
    """SM-03, SM-08"""
    Seeding(tmp_path, fake, DAY, 1).run(60, 0.5)
    settings, clock = settings_of(tmp_path, fake), after(10)
    first = await done(settings, clock)
    facts = facts_of(tmp_path)
    assert first["open"] > 0
    assert await done(settings, clock) == first
    assert facts_of(tmp_path) == facts


async def test_a_line_that_belonged_to_nobody_finds_its_payment_once_more_is_known(
    tmp_path: Path, fake: FakeMidtrans
) -> None:
    Seeding(tmp_path, fake, DAY, 1).run(10, 0)
    settings = settings_of(tmp_path, fake)
    with closing(connect(tmp_path / "data" / "qrisd.db")) as conn:
        matched = "SELECT id, payment_id, attempt_id FROM settlements ORDER BY id"
        before = [tuple(row) for row in conn.execute(matched)]
        conn.execute("UPDATE settlements SET payment_id = NULL, attempt_id = NULL")
        await done(settings, after(10))
        assert [tuple(row) for row in conn.execute(matched)] == before
        assert all(payment_id for _, payment_id, _ in before)
        assert before != []


async def test_what_was_received_is_paid_out_kept_or_on_its_way(tmp_path: Path, fake: FakeMidtrans) -> None:
    Seeding(tmp_path, fake, DAY, 3).run(40, 0)
    with closing(connect(tmp_path / "data" / "qrisd.db")) as conn:
        conn.execute("UPDATE settlements SET is_settled = 0 WHERE id % 4 = 0")
    [day] = (await done(settings_of(tmp_path, fake), after(1)))["totals"]
    assert min(day["settled_net_amount"], day["fees"], day["waiting_amount"]) > 0
    assert day["settled_net_amount"] + day["fees"] + day["waiting_amount"] == day["paid_amount"]


async def test_two_at_once_are_one(tmp_path: Path, fake: FakeMidtrans) -> None:
    """SM-03"""
    Seeding(tmp_path, fake, DAY, 2).run(40, 0.3)
    async with reconciling_alone(settings_of(tmp_path, fake), after(10)) as reconciling:
        one, other = await asyncio.gather(reconciling.run(DAY, by=BY), reconciling.run(DAY, by=BY))
    assert one == other
    assert len(fake.calls) == asked_about(tmp_path)


async def test_another_process_waits_and_takes_the_result(tmp_path: Path, fake: FakeMidtrans) -> None:
    """SM-03"""
    Seeding(tmp_path, fake, DAY, 2).run(40, 0.3)
    settings = settings_of(tmp_path, fake)

    def real_now() -> datetime:
        return datetime.now(UTC)

    async with reconciling_alone(settings, real_now) as one, reconciling_alone(settings, real_now) as other:
        first, second = await asyncio.gather(one.run(DAY, by=BY), other.run(DAY, by=BY))
    assert first == second
    assert len(fake.calls) == asked_about(tmp_path)


async def test_a_run_that_was_cut_off_goes_on_where_it_was(tmp_path: Path, fake: FakeMidtrans) -> None:
    """SM-03"""
    Seeding(tmp_path, fake, DAY, 3).run(60, 0.3)
    settings, clock = settings_of(tmp_path, fake), after(10)
    async with reconciling_alone(settings, clock) as reconciling:
        cut_off = asyncio.create_task(reconciling.run(DAY, by=BY))
        while len(fake.calls) < 20:  # noqa: ASYNC110
            await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await cut_off
    before = asked_about(tmp_path)
    assert 0 < before < 60
    in_vain = len(fake.calls) - before
    await done(settings, clock)
    assert len(fake.calls) - in_vain == asked_about(tmp_path)


def asked_about(root: Path) -> int:
    with closing(connect(root / "data" / "qrisd.db", read_only=True)) as conn:
        return int(conn.execute("SELECT count(*) FROM reconciliation_looks").fetchone()[0])


async def test_a_provider_that_does_not_answer_is_not_clean_and_is_asked_again(
    tmp_path: Path, fake: FakeMidtrans, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qrisd.services.sweeping.PAUSES_S", ())
    Seeding(tmp_path, fake, DAY, 4).run(12, 0)
    settings, clock = settings_of(tmp_path, fake), after(2)
    await fake.stop()
    first = await done(settings, clock)
    assert first["unasked"] == 12
    assert first["is_clean"] is False
    with closing(connect(tmp_path / "data" / "qrisd.db", read_only=True)) as conn:
        assert reconciliations.days_done(conn, DAY) == {}


async def test_money_is_not_missing_there_while_it_may_still_come(shop: Installation) -> None:
    """A payment in flight today."""
    await shop.create()
    paid = await shop.create("INV-2")
    await shop.webhook(paid)
    report = await done(shop.settings, shop.clock)
    assert (report["is_clean"], report["totals"][0]["open"]) == (True, 1)
    assert report["totals"][0]["confirmed"] == 1


async def test_a_report_line_is_proof_where_nobody_can_be_asked(tmp_path: Path, clock: FakeClock) -> None:
    flags = {"default_provider": "static", "providers": {"static": {"qris": STATIC_QRIS}}}
    async with Installation(tmp_path / "data", clock, flags).running() as shop:
        right, wrong = await shop.create("INV-1", 15_000), await shop.create("INV-2", 20_000)
        clock.advance(86_400)
        report = tmp_path / "bank.csv"
        trx_ids = right["provider_trx_id"], wrong["provider_trx_id"]
        report.write_text(
            "line_id,provider_trx_id,amount,settlement_date,status\n"
            f"1,{trx_ids[0]},15000,2026-01-16,settled\n2,{trx_ids[1]},19000,2026-01-16,settled\n"
        )
        take_in(shop, report, "static")
        told = await done(shop.settings, clock)
        assert {one["order_id"]: (one["class"], one["status"]) for one in told["exceptions"]} == {
            "INV-1": ("missing_here", "healed"),
            "INV-2": ("missing_here", "open"),
        }
        stored = {row["order_id"]: row["status"] for row in shop.rows("SELECT order_id, status FROM payments")}
        assert stored["INV-1"] == "PAID"
        assert stored["INV-2"] in ("PENDING", "EXPIRED")  # by whether the watch job has looked since
        logged = shop.rows("SELECT payload FROM payment_logs WHERE event = 'RECONCILE'")
        assert len(logged) == 1


def take_in(shop: Installation, path: Path, provider: str) -> None:
    with closing(connect(shop.data_dir.database)) as conn:
        source = Source(path=path, name=path.name, provider=provider, layouts=[preset("plain")], zone=ZONE)
        import_report(conn, source, BY, shop.clock(), dry_run=False)


# Days


@pytest.mark.parametrize(("zone", "midnight_utc"), [("WIB", 17), ("WITA", 16), ("WIT", 15)])
async def test_a_payment_is_in_exactly_one_day_of_its_outlet(tmp_path: Path, zone: str, midnight_utc: int) -> None:
    """SM-05"""
    clock = FakeClock(datetime(2026, 1, 15, midnight_utc - 1, 59, 59, 999_000, tzinfo=UTC))
    async with Installation(tmp_path / "data", clock, {"outlets": {"far": {"timezone": zone}}}).running() as shop:
        await shop.create("LAST", outlet="far")
        clock.advance(0.001)
        await shop.create("FIRST", outlet="far")
        clock.advance(86_400)
        days = {day: await done(shop.settings, clock, day) for day in (DAY, DAY + timedelta(days=1))}
    assert [report["totals"][0]["payments"] for report in days.values()] == [1, 1]


async def test_days_to_come_and_unknown_providers_are_refused(shop: Installation) -> None:
    async with reconciling_alone(shop.settings, shop.clock) as reconciling:
        with pytest.raises(Invalid, match="still to come"):
            await reconciling.run(DAY + timedelta(days=1), by=BY)
        with pytest.raises(Invalid, match="no provider"):
            await reconciling.run(DAY, "bank", by=BY)


# At night


def nightly(shop: Installation, reconciling: Reconciling, at: str = "02:00") -> Nightly:
    return Nightly(
        db=reconciling._db,
        reconciling=reconciling,
        zones=shop.settings.zones,
        at=at,
        settles_after_days=3,
        clock=shop.clock,
    )


def reconciled(shop: Installation) -> list[str]:
    return [row["day"] for row in shop.rows("SELECT day FROM reconciliations WHERE status = 'DONE' ORDER BY id")]


async def test_missed_days_are_caught_up_with_one_by_one(shop: Installation) -> None:
    """SM-07"""
    await shop.create()
    shop.clock.advance(4 * 86_400)
    async with reconciling_alone(shop.settings, shop.clock) as reconciling:
        job = nightly(shop, reconciling)
        await job.run()
        assert reconciled(shop) == ["2026-01-15", "2026-01-16", "2026-01-17", "2026-01-18"]
        await job.run()
        assert len(reconciled(shop)) == 4
        shop.clock.advance(86_400)
        await job.run()
        assert reconciled(shop)[4:] == ["2026-01-19"]


async def test_a_first_night_that_leaves_old_days_out_says_so_once(shop: Installation) -> None:
    await shop.create()
    shop.clock.advance(41 * 86_400)
    async with reconciling_alone(shop.settings, shop.clock) as reconciling:
        job = nightly(shop, reconciling)
        with capture_logs() as logs:
            await job.run()
            shop.clock.advance(86_400)
            await job.run()
    assert reconciled(shop)[0] == "2026-01-24"
    (said,) = [one for one in logs if one["log_level"] == "warning"]
    assert (said["first"], said["last"], said["days"]) == ("2026-01-15", "2026-01-23", 9)
    assert "qrisd reconcile --date 2026-01-15" in said["event"]


@pytest.mark.parametrize("days", [32, 41])
async def test_days_that_are_in_reach_or_were_reconciled_by_somebody_are_not_left_out(
    shop: Installation, days: int
) -> None:
    await shop.create()
    shop.clock.advance(days * 86_400)
    for number in range(days - 32):
        await done(shop.settings, shop.clock, DAY + timedelta(days=number))
    async with reconciling_alone(shop.settings, shop.clock) as reconciling:
        with capture_logs() as logs:
            await nightly(shop, reconciling).run()
    assert [one for one in logs if one["log_level"] == "warning"] == []
    assert sorted(set(reconciled(shop)))[0] == "2026-01-15"
    assert len(reconciled(shop)) == days


async def test_a_day_is_reconciled_only_once_its_hour_has_come(shop: Installation) -> None:
    await shop.create()
    shop.clock.now = datetime(2026, 1, 15, 18, 59, 59, tzinfo=UTC)  # 01:59:59 in Jakarta
    async with reconciling_alone(shop.settings, shop.clock) as reconciling:
        await nightly(shop, reconciling).run()
        assert reconciled(shop) == []
        shop.clock.advance(1)
        await nightly(shop, reconciling).run()
    assert reconciled(shop) == ["2026-01-15"]


async def test_what_was_reconciled_before_its_end_is_reconciled_again(shop: Installation) -> None:
    await shop.create()
    await done(shop.settings, shop.clock)
    shop.clock.advance(86_400)
    async with reconciling_alone(shop.settings, shop.clock) as reconciling:
        await nightly(shop, reconciling).run()
    assert reconciled(shop) == ["2026-01-15", "2026-01-15"]


async def test_a_report_that_comes_later_closes_what_was_open(tmp_path: Path, fake: FakeMidtrans) -> None:
    """Nothing is asked again for it: the nights compare what is still open."""
    seeding = Seeding(tmp_path, fake, DAY, 6)
    seeding.run(4, 0)
    settings, clock = settings_of(tmp_path, fake), after(10)
    with closing(connect(tmp_path / "data" / "qrisd.db")) as conn:
        conn.execute("UPDATE settlements SET is_settled = 0")
    first = await done(settings, clock)
    assert {one["class"] for one in first["exceptions"]} == {"unsettled"}
    with closing(connect(tmp_path / "data" / "qrisd.db")) as conn:
        conn.execute("UPDATE settlements SET is_settled = 1")
    calls = len(fake.calls)
    async with reconciling_alone(settings, clock) as reconciling:
        await reconciling.compare_again(DAY)
        report = await reconciling.report(DAY)
    assert report is not None
    assert report.is_clean
    assert report.findings == ()
    assert len(fake.calls) == calls


async def test_a_first_report_is_held_against_all_the_days_it_is_about(tmp_path: Path, fake: FakeMidtrans) -> None:
    """A report of the whole month comes when its first days are long over, and nothing was missed of them before."""
    seeding = Seeding(tmp_path, fake, DAY, 6)
    seeding.run(4, 0)
    settings, clock = settings_of(tmp_path, fake), after(20)
    unknown = "provider = 'kept', payment_id = NULL, attempt_id = NULL, transacted_at = NULL"
    write(tmp_path, f"UPDATE settlements SET {unknown}, fee = fee + 500, net_amount = net_amount - 500")
    write(tmp_path, "UPDATE settlement_files SET provider = 'kept'")
    async with reconciling_alone(settings, clock) as reconciling:
        assert (await reconciling.run(DAY, by=BY)).is_clean
        write(tmp_path, "UPDATE settlements SET provider = 'midtrans'")
        write(tmp_path, "UPDATE settlement_files SET provider = 'midtrans'")
        with closing(connect(tmp_path / "data" / "qrisd.db")) as conn:
            settlement_matching.match(conn, "settlements", "midtrans")
        job = Nightly(
            db=reconciling._db,
            reconciling=reconciling,
            zones=settings.zones,
            at="02:00",
            settles_after_days=3,
            clock=clock,
        )
        await job.run()
        report = await reconciling.report(DAY)
    assert report is not None
    assert {one.difference.kind for one in report.open} == {Class.FEE}


async def test_an_orphan_that_two_days_tell_of_is_found_once_and_stays_resolved(shop: Installation) -> None:
    """The notification came on one day, and the report of the same charge names the next."""
    await shop.send_webhook({"event_id": "e", "provider_trx_id": "T-9", "order_id": "X", "status": "PAID", "amount": 1})
    report = shop.settings.data_dir / "bank.csv"
    report.write_text("provider_trx_id,amount,settlement_date\nT-9,1,2026-01-16\n")
    shop.clock.advance(2 * 86_400)
    take_in(shop, report, "simulator")
    days = (DAY, DAY + timedelta(days=1))
    before = [await done(shop.settings, shop.clock, day) for day in days]
    (orphan,) = shop.rows("SELECT id, day, status FROM reconciliation_exceptions")
    assert orphan["day"] == "2026-01-15"
    with closing(connect(shop.data_dir.database)) as conn:
        people.act(conn, orphan["id"], Act(action="resolve", reason="not ours"), BY, shop.clock())
    for _ in range(2):
        for day in days:
            await done(shop.settings, shop.clock, day)
    assert shop.rows("SELECT status FROM reconciliation_exceptions") == [{"status": "RESOLVED"}]
    assert [len(one["exceptions"]) for one in before] == [1, 0]
    shop.write("DELETE FROM webhook_events")
    for day in (*days, *days):
        await done(shop.settings, shop.clock, day)
    assert shop.rows("SELECT day, status FROM reconciliation_exceptions") == [{"day": "2026-01-16", "status": "OPEN"}]


# People


async def one_finding(tmp_path: Path, fake: FakeMidtrans) -> tuple[Settings, FakeClock, str]:
    Seeding(tmp_path, fake, DAY, 7).run(4, 0)
    settings, clock = settings_of(tmp_path, fake), after(2)
    write(tmp_path, "UPDATE settlements SET fee = fee + 500, net_amount = net_amount - 500 WHERE id = 1")
    report = await done(settings, clock)
    return settings, clock, str(report["exceptions"][0]["id"])


def write(root: Path, sql: str) -> None:
    with closing(connect(root / "data" / "qrisd.db")) as conn:
        conn.execute(sql)


async def test_what_a_person_resolved_stays_so_until_its_facts_change(tmp_path: Path, fake: FakeMidtrans) -> None:
    settings, clock, finding_id = await one_finding(tmp_path, fake)
    with closing(connect(tmp_path / "data" / "qrisd.db")) as conn:
        people.act(conn, finding_id, Act(action="resolve", reason="agreed", owner="Sari"), BY, clock())
        row = conn.execute("SELECT action, why FROM audit_log ORDER BY id DESC LIMIT 1").fetchone()
        assert tuple(row) == ("reconciliation.resolve", "agreed")
    again = await done(settings, clock)
    assert (again["is_clean"], again["exceptions"][0]["status"], again["exceptions"][0]["owner"]) == (
        True,
        "resolved",
        "Sari",
    )
    write(tmp_path, "UPDATE settlements SET fee = fee + 1, net_amount = net_amount - 1 WHERE id = 1")
    assert (await done(settings, clock))["open"] == 1


async def test_people_need_a_reason_and_something_to_act_on(tmp_path: Path, fake: FakeMidtrans) -> None:
    _, clock, finding_id = await one_finding(tmp_path, fake)
    with closing(connect(tmp_path / "data" / "qrisd.db")) as conn:
        with pytest.raises(Invalid):
            people.act(conn, finding_id, Act(action="resolve", reason=" "), BY, clock())
        with pytest.raises(NotFound):
            people.act(conn, "nothing", Act(note="?"), BY, clock())
        found = findings.get(conn, finding_id)
        assert found is not None
        findings.gone(conn, [finding_id], clock())
        with pytest.raises(WrongState):
            people.act(conn, finding_id, Act(action="resolve", reason="why"), BY, clock())
        gone = findings.get(conn, finding_id)
    assert gone is not None
    assert gone.status is FindingStatus.GONE


async def test_the_bank_is_compared_with_the_payout(tmp_path: Path, fake: FakeMidtrans) -> None:
    Seeding(tmp_path, fake, DAY, 8).run(5, 0)
    settings, clock, paid_out = settings_of(tmp_path, fake), after(2), DAY + timedelta(days=1)
    before = await done(settings, clock, paid_out)
    payout = before["payouts"][0]
    assert (payout["residual"], payout["is_explained"]) == (0, True)
    with closing(connect(tmp_path / "data" / "qrisd.db")) as conn:
        people.enter_payout(conn, "midtrans", paid_out, payout["net_amount"] - 5_000, BY, clock())
    told = await done(settings, clock, paid_out)
    assert (told["payouts"][0]["bank_difference"], told["exceptions"][0]["reason"]) == (-5_000, "other_amount_at_bank")
