from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qrisd.domain.qris import Account, Qris, QrisError, Tip, build, crc16, explain, make_dynamic, read
from qrisd.domain.qris import codes as qris_codes

VECTORS: list[dict[str, Any]] = json.loads(Path(__file__).with_name("qris_vectors.json").read_text("utf-8"))
VALID = [pytest.param(vector, id=vector["id"]) for vector in VECTORS if vector["type"] == "valid"]
INVALID = [pytest.param(vector, id=vector["id"]) for vector in VECTORS if vector["type"] == "invalid"]
CONVERSIONS = [pytest.param(vector, id=vector["id"]) for vector in VECTORS if vector["type"] == "conversion"]

MERCHANT: dict[str, Any] = {
    "guid": "ID.CO.EXAMPLE.WWW",
    "pan": "936009990000000017",
    "merchant_id": "UJI000000000001",
    "nmid": "ID0000000000017",
    "criteria": "UMI",
    "mcc": "5812",
    "merchant_name": "WARUNG UJI COBA",
    "merchant_city": "JAKARTA PUSAT",
    "postal_code": "10110",
    "terminal_label": "A01",
}
STATIC = build(**MERCHANT)


def sealed(body: str) -> str:
    return f"{body}6304{crc16(body + '6304')}"


def changed(payload: str, old: str, new: str) -> str:
    assert payload.count(old) == 1
    return sealed(payload[:-8].replace(old, new))


def known(qris: Qris) -> dict[str, Any]:
    """A reading in the words of the vectors' `expected`."""
    names = ("kind", "mcc", "currency", "amount", "country", "merchant_name", "merchant_city", "postal_code")
    return {name: getattr(qris, name) for name in names} | {
        "tip": qris.tip and dataclasses.asdict(qris.tip),
        "national": qris.national and dataclasses.asdict(qris.national),
        "accounts": [as_expected(account) for account in qris.accounts],
        "additional": qris.additional,
        "crc": qris.payload[-4:],
    }


def as_expected(account: Account) -> dict[str, Any]:
    parts = dataclasses.asdict(account)
    value = parts.pop("value")
    return {"tag": account.tag, "value": value} if value else parts


@pytest.mark.parametrize("vector", VALID)
def test_well_formed_code_is_read_as_the_vector_says(vector: dict[str, Any]) -> None:
    qris = read(vector["payload"]).qris
    assert qris is not None
    assert qris.fields == vector["tlv"]
    assert [tag for tag, _ in qris.objects] == vector["tlv_order"]
    assert known(qris) == vector["expected"]


@pytest.mark.parametrize("lenient", [False, True])
@pytest.mark.parametrize("vector", VALID)
def test_well_formed_code_is_judged_as_the_vector_says(vector: dict[str, Any], lenient: bool) -> None:
    reading = read(vector["payload"], lenient=lenient)
    assert reading.valid == (vector["qris"]["lenient" if lenient else "strict"] == "accept")
    assert list(reading.errors) == vector["qris"]["errors"]
    assert list(reading.warnings) == vector["qris"]["warnings"]


@pytest.mark.parametrize("vector", INVALID)
def test_bad_code_is_refused_as_the_vector_says(vector: dict[str, Any]) -> None:
    strict, lenient = read(vector["payload"]), read(vector["payload"], lenient=True)
    assert strict.valid == (vector["strict"] == "accept")
    assert lenient.valid == (vector["lenient"] == "accept")
    if vector["reason_exact"]:
        assert list(strict.errors) == vector["all_errors"]


@pytest.mark.parametrize("vector", CONVERSIONS)
def test_static_code_is_converted_as_the_vector_says(vector: dict[str, Any]) -> None:
    tip = Tip(**vector["tip"]) if vector["tip"] else None
    if vector["expect"] == "reject":
        with pytest.raises(QrisError):
            make_dynamic(vector["from_payload"], vector["amount"], tip=tip)
    else:
        assert make_dynamic(vector["from_payload"], vector["amount"], tip=tip)[0] == vector["expected_payload"]


@pytest.mark.parametrize(
    ("text", "crc"), [("", "FFFF"), ("A", "B915"), ("123456789", "29B1"), ("6304", "6007"), ("\ud800", crc16("\ud800"))]
)
def test_checksum_is_the_published_one(text: str, crc: str) -> None:
    assert crc16(text) == crc


def test_lenient_reading_tidies_the_text_and_says_so() -> None:
    crc_with_letters = next(
        payload
        for number in range(100)
        if (payload := build(**MERCHANT | {"postal_code": f"{number:05d}"}))[-4:].isalpha()
    )
    untidy = f" {crc_with_letters[:-4]}{crc_with_letters[-4:].lower()}\r\n"
    reading = read(untidy, lenient=True)
    assert reading.qris is not None
    assert reading.qris.payload == crc_with_letters
    assert reading.qris.fields["63"] == crc_with_letters[-4:]
    assert reading.warnings == ("surrounding_whitespace", "crc_lowercase")


