from __future__ import annotations

import pytest

from qrisd.domain.money import rupiah, whole_rupiah


@pytest.mark.parametrize(
    ("amount", "text"),
    [(0, "Rp0"), (999, "Rp999"), (15000, "Rp15.000"), (10_000_000, "Rp10.000.000"), (-15000, "-Rp15.000")],
)
def test_rupiah_are_written_with_dots_between_thousands(amount: int, text: str) -> None:
    assert rupiah(amount) == text


@pytest.mark.parametrize("text", ["10000", "10000.", "10000.0", "10000.00", "0010000"])
def test_provider_amounts_without_fraction_are_whole_rupiah(text: str) -> None:
    assert whole_rupiah(text) == 10000


def test_thirteen_digits_are_the_most_an_amount_may_have() -> None:
    assert whole_rupiah("9999999999999.00") == 9_999_999_999_999
    with pytest.raises(ValueError, match="whole rupiah"):
        whole_rupiah("10000000000000")


@pytest.mark.parametrize(
    "text",
    [
        *("", ".", ".00", "10.5", "10.01", "1.000", "10,000", "1e4", "+5", "-5", "NaN", "Infinity", "1_000"),
        *(" 5", "5\n", "Rp5", "0x10", "٥", "１２", "10.00.00"),
    ],
)
def test_anything_else_is_refused_rather_than_guessed(text: str) -> None:
    with pytest.raises(ValueError, match="whole rupiah"):
        whole_rupiah(text)
