"""What a proof of payment is read as, and what our records say of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from qrisd.domain.payment import Oddity, Payment, Status
from qrisd.domain.proof import FRESH, MAX_NAMES, Candidate, Doubt, Finding, Match, Query, Verdict, judge, read
from tests.support import payments as sample

NOW = datetime(2026, 1, 15, 3, 0, tzinfo=UTC)
SLIP = """Transaksi Berhasil
15 Jan 2026 10:03:21 WIB
WARUNG SIMULASI
Total Rp50.000
Biaya Rp0
No. Referensi: 123456789012
RRN 9988 7766 5544"""


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("50000", 50_000),
        ("50.000", 50_000),
        (" Rp50.000 ", 50_000),
        ("rp 50000", 50_000),
        ("Rp. 50.000,-", 50_000),
        ("Rp 50.000,00", 50_000),
        ("IDR 50,000.00", 50_000),
        ("50rb", 50_000),
        ("50 ribu", 50_000),
        ("50k", 50_000),
        ("1,5jt", 1_500_000),
        ("2 juta", 2_000_000),
        ("1.250.000", 1_250_000),
    ],
)
def test_an_amount_is_read_however_it_is_written(text: str, amount: int) -> None:
    assert read(text) == Query(amounts=(amount,), names=())


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("123456789012", "123456789012"),
        ("RRN 123456789012", "123456789012"),
        ("INV-2026-0001", "INV-2026-0001"),
        ("#1042", "1042"),
        ("pesanan 1042", "1042"),
        ("K-10K", "K-10K"),
        ("1234 5678 9012", "123456789012"),
    ],
)
def test_a_number_is_read_as_a_name_and_not_as_an_amount(text: str, name: str) -> None:
    query = read(text)
    assert query.names == (name,)
    assert query.amounts == ()


def test_a_name_is_looked_for_in_capitals_too() -> None:
    assert set(read("abc123def456").names) == {"abc123def456", "ABC123DEF456"}


def test_a_pasted_receipt_gives_its_amounts_and_numbers() -> None:
    query = read(SLIP)
    assert query.amounts == (50_000,)
    assert {"123456789012", "998877665544"} <= set(query.names)
    assert "2026" not in query.names
    assert query.is_pasted


@pytest.mark.parametrize(
    "text", ["", "  ", "halo", "0", "Rp0", "sudah bayar ya kak", "\x00", "'; DROP TABLE payments; --"]
)
def test_what_names_nothing_is_empty(text: str) -> None:
    assert read(text).is_empty


def test_however_long_the_text_is_little_is_looked_for() -> None:
    query = read(" ".join(f"Rp{number} REF{number:09d}" for number in range(1000, 3000)))
    assert len(query.amounts) <= 4
    assert len(query.names) <= MAX_NAMES


def payment(order_id: str = "INV-1", **facts: Any) -> Payment:
    """A payment of Rp50.000 made a minute ago, that waits."""
    made = NOW - timedelta(minutes=1)
    usual = {"amount": 50_000, "amount_due": 50_000, "created_at": made, "updated_at": made}
    return sample.payment(id=order_id, order_id=order_id, **{**usual, **facts})


def paid(order_id: str = "INV-1", *, ago: timedelta = timedelta(seconds=20), **facts: Any) -> Payment:
    at = NOW - ago
    facts = {"status": Status.PAID, "amount_paid": 50_000, "paid_at": at, "created_at": at, **facts}
    return payment(order_id, **facts)


BY_AMOUNT = Query((50_000,), ())
BY_NAME = Query((), ("X1",))


def judged(query: Query, *found: tuple[Payment, Match], doubt: Doubt | None = None) -> Verdict:
    return judge([Candidate(*one) for one in found], query, NOW, doubt)


@pytest.mark.parametrize("match", [Match.ORDER, Match.REFERENCE, Match.AMOUNT])
def test_money_that_came_just_now_is_paid(match: Match) -> None:
    query = BY_AMOUNT if match is Match.AMOUNT else BY_NAME
    verdict = judged(query, (paid(), match))
    assert (verdict.finding, verdict.match, verdict.waiting) == (Finding.PAID, match, None)
    assert verdict.payment is not None
    assert verdict.payment.order_id == "INV-1"


@pytest.mark.parametrize("match", [Match.REFERENCE, Match.AMOUNT])
def test_money_that_came_long_ago_was_for_something_else(match: Match) -> None:
    query = BY_AMOUNT if match is Match.AMOUNT else BY_NAME
    assert judged(query, (paid(ago=FRESH), match)).finding is Finding.PAID
    assert judged(query, (paid(ago=FRESH + timedelta(seconds=1)), match)).finding is Finding.USED


def test_a_typed_order_is_paid_however_old_but_the_slip_of_it_is_an_old_proof() -> None:
    old = (paid(ago=timedelta(days=3)), Match.ORDER)
    assert judged(BY_NAME, old).finding is Finding.PAID
    assert judged(replace(BY_NAME, is_pasted=True), old).finding is Finding.USED


@pytest.mark.parametrize("match", [Match.REFERENCE, Match.AMOUNT])
def test_an_order_of_the_same_amount_that_still_waits_is_named(match: Match) -> None:
    """Two customers with a QR each, one paid: whichever cashier asks, the answer says whose money it was."""
    other = (payment("INV-2"), Match.AMOUNT if match is Match.AMOUNT else Match.ALIKE)
    verdict = judged(BY_AMOUNT if match is Match.AMOUNT else BY_NAME, (paid(), match), other)
    assert verdict.finding is Finding.PAID
    assert verdict.payment is not None
    assert verdict.waiting is not None
    assert (verdict.payment.order_id, verdict.waiting.order_id) == ("INV-1", "INV-2")


SINCE = timedelta(seconds=1)


@pytest.mark.parametrize("ago", [SINCE, timedelta(minutes=5), FRESH])
@pytest.mark.parametrize("match", [Match.REFERENCE, Match.AMOUNT])
def test_money_from_before_the_order_that_waits_is_not_for_it(match: Match, ago: timedelta) -> None:
    """A friend's genuine screenshot, shown for the next order of the same amount."""
    made = NOW - ago + SINCE / 2
    for asked in ({"amount": 50_000}, {"amount": 49_990, "amount_due": 50_000}):
        later = payment("INV-2", created_at=made, **asked)
        other = (later, Match.AMOUNT if match is Match.AMOUNT else Match.ALIKE)
        verdict = judged(BY_AMOUNT if match is Match.AMOUNT else BY_NAME, (paid(ago=ago), match), other)
        assert verdict.finding is Finding.USED
        assert verdict.payment is not None
        assert verdict.waiting is not None
        assert (verdict.payment.order_id, verdict.waiting.order_id) == ("INV-1", "INV-2")


