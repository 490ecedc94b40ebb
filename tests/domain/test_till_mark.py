"""The colour-and-word pair of a minute: the same on every screen of an outlet, unlike the one of another minute."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from itertools import combinations, pairwise
from pathlib import Path

import pytest

import qrisd.web
from qrisd.domain.till_mark import COLOURS, WORDS, is_shown, mark_of

KEY = b"k" * 32
NOON = datetime(2026, 1, 15, 5, 0, tzinfo=UTC)
CSS = (Path(qrisd.web.__file__).parent / "static/pages/mark.css").read_text()
READABLE = 4.5  # WCAG 2.2 AA, for text of any size
TOLD_APART = 20.0  # CIE76; 2.3 is what a trained eye just sees


def test_the_pair_stays_for_its_minute_and_names_its_end() -> None:
    mark = mark_of(KEY, "main", NOON)
    assert mark.changes_at == NOON + timedelta(minutes=1)
    assert mark_of(KEY, "main", NOON + timedelta(seconds=59.999)) == mark
    assert mark_of(KEY, "main", mark.changes_at) != mark


def test_another_outlet_or_another_key_has_another_pair() -> None:
    minutes = [NOON + timedelta(minutes=number) for number in range(20)]
    main = [mark_of(KEY, "main", minute) for minute in minutes]
    assert main != [mark_of(KEY, "kemang", minute) for minute in minutes]
    assert main != [mark_of(b"j" * 32, "main", minute) for minute in minutes]


def test_every_colour_and_word_comes_and_a_pair_is_seldom_the_one_before() -> None:
    marks = [mark_of(KEY, "main", NOON + timedelta(minutes=number)) for number in range(1440)]
    pairs = [(mark.colour, mark.word) for mark in marks]
    assert {colour for colour, _ in pairs} == set(COLOURS)
    assert {word for _, word in pairs} == set(WORDS)
    assert sum(one == other for one, other in pairwise(pairs)) <= 10


def test_there_are_enough_words_and_each_is_short_and_there_once() -> None:
    assert len(WORDS) == len(set(WORDS)) >= 60
    assert all(re.fullmatch("[a-z]{3,8}", word) for word in WORDS)


def test_the_pair_is_shown_for_ten_minutes_after_paying() -> None:
    assert is_shown(NOON, NOON)
    assert is_shown(NOON + timedelta(seconds=5), NOON), "a provider's clock may be ahead"
    assert is_shown(NOON, NOON + timedelta(minutes=9, seconds=59))
    assert not is_shown(NOON, NOON + timedelta(minutes=10))


def drawn(colour: str) -> tuple[str, str]:
    """(background, text) of a colour in the stylesheet, as six hexadecimal digits."""
    found = re.search(rf"\.till-{colour} {{\s*background: #(\w+);\s*color: #(\w+);", CSS)
    assert found is not None, colour
    return six(found[1]), six(found[2])


def six(digits: str) -> str:
    return digits if len(digits) == 6 else "".join(digit * 2 for digit in digits)


def linear(digits: str) -> list[float]:
    """Red, green and blue from 0 to 1, as light."""
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    return [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]


def luminance(digits: str) -> float:
    red, green, blue = linear(digits)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def lab(digits: str) -> list[float]:
    red, green, blue = linear(digits)
    x = (0.4124 * red + 0.3576 * green + 0.1805 * blue) / 0.9505
    z = (0.0193 * red + 0.1192 * green + 0.9505 * blue) / 1.089
    fx, fy, fz = (t ** (1 / 3) if t > 0.008856 else 7.787 * t + 16 / 116 for t in (x, luminance(digits), z))
    return [116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)]


@pytest.mark.parametrize("colour", COLOURS)
def test_the_text_of_every_colour_can_be_read(colour: str) -> None:
    light, dark = sorted((luminance(one) for one in drawn(colour)), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= READABLE


@pytest.mark.parametrize(("one", "other"), list(combinations(COLOURS, 2)))
def test_no_colour_is_taken_for_another(one: str, other: str) -> None:
    distance = sum((a - b) ** 2 for a, b in zip(lab(drawn(one)[0]), lab(drawn(other)[0]), strict=True)) ** 0.5
    assert distance >= TOLD_APART
