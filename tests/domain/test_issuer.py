from __future__ import annotations

import pytest

from qrisd.domain.issuer import NAMES, kept, meant


@pytest.mark.parametrize(
    ("spelled", "name"),
    [
        ("DANA", "DANA"),
        ("ID_DANA", "DANA"),
        ("GOPAY", "GoPay"),
        ("Go-Pay", "GoPay"),
        ("ShopeePay", "ShopeePay"),
        ("PT Bank Permata Tbk", "Permata"),
        ("Jenius", "Jenius"),
        ("Bank SMBC Indonesia", "Jenius"),
        ("Bank Syariah Indonesia", "BSI"),
        ("CIMB NIAGA", "CIMB"),
        ("BNI", "BNI"),
        ("Bank Mandiri", "Mandiri"),
    ],
)
def test_a_spelling_means_its_issuer(spelled: str, name: str) -> None:
    assert meant(spelled) == name


@pytest.mark.parametrize(
    "spelled",
    [
        None,
        "",
        "93600999",
        "Danamoney",
        "Koperasi Maju",
        "BCA or DANA",
        "Syariah Mandiri",
        "BNI Syariah",
        "BTPN Syariah",
    ],
)
def test_nobody_is_meant_by_a_name_that_is_unknown_or_could_be_several(spelled: str | None) -> None:
    assert meant(spelled) is None


def test_every_name_means_itself() -> None:
    assert {name: meant(name) for name in NAMES} == {name: name for name in NAMES}


@pytest.mark.parametrize(
    ("told", "stored"),
    [
        (None, None),
        ("  ", None),
        (" Bank\n Permata ", "Bank Permata"),
        ("93600999", "93600999"),
        ("9360099900000000017", None),
        ("DANA 0812-3456-7890", None),
        ("x" * 200, "x" * 64),
    ],
)
def test_a_name_is_kept_and_the_number_of_an_account_is_not(told: str | None, stored: str | None) -> None:
    assert kept(told) == stored
