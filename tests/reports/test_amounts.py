"""Amounts of a report's cells."""

from __future__ import annotations

import pytest

from qrisd.reports.amounts import AmountReader, Mark, Unit


@pytest.mark.parametrize(
    ("cell", "mark", "rupiah"),
    [
        ("15000", None, 15_000),
        ("15000.00", None, 15_000),
        ("15000,00", None, 15_000),
        ("15000.", None, 15_000),
        ("1.000,00", None, 1_000),
        ("1,000.00", None, 1_000),
        ("1.000.000", None, 1_000_000),
        ("1,000,000", None, 1_000_000),
        ("1.00", None, 1),
        ("Rp15.000,00", None, 15_000),
        ("Rp. 15000", None, 15_000),
        ("IDR 15000", None, 15_000),
        ("15000 IDR", None, 15_000),
        ("-Rp15000", None, -15_000),
        ("-70", None, -70),
        ("70-", None, -70),
        ("(70)", None, -70),
        ("+70", None, 70),
        (" 70 ", None, 70),
        ("Rp 15.000,-", None, 15_000),
        ("15000,-", None, 15_000),
        ("Rp1.500.000,-", ",", 1_500_000),
        ("15.000.-", ",", 15_000),
        ("-15.000,--", None, -15_000),
        ("(15.000,-)", None, -15_000),
        ("1.000", ",", 1_000),
        ("1,000", ".", 1_000),
        ("1.000", ".", 1),
        ("15000.000", ".", 15_000),
        ("Rp 15.000,00", None, 15_000),
        ("Rp (15.000,00)", None, -15_000),
        ("(Rp 15.000,00)", None, -15_000),
        ("Rp\N{NO-BREAK SPACE}15.000,00", None, 15_000),
        ("Rp -", None, 0),
        ("Rp-", ",", 0),
        (15_000, None, 15_000),
        (104.99999999999999, None, 105),
        (14_895.000000000002, None, 14_895),
        (15_000.0, None, 15_000),
        (-15_000.0, None, -15_000),
    ],
)
def test_an_amount_is_read(cell: object, mark: Mark | None, rupiah: int) -> None:
    assert AmountReader("rupiah", mark).read(cell) == rupiah


@pytest.mark.parametrize("cell", ["1.000", "1,000", "15000.000", "0.000"])
def test_what_can_be_read_two_ways_is_refused_unless_the_layout_says_which(cell: str) -> None:
    with pytest.raises(ValueError, match="thousands or as a fraction"):
        AmountReader("rupiah").read(cell)


@pytest.mark.parametrize(
    "cell",
    [
        *["", "x", "1e5", "٣", "1_000", "NaN", ".50", "1.000.00", "1,00.00", "1 000", "--5", "-5-", "0x10", "1,0,0"],
        *["-", "Rp", "()", "(-)"],
        *[True, None, float("nan"), float("inf"), 1e15, "9" * 22],
    ],
)
def test_what_is_no_amount_is_refused(cell: object) -> None:
    for mark in (None, ".", ","):
        with pytest.raises(ValueError):
            AmountReader("rupiah", mark).read(cell)


@pytest.mark.parametrize(
    ("cell", "unit"), [("15000.50", "rupiah"), (15_000.5, "rupiah"), ("150050", "cents"), ("150000.50", "cents")]
)
def test_a_fraction_of_a_rupiah_is_refused(cell: object, unit: Unit) -> None:
    with pytest.raises(ValueError, match="fraction of a rupiah"):
        AmountReader(unit).read(cell)


@pytest.mark.parametrize("cell", ["1500000", "1500000.00", "1,500,000.00", 1_500_000.0, "1.500.000"])
def test_cents_become_rupiah(cell: object) -> None:
    assert AmountReader("cents").read(cell) == 15_000


def test_a_column_written_in_two_ways_is_refused() -> None:
    reader = AmountReader("rupiah")
    assert reader.read("1.000,00") == 1_000
    assert reader.read("2000") == 2_000
    with pytest.raises(ValueError, match="another way"):
        reader.read("1,000.00")


def test_what_the_layout_says_of_the_fraction_must_fit() -> None:
    with pytest.raises(ValueError, match="as the layout says"):
        AmountReader("rupiah", ",").read("15000.00")
