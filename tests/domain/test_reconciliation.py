"""What differs between us, the provider and its report, and what a payout is made of."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from qrisd.domain.payment import Status
from qrisd.domain.payout import Part, PayoutSums, bank_differs
from qrisd.domain.reconciliation import (
    Charged,
    Class,
    Look,
    Reason,
    Sale,
    StrayWebhook,
    Terms,
    differences,
    orphan_line,
    orphan_webhook,
)
from qrisd.domain.settlement import Kind, Line

DAY = date(2026, 1, 15)
ZONE = ZoneInfo("Asia/Jakarta")
AMOUNT = 15_000
FEE = 105
TERMS = Terms(
    today=DAY + timedelta(days=2),
    settles_after={"midtrans": 3},
    reporting=frozenset({"midtrans"}),
    expected_fee=lambda charge, amount, on: FEE,
)
AFTERWARDS = replace(TERMS, today=DAY + timedelta(days=4))


def line(**changed: Any) -> Line:
    amount, fee = changed.get("amount", AMOUNT), changed.get("fee", FEE)
    facts: dict[str, Any] = {
        "id": 1,
        "provider": "midtrans",
        "kind": Kind.PAYMENT,
        "line_id": "L-1",
        "provider_trx_id": "T-1",
        "amount": amount,
        "fee": fee,
        "net_amount": amount - fee,
        "settlement_date": DAY + timedelta(days=1),
        "is_settled": True,
        "row_number": 2,
    }
    return Line(**{**facts, **changed})


def look(status: Status | None = Status.PAID, **changed: Any) -> Look:
    facts: dict[str, Any] = {
        "version": 1,
        "status": status,
        "absent": False,
        "amount": AMOUNT if status is Status.PAID else None,
        "amount_refunded": None,
        "problem": None,
    }
    return Look(**{**facts, **changed})


def charge(*lines: Line, **changed: Any) -> Charged:
    facts: dict[str, Any] = {
        "id": "attempt-1",
        "provider": "midtrans",
        "provider_trx_id": "T-1",
        "status": Status.PAID,
        "amount": AMOUNT,
        "amount_paid": AMOUNT,
        "amount_refunded": 0,
        "version": 1,
        "look": look(),
        "lines": lines,
    }
    return Charged(**{**facts, **changed})


def unpaid(*lines: Line, **changed: Any) -> Charged:
    return charge(*lines, **{"status": Status.EXPIRED, "amount_paid": 0, "look": look(Status.EXPIRED), **changed})


def sale(*charges: Charged, **changed: Any) -> Sale:
    paid = sum(one.amount_paid for one in charges)
    facts: dict[str, Any] = {
        "id": "payment-1",
        "order_id": "INV-1",
        "status": Status.PAID if paid else Status.EXPIRED,
        "amount_paid": paid,
        "amount_refunded": sum(one.amount_refunded for one in charges),
        "paid_at": datetime.combine(DAY, time(12), ZONE) if paid else None,
        "zone": ZONE,
        "charges": charges,
    }
    return Sale(**{**facts, **changed})


def found(one: Sale, terms: Terms = TERMS) -> list[tuple[Class, Reason]]:
    return [(told.kind, told.reason) for told in differences(one, terms)]


@pytest.mark.parametrize(
    "agreed",
    [
        charge(line()),
        charge(),  # the report is still to come
        charge(look=None),
        charge(line(), look=look(None)),  # the provider names a state we do not know
        charge(line(is_settled=False)),
        charge(line(fee=FEE - 1)),  # rounded in our favour
        charge(line(fee=0)),  # a report without fees
        charge(line(settlement_date=DAY + timedelta(days=3))),
        charge(line(), look=look(Status.EXPIRED, version=0)),  # said before it was paid
        charge(line(), look=look(Status.PARTIALLY_REFUNDED, amount_refunded=500), amount_refunded=500),
        charge(line(), look=look(Status.PARTIALLY_REFUNDED, amount_refunded=500), refunds_open=500),
        charge(line(), line(id=2, line_id="R", kind=Kind.REFUND, amount=-500, fee=0), amount_refunded=500),
        unpaid(),
        unpaid(status=Status.PENDING),
        charge(status=Status.PENDING, amount_paid=0, look=look(None, absent=True)),  # in flight
    ],
)
def test_what_agrees_is_no_difference(agreed: Charged) -> None:
    assert found(sale(agreed)) == []


@pytest.mark.parametrize(
    ("wrong", "kind", "reason"),
    [
        (unpaid(line()), Class.MISSING_HERE, Reason.ONLY_REPORTED),
        (charge(look=look(None, absent=True)), Class.MISSING_THERE, Reason.UNKNOWN_THERE),
        (charge(look=look(Status.EXPIRED)), Class.STATUS, Reason.UNPAID_THERE),
        (charge(line(), look=look(problem="currency_mismatch")), Class.STATUS, Reason.NOT_BELIEVED),
        (charge(line(amount=AMOUNT - 1)), Class.AMOUNT, Reason.OTHER_AMOUNT_REPORTED),
        (charge(look=look(amount=AMOUNT - 1)), Class.AMOUNT, Reason.OTHER_AMOUNT_THERE),
        (charge(amount_paid=AMOUNT + 1, look=None), Class.AMOUNT, Reason.OVERPAID),
        (charge(status=Status.EXPIRED, amount_paid=1, look=None), Class.AMOUNT, Reason.UNDERPAID),
        (charge(line(fee=FEE + 1)), Class.FEE, Reason.FEE_TOO_HIGH),
        (charge(line(fee=FEE - 2)), Class.FEE, Reason.FEE_TOO_LOW),
        (charge(line(), line(id=2, line_id="L-2")), Class.DUPLICATE, Reason.LISTED_TWICE),
        (charge(line(settlement_date=DAY + timedelta(days=4))), Class.LATE, Reason.PAID_OUT_LATE),
        (charge(line(), look=look(Status.REFUNDED)), Class.REFUNDED_THERE, Reason.GIVEN_BACK),
        (
            charge(line(), line(id=2, line_id="R", kind=Kind.REFUND, amount=-500, fee=0)),
            Class.REFUNDED_THERE,
            Reason.GIVEN_BACK,
        ),
        (charge(look=look(amount_refunded=0), amount_refunded=500), Class.STATUS, Reason.REFUND_UNKNOWN_THERE),
        (
            charge(look=look(Status.PARTIALLY_REFUNDED, amount_refunded=500), amount_refunded=800),
            Class.STATUS,
            Reason.REFUND_UNKNOWN_THERE,
        ),
    ],
)
def test_each_difference_has_its_class(wrong: Charged, kind: Class, reason: Reason) -> None:
    assert found(sale(wrong)) == [(kind, reason)]


@pytest.mark.parametrize(
    ("waiting", "reason"),
    [(charge(), Reason.NOT_IN_A_REPORT), (charge(line(is_settled=False)), Reason.NOT_PAID_OUT)],
)
def test_money_is_unsettled_only_once_its_time_is_over(waiting: Charged, reason: Reason) -> None:
    on_the_last_day = replace(TERMS, today=DAY + timedelta(days=3))
    assert found(sale(waiting), on_the_last_day) == []
    assert found(sale(waiting), AFTERWARDS) == [(Class.UNSETTLED, reason)]


@pytest.mark.parametrize(
    "not_owed",
    [
        charge(look=look(None, absent=True)),
        charge(look=look(Status.EXPIRED)),
        charge(look=look(Status.REFUNDED)),
        charge(amount_refunded=AMOUNT, look=None),
    ],
)
def test_what_the_provider_has_no_money_of_is_not_unsettled_too(not_owed: Charged) -> None:
    assert Class.UNSETTLED not in [kind for kind, _ in found(sale(not_owed), AFTERWARDS)]


def test_without_a_single_report_nothing_is_unsettled() -> None:
    assert found(sale(charge()), replace(AFTERWARDS, reporting=frozenset())) == []


def test_two_paid_attempts_are_a_duplicate_until_one_is_given_back() -> None:
    first, second = charge(), charge(id="attempt-2")
    assert found(sale(first, second)) == [(Class.DUPLICATE, Reason.PAID_TWICE)]
    back = replace(second, amount_refunded=AMOUNT, look=look(Status.REFUNDED))
    assert found(sale(first, back)) == []


def test_a_difference_keeps_its_id_while_its_amounts_change() -> None:
    first, later = (differences(sale(charge(line(fee=fee))), TERMS)[0] for fee in (200, 300))
    assert first.id == later.id
    assert first != later


def test_a_run_over_one_provider_sees_only_its_attempts() -> None:
    both = sale(charge(look=look(None, absent=True)), charge(id="attempt-2", provider="xendit", amount_refunded=AMOUNT))
    assert [told.provider for told in differences(both, TERMS, "midtrans")] == ["midtrans"]
    assert differences(both, TERMS, "xendit") == []


def test_a_line_and_a_webhook_of_the_same_unknown_charge_are_one_orphan() -> None:
    stray = StrayWebhook("midtrans", "evt-1", "T-1", "X", None)
    assert orphan_line(line()).id == orphan_webhook(stray).id
    refund = line(kind=Kind.REFUND, amount=-500, line_id="R-1")
    assert orphan_line(refund).id != orphan_line(line()).id


# Payouts


@pytest.mark.parametrize(
    ("about", "own", "parts"),
    [
        (line(), charge(line()), {Part.PAYMENTS: AMOUNT}),
        (line(amount=14_000), charge(line(amount=14_000)), {Part.PAYMENTS: AMOUNT, Part.AMOUNT: -1_000}),
        (line(), unpaid(line()), {Part.MISSING_HERE: AMOUNT}),
        (line(), None, {Part.ORPHAN: AMOUNT}),
        (line(id=2, line_id="L-2"), charge(line(), line(id=2, line_id="L-2")), {Part.DUPLICATE: AMOUNT}),
        (line(kind=Kind.ADJUSTMENT, amount=-700), None, {Part.ADJUSTMENTS: -700}),
        (line(kind=Kind.FEE, amount=0), None, {}),
    ],
)
def test_every_rupiah_of_a_payout_has_a_name(about: Line, own: Charged | None, parts: dict[Part, int]) -> None:
    sums = PayoutSums("midtrans", DAY)
    sums.add(about, own)
    payout = sums.total(None)
    assert payout.parts == {**parts, Part.FEES: -FEE}
    assert payout.net == about.net_amount
    assert payout.residual == 0


def test_a_refund_in_a_payout_is_ours_as_far_as_we_know_of_it() -> None:
    back = line(id=2, line_id="R", kind=Kind.REFUND, amount=-900, fee=0)
    sums = PayoutSums("midtrans", DAY)
    sums.add(back, charge(line(), back, amount_refunded=500))
    assert sums.total(None).parts == {Part.REFUNDS: -500, Part.REFUNDED_THERE: -400}


def test_the_bank_is_compared_with_the_report() -> None:
    sums = PayoutSums("midtrans", DAY)
    sums.add(line(), charge(line()))
    told = bank_differs(sums.total(14_000))
    assert told is not None
    assert (told.kind, told.reason, told.gap) == (Class.AMOUNT, Reason.OTHER_AMOUNT_AT_BANK, 14_000 - (AMOUNT - FEE))
    assert bank_differs(sums.total(AMOUNT - FEE)) is None
    assert sums.total(AMOUNT - FEE).is_explained
    assert not sums.total(14_000).is_explained
