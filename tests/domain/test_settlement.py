"""What a line of a report posts to the ledger."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from qrisd.domain.settlement import Kind, Line, postings

NOW = datetime(2026, 1, 17, tzinfo=UTC)


def line(kind: Kind, amount: int, fee: int, *, is_settled: bool = True) -> Line:
    return Line(
        provider="xendit",
        kind=kind,
        line_id="txn_1",
        amount=amount,
        fee=fee,
        net_amount=amount - fee,
        settlement_date=date(2026, 1, 17),
        is_settled=is_settled,
        row_number=2,
        id=7,
        payment_id="p",
    )


@pytest.mark.parametrize(
    ("kind", "amount", "fee", "posted"),
    [
        (Kind.PAYMENT, 15_000, 105, ["fees < receivable:xendit 105", "bank < receivable:xendit 14895"]),
        (Kind.PAYMENT, 15_000, 0, ["bank < receivable:xendit 15000"]),
        (Kind.REFUND, -15_000, 0, ["receivable:xendit < bank 15000"]),
        (Kind.REFUND, -15_000, -105, ["receivable:xendit < fees 105", "receivable:xendit < bank 14895"]),
        (Kind.REFUND, -15_000, 500, ["fees < receivable:xendit 500", "receivable:xendit < bank 15500"]),
        (Kind.FEE, 0, 2_900, ["fees < receivable:xendit 2900", "receivable:xendit < bank 2900"]),
        (Kind.ADJUSTMENT, 400, 0, ["bank < receivable:xendit 400"]),
        (Kind.ADJUSTMENT, -400, 0, ["receivable:xendit < bank 400"]),
        (Kind.PAYMENT, 100, 100, ["fees < receivable:xendit 100"]),
    ],
)
def test_a_settled_line_posts_what_was_kept_and_what_was_handed_over(
    kind: Kind, amount: int, fee: int, posted: list[str]
) -> None:
    entries = postings(line(kind, amount, fee), NOW)
    assert [f"{one.debit} < {one.credit} {one.amount}" for one in entries] == posted
    assert {(one.settlement_id, one.payment_id, one.happened_at) for one in entries} == {(7, "p", NOW)}
    # What the provider owed is less by the amount, or more by what it gave back.
    owed = sum(one.amount * (1 if one.debit.startswith("receivable") else -1) for one in entries)
    assert owed == -amount


def test_what_is_expected_posts_nothing() -> None:
    assert postings(line(Kind.PAYMENT, 15_000, 105, is_settled=False), NOW) == ()
