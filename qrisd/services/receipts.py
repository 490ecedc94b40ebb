"""Receipts at the till: one original of each, all further prints marked as copies, in the browser or on the printer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from qrisd.domain.business_day import Zones
from qrisd.domain.errors import WrongState
from qrisd.domain.merchant import merchant_of
from qrisd.domain.payment import MONEY, Payment
from qrisd.domain.permissions import Outlets
from qrisd.domain.receipt import PaperMm, Receipt, escpos, lines
from qrisd.net.printer import Printer, PrinterSilent
from qrisd.services.payments import Payments, known_to
from qrisd.store import receipt_prints, till_sales
from qrisd.store.db import Connection, Database
from qrisd.store.receipt_prints import How, Print


@dataclass(frozen=True, slots=True)
class Printing:
    """Who prints, and the outlets whose receipts they may."""

    user_id: str
    name: str
    outlets: Outlets


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """A receipt as it stands on paper. `prints` are those made of it so far, oldest first; this one is the last of them
    where it is being printed, and none of them where it is only looked at."""

    payment: Payment
    lines: tuple[str, ...]
    paper_mm: PaperMm
    prints: tuple[Print, ...]
    is_copy: bool


class Receipts:
    """`printer` is None where the shop has none; `zones` are those of the shop and its outlets."""

    def __init__(
        self,
        *,
        db: Database,
        payments: Payments,
        printer: Printer | None,
        paper_mm: PaperMm,
        zones: Zones,
        clock: Callable[[], datetime],
    ) -> None:
        self._db = db
        self._payments = payments
        self._printer = printer
        self._paper_mm: PaperMm = paper_mm
        self._zones = zones
        self._clock = clock

    @property
    def printer_address(self) -> str | None:
        return None if self._printer is None else self._printer.address

    async def look(self, payment_id: str, who: Printing) -> Sheet:
        """The receipt as it would be printed next. Raises NotFound, and WrongState while it is not paid."""
        payment = await self._paid(payment_id, who.outlets)
        cashier, made = await self._db.read(partial(_known_of, payment=payment))
        return self._sheet(payment, cashier or who.name, made, is_copy=bool(made))

    async def print_in_browser(self, payment_id: str, who: Printing) -> Sheet:
        """The receipt for the browser to print, counted as printed. Raises as `look`."""
        return await self._counted(await self._paid(payment_id, who.outlets), "browser", who)

    async def print_on_paper(self, payment_id: str, who: Printing) -> Sheet:
        """Print on the shop's printer. Raises as `look`; PrinterSilent, having counted nothing, and PrinterStopped,
        having counted it: some of it may be on the paper."""
        payment = await self._paid(payment_id, who.outlets)
        if self._printer is None:
            raise PrinterSilent("No receipt printer is set up; the setting is pos.printer.")
        async with await self._printer.connect() as job:
            sheet = await self._counted(payment, "printer", who)
            await job.send(escpos(sheet.lines))
        return sheet

    async def _paid(self, payment_id: str, outlets: Outlets) -> Payment:
        payment = known_to(outlets, await self._payments.get(payment_id))
        if payment.status not in MONEY:
            raise WrongState("Only a paid payment has a receipt.", payment.status)
        return payment

    async def _counted(self, payment: Payment, how: How, who: Printing) -> Sheet:
        now = self._clock()

        def unit(conn: Connection) -> tuple[str | None, list[Print]]:
            receipt_prints.add(conn, payment.id, how, who.user_id, now)
            return _known_of(conn, payment)

        cashier, made = await self._db.write(unit)
        return self._sheet(payment, cashier or who.name, made, is_copy=made[-1].is_copy)

    def _sheet(self, payment: Payment, cashier: str, made: list[Print], *, is_copy: bool) -> Sheet:
        receipt = receipt_of(payment, cashier, is_copy=is_copy)
        text = tuple(lines(receipt, self._paper_mm, self._zones.of_place(payment.outlet)))
        return Sheet(payment=payment, lines=text, paper_mm=self._paper_mm, prints=tuple(made), is_copy=is_copy)


def receipt_of(payment: Payment, cashier: str, *, is_copy: bool) -> Receipt:
    """What the receipt of a paid payment says."""
    merchant = merchant_of(payment.qris_payload)
    assert payment.paid_at is not None, "a paid payment was paid at some time"
    return Receipt(
        merchant_name=merchant.name if merchant else payment.outlet,
        nmid=merchant.nmid if merchant else None,
        outlet=payment.outlet,
        cashier=cashier,
        order_id=payment.order_id,
        amount=payment.amount_paid,
        amount_refunded=payment.amount_refunded,
        paid_at=payment.paid_at,
        provider_ref_no=payment.provider_ref_no,
        description=payment.description,
        is_copy=is_copy,
    )


def _known_of(conn: Connection, payment: Payment) -> tuple[str | None, list[Print]]:
    """Who sold it, or else printed it first, so that a copy names the same person; and every print of it."""
    made = receipt_prints.of_payment(conn, payment.id)
    return till_sales.cashier_of(conn, payment.order_id) or (made[0].name if made else None), made
