"""Selling at a till: what a cashier types becomes a payment, once however often the form is sent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from typing import Final

from pydantic import ValidationError

from qrisd.domain import till
from qrisd.domain.business_day import Zones
from qrisd.domain.errors import FieldError, IdempotencyKeyReused, Invalid, ProviderError, WrongState
from qrisd.domain.payment import Payment
from qrisd.domain.permissions import Outlets, reaches
from qrisd.domain.shift import Shift
from qrisd.schemas import CreatePayment
from qrisd.services.creating import Creating
from qrisd.store import payments, shifts, till_sales
from qrisd.store.audit_log import Actor
from qrisd.store.db import Connection, Database
from qrisd.store.till_sales import TillSale

NOT_NAMED_YET: Final = "POS"


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed:
    """What a cashier typed into the form with this `token`, in this shift. `amount` is whole rupiah."""

    shift_id: str
    token: str
    amount: int
    note: str | None


class Selling:
    """`sell` and what it takes. Order ids are named after the outlets' business days in `zones`."""

    def __init__(self, *, db: Database, creating: Creating, zones: Zones, clock: Callable[[], datetime]) -> None:
        self._db = db
        self._creating = creating
        self._zones = zones
        self._clock = clock

    async def sell(self, user_id: str, outlets: Outlets, typed: Typed, count: Callable[[], None]) -> Payment:
        """Make the payment for what this person typed, who may sell at these outlets. A repetition gives the same
        payment; a provider's trouble gives one that failed, or whose QR is not confirmed yet.

        `count()` is called before a new sale is stored; what it raises prevents the sale. Raises Invalid, WrongState
        when this person is not in that shift, and IdempotencyKeyReused when the form was used for another sale; none of
        these is counted, nor is a repetition."""
        order = _order(typed)
        self._creating.check(order)
        look = partial(_look, user_id=user_id, outlets=outlets, typed=typed)
        if (await self._db.read(look)).sale is None:
            count()
        sale = await self._db.write(partial(_reserve, look=look, typed=typed, zones=self._zones, now=self._clock()))
        order = order.model_copy(update={"order_id": sale.order_id, "outlet": sale.outlet})
        try:
            await self._creating.create(order, None, Actor(user_id))
        except ProviderError:
            payment = await self._made(sale)
            if payment is None:
                raise
            return payment
        payment = await self._made(sale)
        assert payment is not None, "what was created is there"
        return payment

    async def _made(self, sale: TillSale) -> Payment | None:
        return await self._db.read(lambda conn: payments.by_order_id(conn, sale.order_id))


def _order(typed: Typed) -> CreatePayment:
    """The request for the payment, still without its name and outlet. Raises Invalid."""
    try:
        return CreatePayment(order_id=NOT_NAMED_YET, outlet="main", amount=typed.amount, description=typed.note)
    except ValidationError as error:
        fields = {str(one["loc"][0]) for one in error.errors()}
        wrong = [FieldError("note" if name == "description" else name, "cannot be taken") for name in sorted(fields)]
        raise Invalid(*wrong) from None


@dataclass(frozen=True, slots=True)
class _Found:
    """The shift that a form was sent in, and the sale that was typed into it before, if one was."""

    shift: Shift
    sale: TillSale | None


def _look(conn: Connection, *, user_id: str, outlets: Outlets, typed: Typed) -> _Found:
    shift = shifts.open_of(conn, user_id)
    if shift is None or shift.id != typed.shift_id or not reaches(outlets, shift.outlet):
        raise WrongState("This shift is closed.", "closed")
    known = till_sales.by_token(conn, shift.id, typed.token)
    if known is not None and (known.amount, known.note) != (typed.amount, typed.note):
        raise IdempotencyKeyReused("This form was used for another sale.")
    return _Found(shift, known)


def _reserve(
    conn: Connection, *, look: Callable[[Connection], _Found], typed: Typed, zones: Zones, now: datetime
) -> TillSale:
    """The sale typed into this form: the one there is, or a new one with an order id nobody has."""
    found = look(conn)
    if found.sale is not None:
        return found.sale
    sale = _numbered(conn, found.shift, typed, zones.day_of(now, found.shift.outlet), now)
    till_sales.add(conn, sale)
    return sale


def _numbered(conn: Connection, shift: Shift, typed: Typed, day: date, now: datetime) -> TillSale:
    number = till_sales.last_number(conn, day, shift.outlet) + 1
    # Another program may have used such a name, and long names of outlets may begin alike.
    while till_sales.is_taken(conn, till.order_id(day, shift.outlet, number)):
        number += 1
    return TillSale(
        order_id=till.order_id(day, shift.outlet, number),
        shift_id=shift.id,
        day=day,
        outlet=shift.outlet,
        number=number,
        token=typed.token,
        amount=typed.amount,
        note=typed.note,
        created_at=now,
    )
