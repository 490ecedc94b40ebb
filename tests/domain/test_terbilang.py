"""Amounts as a till says them."""

from __future__ import annotations

import pytest

from qrisd.domain.terbilang import LARGEST, terbilang


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "nol"),
        (1, "satu"),
        (10, "sepuluh"),
        (11, "sebelas"),
        (12, "dua belas"),
        (19, "sembilan belas"),
        (20, "dua puluh"),
        (21, "dua puluh satu"),
        (99, "sembilan puluh sembilan"),
        (100, "seratus"),
        (101, "seratus satu"),
        (111, "seratus sebelas"),
        (200, "dua ratus"),
        (999, "sembilan ratus sembilan puluh sembilan"),
        (1_000, "seribu"),
        (1_001, "seribu satu"),
        (1_999, "seribu sembilan ratus sembilan puluh sembilan"),
        (2_000, "dua ribu"),
        (11_000, "sebelas ribu"),
        (15_000, "lima belas ribu"),
        (50_000, "lima puluh ribu"),
        (100_000, "seratus ribu"),
        (101_000, "seratus satu ribu"),
        (201_000, "dua ratus satu ribu"),
        (1_000_000, "satu juta"),
        (1_001_000, "satu juta seribu"),
        (2_500_750, "dua juta lima ratus ribu tujuh ratus lima puluh"),
        (1_000_000_000, "satu miliar"),
        (1_000_000_000_001, "satu triliun satu"),
    ],
)
def test_a_number_is_said_as_indonesians_say_it(number: int, words: str) -> None:
    assert terbilang(number) == words


@pytest.mark.parametrize("number", [-1, LARGEST + 1])
def test_what_cannot_be_said_is_refused(number: int) -> None:
    with pytest.raises(ValueError, match="999 trillion"):
        terbilang(number)


def test_every_number_below_a_million_is_said_in_its_own_way() -> None:
    said = {terbilang(number) for number in range(1_000_000)}
    assert len(said) == 1_000_000
    assert not any("  " in words for words in list(said)[:1_000])