def test_a_pasted_slip_with_the_order_on_it_is_no_better_than_its_number() -> None:
    later = (payment("INV-2", created_at=NOW), Match.ALIKE)
    assert judged(replace(BY_NAME, is_pasted=True), (paid(), Match.ORDER), later).finding is Finding.USED
    assert judged(BY_NAME, (paid(), Match.ORDER), later).finding is Finding.PAID, "this order was asked about"


def test_what_was_ordered_later_but_waits_no_more_or_asks_for_something_else_takes_nothing_away() -> None:
    over = payment("INV-2", created_at=NOW, status=Status.CANCELLED)
    other = payment("INV-3", created_at=NOW, amount=70_000, amount_due=70_000)
    verdict = judged(BY_NAME, (paid(), Match.REFERENCE), (over, Match.ALIKE), (other, Match.ALIKE))
    assert (verdict.finding, verdict.waiting) == (Finding.PAID, None)


def test_money_for_an_order_that_nobody_named_is_not_its_money() -> None:
    verdict = judged(BY_NAME, (payment("INV-1"), Match.ORDER), (paid("INV-2"), Match.ALIKE))
    assert verdict.finding is Finding.ABSENT
    assert verdict.payment is None
    assert verdict.waiting is not None
    assert verdict.waiting.order_id == "INV-1"


def test_a_real_number_on_a_slip_with_another_amount_is_no_proof() -> None:
    query = Query((90_000,), ("X1",), is_pasted=True)
    assert judged(query, (paid(), Match.REFERENCE)).finding is Finding.MISMATCH
    assert judged(replace(query, amounts=(2_500, 50_000)), (paid(), Match.REFERENCE)).finding is Finding.PAID


@pytest.mark.parametrize("oddity", Oddity)
def test_odd_money_is_for_the_supervisor(oddity: Oddity) -> None:
    odd = paid(exception=oddity, status=Status.EXPIRED if oddity is Oddity.UNDERPAID else Status.PAID)
    assert judged(BY_NAME, (odd, Match.REFERENCE)).finding is Finding.ODD


@pytest.mark.parametrize("status", [Status.PARTIALLY_REFUNDED, Status.REFUNDED])
def test_money_that_went_back_is_not_called_paid(status: Status) -> None:
    gone = paid(status=status, amount_refunded=10_000)
    for match in (Match.ORDER, Match.REFERENCE):
        assert judged(BY_NAME, (gone, match)).finding is Finding.RETURNED


@pytest.mark.parametrize("status", [one for one in Status if one not in ("PAID", "PARTIALLY_REFUNDED", "REFUNDED")])
@pytest.mark.parametrize("doubt", [None, *Doubt])
def test_without_money_it_is_never_paid(status: Status, doubt: Doubt | None) -> None:
    verdict = judged(BY_AMOUNT, (payment(status=status), Match.AMOUNT), doubt=doubt)
    assert verdict.finding is (Finding.UNKNOWN if doubt else Finding.ABSENT)
    assert (verdict.payment, verdict.doubt) == (None, doubt)


def test_nothing_found_is_not_arrived_and_nothing_asked_is_said_so() -> None:
    assert judged(BY_AMOUNT) == Verdict(Finding.ABSENT)
    assert judged(Query((), ())) == Verdict(Finding.UNREADABLE)
