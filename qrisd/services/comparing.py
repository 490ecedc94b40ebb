"""Comparing a day's payments with what providers said, with their reports and with the bank, and keeping what differs.

Read a page at a time, so that memory and every transaction stay small however long the day is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime
from functools import partial
from typing import Final

from pydantic import TypeAdapter

from qrisd.domain import business_day
from qrisd.domain.business_day import Zones
from qrisd.domain.payment import Observation, Source, Status
from qrisd.domain.payout import Payout, PayoutSums, bank_differs
from qrisd.domain.reconciliation import (
    Charged,
    Class,
    Difference,
    ExpectedFee,
    FindingStatus,
    Sale,
    Terms,
    differences,
    orphan_line,
    orphan_webhook,
)
from qrisd.domain.reconciliation_report import DaySums, Summary
from qrisd.domain.settlement import Kind, Line
from qrisd.providers.base import Provider
from qrisd.services.observing import Door, Recorded
from qrisd.services.sweeping import Told, advance
from qrisd.store import attempts, day_sales, findings, payments, payouts, reconciliations, settlements
from qrisd.store.day_sales import Place
from qrisd.store.db import Connection, Database
from qrisd.store.reconciliations import Run

BATCH: Final = 500
SUMMARY: Final = TypeAdapter(Summary)
# What leaves a line unaccounted for. When it came, and what it cost, change nothing about whose it is.
_OF_LINES: Final = frozenset({Class.AMOUNT, Class.FEE, Class.DUPLICATE, Class.MISSING_HERE, Class.REFUNDED_THERE})


class Comparing:
    """Compares what is known of a day. `settles_after` is days by provider, `settles_after_otherwise` those of all
    others."""

    def __init__(
        self,
        *,
        db: Database,
        door: Door,
        providers: Mapping[str, Provider],
        zones: Zones,
        settles_after: Mapping[str, int],
        settles_after_otherwise: int,
        expected_fee: ExpectedFee,
        clock: Callable[[], datetime],
    ) -> None:
        self._db = db
        self._door = door
        self._providers = providers
        self._zones = zones
        self._settles_after = settles_after
        self._settles_after_otherwise = settles_after_otherwise
        self._expected_fee = expected_fee
        self._clock = clock

    async def run(self, run: Run, unasked: int, told: Told) -> None:
        """Compare the run's day and end the run. `unasked` are attempts nothing was learnt about; `told(done, all)`
        hears how many payments are behind us."""
        reporting = await self._db.read(day_sales.providers_reporting)
        otherwise = self._settles_after_otherwise
        terms = Terms(
            today=business_day.of(self._clock(), self._zones.merchant),
            settles_after={name: self._settles_after.get(name, otherwise) for name in reporting},
            reporting=reporting,
            expected_fee=self._expected_fee,
        )
        sums, found = DaySums(reporting, run.provider), dict[str, Difference]()
        await self._compare_sales(run, terms, sums, found, told)
        await self._compare_strays(run, reporting, found)
        paid_out = await self._compare_payouts(run, found)
        summary = Summary(totals=sums.totals(), payouts=tuple(paid_out), unasked=unasked)
        await self._keep(run, summary, found)

    async def _compare_sales(
        self, run: Run, terms: Terms, sums: DaySums, found: dict[str, Difference], told: Told
    ) -> None:
        zones, day = self._zones, run.day
        total = await self._db.read(lambda conn: day_sales.count(conn, zones, day))
        done, place = 0, None
        while True:
            sales, place = await self._db.read(partial(self._sales, day=day, after=place))
            if await self._advance_reported(run, sales):
                ids = [sale.id for sale in sales]
                sales = await self._db.read(partial(day_sales.of_payments, zones=zones, payment_ids=ids))
            await self._judge(run, sales, terms, sums, found)
            done += len(sales)
            told(done, max(done, total))
            if place is None:
                return

    def _sales(self, conn: Connection, day: date, after: Place | None) -> tuple[list[Sale], Place | None]:
        page = day_sales.page(conn, self._zones, day, after)
        return day_sales.of_payments(conn, self._zones, page.ids), page.place

    async def _judge(
        self, run: Run, sales: list[Sale], terms: Terms, sums: DaySums, found: dict[str, Difference]
    ) -> None:
        changed: dict[bool, list[int]] = {True: [], False: []}
        for sale in sales:
            sums.add(sale)
            told = differences(sale, terms, run.provider)
            found.update((one.id, one) for one in told)
            for line in _lines_of(sale, run.provider):
                agrees = line.is_settled and not any(one.kind in _OF_LINES for one in told)
                if line.reconciled != agrees and line.id is not None:
                    changed[agrees].append(line.id)
        for agrees, line_ids in changed.items():
            if line_ids:
                mark = partial(settlements.mark_reconciled, line_ids=line_ids, reconciled=agrees)
                await self._db.write(mark)

    async def _advance_reported(self, run: Run, sales: list[Sale]) -> bool:
        """Bring reported money of providers that nobody can ask through the door; True when there was any."""
        todo = [
            (charge, line)
            for sale in sales
            for charge in sale.charges
            if run.provider in (None, charge.provider)
            for line in charge.sales[:1]
            if self._is_proof(charge, line)
        ]
        for charge, line in todo:
            unit = partial(self._advance, run=run, charge=charge, line=line)
            await self._db.write(unit, then=self._door.announce)
        return bool(todo)

    def _is_proof(self, charge: Charged, line: Line) -> bool:
        """A line that was paid out, of just the amount, where a report line is as good as a person's word."""
        provider = self._providers.get(charge.provider)
        by_report = provider is not None and provider.capabilities.confirmed_by_person
        return by_report and not charge.amount_paid and line.is_settled and line.amount == charge.amount

    def _advance(self, conn: Connection, run: Run, charge: Charged, line: Line) -> Recorded:
        attempt = attempts.get(conn, charge.id)
        assert attempt is not None, "attempts are never deleted"
        payment = payments.get(conn, attempt.payment_id)
        assert payment is not None, "payments are never deleted"
        seen = Observation(
            source=Source.RECONCILIATION,
            status=Status.PAID,
            amount=line.amount,
            currency=line.currency,
            provider_ref_no=line.provider_ref_no,
            paid_at=line.transacted_at,
            detail=f"line {line.row_number} of a settlement report",
        )
        return advance(conn, self._door, run.day, payment, attempt, seen, self._clock())

    async def _compare_strays(self, run: Run, reporting: frozenset[str], found: dict[str, Difference]) -> None:
        zones, day = self._zones, run.day
        for name in sorted(reporting if run.provider is None else reporting & {run.provider}):
            lines = await self._db.read(partial(day_sales.unknown_lines, zones=zones, day=day, provider=name))
            for line in lines:
                told = orphan_line(line)
                found.setdefault(told.id, told)
        query = partial(day_sales.stray_webhooks, zones=zones, day=day, provider=run.provider)
        for stray in await self._db.read(query):
            told = orphan_webhook(stray)
            found.setdefault(told.id, told)

    async def _compare_payouts(self, run: Run, found: dict[str, Difference]) -> list[Payout]:
        day = run.day
        bank = await self._db.read(partial(payouts.of_day, day=day))
        paying = {*bank, *await self._db.read(partial(day_sales.providers_paying, day=day))}
        totals = []
        for name in sorted(paying if run.provider is None else paying & {run.provider}):
            payout = (await self._payout(name, day)).total(bank.get(name))
            totals.append(payout)
            told = bank_differs(payout)
            if told is not None:
                found[told.id] = told
        return totals

    async def _payout(self, provider: str, day: date) -> PayoutSums:
        sums, after = PayoutSums(provider, day), 0
        while True:
            query = partial(self._paid_out, provider=provider, day=day, after=after)
            lines, charges = await self._db.read(query)
            for line in lines:
                sums.add(line, charges.get(line.id or 0))
            if len(lines) < day_sales.PAGE:
                return sums
            after = lines[-1].id or 0

    def _paid_out(
        self, conn: Connection, provider: str, day: date, after: int
    ) -> tuple[list[Line], Mapping[int, Charged]]:
        """A page of lines, and our attempts by the id of the line about them."""
        lines = day_sales.paid_out(conn, provider, day, after)
        ids = list(dict.fromkeys(line.payment_id for line in lines if line.payment_id is not None))
        sales = day_sales.of_payments(conn, self._zones, ids)
        return lines, {line.id or 0: charge for sale in sales for charge in sale.charges for line in charge.lines}

    async def _keep(self, run: Run, summary: Summary, found: dict[str, Difference]) -> None:
        """Store what was found a batch at a time, then in one transaction what no longer holds and that it is done."""
        now, told = self._clock(), list(found.values())
        for start in range(0, len(told), BATCH):
            await self._db.write(partial(_keep, day=run.day, told=told[start : start + BATCH], now=now))
        text = SUMMARY.dump_json(summary).decode()

        def finish(conn: Connection) -> None:
            before = findings.of_day(conn, run.day, run.provider)
            holding = (FindingStatus.OPEN, FindingStatus.RESOLVED)
            gone = [one.difference.id for one in before if one.status in holding and one.difference.id not in found]
            findings.gone(conn, gone, now)
            reconciliations.finish(conn, run.id, text, summary.unasked, now)

        await self._db.write(finish)


def _keep(conn: Connection, day: date, told: list[Difference], now: datetime) -> None:
    for one in told:
        findings.found(conn, day, one, now)


def _lines_of(sale: Sale, provider: str | None) -> list[Line]:
    """The payment's lines that are to be accounted for."""
    return [
        line
        for charge in sale.charges
        if provider in (None, charge.provider)
        for line in charge.lines
        if line.kind in (Kind.PAYMENT, Kind.REFUND)
    ]
