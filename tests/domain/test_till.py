"""What is typed at a till, how sales are named, and what is said."""

from __future__ import annotations

from datetime import date

import pytest

from qrisd.domain.till import order_id, said_when_paid, typed_amount
from qrisd.schemas import CreatePayment


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("15000", 15_000),
        ("15.000", 15_000),
        ("Rp15.000", 15_000),
        (" rp 1.250.000 ", 1_250_000),
        ("Rp. 500", 500),
        ("0", 0),
        ("10.000.000", 10_000_000),
    ],
)
def test_an_amount_is_read_as_it_is_written_in_shops(text: str, amount: int) -> None:
    assert typed_amount(text) == amount


@pytest.mark.parametrize(
    "text", ["", "Rp", "15.00", "15,000", "1.5000", "15000.00", "-5", "1e4", "٥٠٠", "15 000", "1" * 14, "15k", ".500"]
)
def test_what_could_be_meant_in_two_ways_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="whole rupiah"):
        typed_amount(text)


def test_a_sale_is_named_after_its_day_outlet_and_number() -> None:
    assert order_id(date(2026, 1, 15), "main", 7) == "POS-20260115-main-7"


@pytest.mark.parametrize("number", [1, 999_999])
def test_every_outlets_name_makes_an_order_id_that_can_be_used(number: int) -> None:
    made = order_id(date(2026, 1, 15), "toko-" + "x" * 59, number)
    assert CreatePayment(order_id=made, amount=1).order_id.endswith(f"-{number}")


def test_money_is_said_in_the_language_of_the_page() -> None:
    assert said_when_paid(50_000, "id") == "Pembayaran lima puluh ribu rupiah diterima"
    assert said_when_paid(1_250_500, "en") == "Payment of 1,250,500 rupiah received"