def test_forgiven_flaws_stay_visible_as_warnings() -> None:
    payload = changed(STATIC, "5915WARUNG UJI COBA", "5926" + "É" * 26)
    assert read(payload).errors == ("charset_nonascii", "name_too_long")
    assert read(payload, lenient=True).warnings == ("charset_nonascii", "name_too_long")


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("5915WARUNG UJI COBA", "5915|ARUNG UJI COBA", "pipe_character"),
        ("5915WARUNG UJI COBA", "5915 ARUNG UJI COBA", "name_outer_space"),
        ("610510110", "", "postal_missing"),
        ("0215ID0000000000017", "0215IDX000000000017", "nmid_format"),
        ("0303UMI5144", "0303XYZ5144", "criteria_unknown"),
        ("010211", "", "poi_missing"),
        ("010211", "010212", "amount_missing_on_dynamic"),
        ("5303360", "53033605405150005502015", "tlv_truncated"),
        ("5303360", "5303360540515000", "amount_on_static"),
        ("62070703A01", "62070703A018004ABCD", "unreserved_template_malformed"),
        ("62070703A01", "62070703A0180080104ABCD", "guid_missing"),
    ],
)
def test_oddity_has_its_code(old: str, new: str, code: str) -> None:
    reading = read(changed(STATIC, old, new))
    assert code in (*reading.warnings, *reading.errors)
    assert reading.valid == (code in reading.warnings)


@pytest.mark.parametrize(("mcc", "purpose"), [("4829", "0801X"), ("5812", "0804BOOK")])
def test_one_mark_of_a_transfer_does_not_make_a_transfer(mcc: str, purpose: str) -> None:
    payload = changed(changed(STATIC, "52045812", f"5204{mcc}"), "62070703A01", f"62{len(purpose):02d}{purpose}")
    assert read(payload).valid


def test_object_twice_leaves_nothing_to_believe() -> None:
    reading = read(changed(STATIC, "5802ID", "5405100005802ID540520000"))
    assert reading.errors == ("duplicate_id",)
    assert reading.qris is None


def test_amount_in_rupiah_is_known_only_when_whole_and_in_rupiah() -> None:
    def amount_idr(field_54: str, currency: str = "360") -> int | None:
        qris = read(changed(STATIC, "5303360", f"5303{currency}54{len(field_54):02d}{field_54}")).qris
        return qris.amount_idr if qris else -1

    assert amount_idr("25000.00") == 25000
    assert amount_idr("98.") == 98
    assert amount_idr("98.73") is None
    assert amount_idr("1.000") is None
    assert amount_idr("25000", currency="840") is None


def test_conversion_tells_what_it_took_away_and_what_it_added() -> None:
    prompting = changed(STATIC, "5303360", "5303360550201")
    assert make_dynamic(prompting, 15000)[1] == ("tip_prompt_removed",)
    assert make_dynamic(STATIC, 15000, tip=Tip("percentage", "0.70"))[1] == ("tip_added",)
    assert make_dynamic(build(**MERCHANT, amount=500), 15000)[1] == ("amount_replaced",)


def test_conversion_keeps_the_merchants_own_long_name() -> None:
    long_named = changed(STATIC, "5915WARUNG UJI COBA", "5926ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    payload, warnings = make_dynamic(long_named, 15000)
    assert "5926ABCDEFGHIJKLMNOPQRSTUVWXYZ" in payload
    assert warnings == ("name_too_long",)


@pytest.mark.parametrize(
    ("amount", "code"),
    [
        (0, "amount_zero"),
        (-1, "amount_format"),
        ("1.000", "amount_format"),
        ("15000.50", "amount_format"),
        (True, "amount_format"),
        (10_000_001, "amount_over_limit:10000000"),
        (10**14, "amount_format"),
    ],
)
def test_amount_that_does_not_fit_is_refused_with_its_code(amount: int | str, code: str) -> None:
    with pytest.raises(QrisError) as refused:
        make_dynamic(STATIC, amount)
    assert refused.value.codes == (code,)


@pytest.mark.parametrize(
    ("tip", "code"),
    [
        (Tip("prompt"), "tip_indicator"),
        (Tip("fixed"), "tip_value_missing"),
        (Tip("fixed", "1,5"), "tip_value_format"),
        (Tip("fixed", "0"), "tip_value_format"),
        (Tip("percentage", "100"), "tip_value_format"),
        (Tip("percentage", "9" * 100), "tip_value_format"),
    ],
)
def test_tip_that_does_not_fit_is_refused_with_its_code(tip: Tip, code: str) -> None:
    with pytest.raises(QrisError) as refused:
        make_dynamic(STATIC, 15000, tip=tip)
    assert refused.value.codes == (code,)


def test_conversion_refuses_what_would_grow_too_long() -> None:
    body = STATIC[:-8] + "".join(f"{tag}95{'X' * 95}" for tag in ("65", "66"))
    room = 512 - len(body) - len("69..") - len("6304....")
    long_static = sealed(f"{body}69{room:02d}{'Y' * room}")
    assert len(long_static) == 512
    assert read(long_static).valid
    with pytest.raises(QrisError, match="512"):
        make_dynamic(long_static, 15000)


@pytest.mark.parametrize(
    ("part", "value", "code"),
    [
        ("merchant_name", "N" * 26, "name_too_long"),
        ("merchant_name", "", "value_length:59"),
        ("merchant_name", "WARUNG\nUJI", "charset_control"),
        ("merchant_name", "WARUNG É", "charset_nonascii"),
        ("merchant_city", "C" * 100, "value_length:60"),
        ("postal_code", "1" * 11, "postal_too_long"),
        ("mcc", "581", "mcc_format"),
        ("pan", "9360A", "pan_format"),
        ("nmid", "ID17", "nmid_format"),
        ("criteria", "XXX", "criteria_unknown"),
        ("guid", "G" * 33, "value_length:26.00"),
        ("reference_label", "R" * 26, "value_length:62.05"),
        ("amount", 0, "amount_zero"),
    ],
)
def test_build_refuses_a_part_that_does_not_fit(part: str, value: str | int, code: str) -> None:
    with pytest.raises(QrisError) as refused:
        build(**MERCHANT | {part: value})
    assert refused.value.codes == (code,)


def test_merchant_without_national_id_gets_a_code_without_national_account() -> None:
    reading = read(build(**MERCHANT | {"nmid": None}))
    assert (reading.errors, reading.warnings) == ((), ("national_missing",))


def test_every_code_has_its_line_and_detail_follows_in_brackets() -> None:
    seen = {code for v in VECTORS for code in (*v.get("all_errors", ()), *v.get("qris", {}).get("warnings", ()))}
    lines = [explain(code) for code in seen | qris_codes.LENIENT]
    assert not [line for line in lines if line.startswith("Unknown")]
    assert all(line.endswith(".") and "\n" not in line for line in lines)
    assert explain("missing_mandatory:52,59") == "Mandatory objects are missing (52,59)."


# What may stand in any field of printable ASCII, kept clear of the characters that earn a warning of their own.
words = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="|"), min_size=1, max_size=15)
merchants = st.fixed_dictionaries(
    {
        "guid": words,
        "pan": st.from_regex(r"[0-9]{8,19}", fullmatch=True),
        "merchant_id": words,
        "nmid": st.from_regex(r"ID[0-9]{13}", fullmatch=True),
        "criteria": st.sampled_from(["UMI", "UKE", "UME", "UBE", "URE", "PSO", "BLU"]),
        "mcc": st.from_regex(r"[0-9]{4}", fullmatch=True),
        "merchant_name": words,
        "merchant_city": words,
        "postal_code": st.from_regex(r"[0-9]{5}", fullmatch=True),
        "amount": st.none() | st.integers(1, 10_000_000),
        "reference_label": st.none() | words,
        "terminal_label": st.none() | words,
    }
)


@given(merchants)
@settings(max_examples=60, deadline=None)
def test_what_is_built_reads_back_the_same(parts: dict[str, Any]) -> None:
    reading = read(build(**parts))
    assert reading.qris is not None
    assert (reading.errors, reading.warnings) == ((), ())
    assert reading.qris.amount_idr == parts["amount"]
    assert reading.qris.kind == ("dynamic" if parts["amount"] else "static")
    for name in ("nmid", "mcc", "merchant_name", "merchant_city", "postal_code"):
        assert getattr(reading.qris, name) == parts[name]
    assert reading.qris.accounts == (
        Account("26", None, parts["guid"], parts["pan"], parts["merchant_id"], parts["criteria"]),
    )
    assert reading.qris.additional.get("05") == parts["reference_label"]


any_text = st.text(st.characters(codec=None))


@given(any_text | st.text("0123456789", max_size=80) | st.builds(lambda tail: "000201" + tail, any_text), st.booleans())
@settings(max_examples=200, deadline=None)
def test_no_text_makes_reading_raise(text: str, lenient: bool) -> None:
    reading = read(text, lenient=lenient)
    assert all(explain(code) for code in (*reading.errors, *reading.warnings))
    if reading.qris is not None:
        known(reading.qris)


@given(st.integers(0, len(STATIC) - 1), st.characters(codec=None))
@settings(max_examples=300, deadline=None)
def test_one_changed_character_never_passes(at: int, character: str) -> None:
    edited = STATIC[:at] + character + STATIC[at + 1 :]
    assert read(edited).valid == (edited == STATIC)


@given(merchants, st.integers(1, 10_000_000))
@settings(max_examples=60, deadline=None)
def test_a_converted_code_asks_for_exactly_that_amount(parts: dict[str, Any], amount: int) -> None:
    source = build(**parts)
    reading = read(make_dynamic(source, amount)[0])
    assert reading.valid
    assert reading.qris is not None
    assert (reading.qris.kind, reading.qris.amount_idr) == ("dynamic", amount)
    before = read(source).qris
    assert before is not None
    untouched = [item for item in before.objects if item[0] not in ("01", "54", "63")]
    assert [item for item in reading.qris.objects if item[0] not in ("01", "54", "63")] == untouched
