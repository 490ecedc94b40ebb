import json
import math
import tracemalloc

import pytest
from starlette.datastructures import Headers

from qrisd.api.headers import BadHeader, single_header
from qrisd.api.json_body import BadBody, parse


def refusal(raw: bytes, content_type: str | None = "application/json") -> tuple[int, str]:
    with pytest.raises(BadBody) as caught:
        parse(raw, content_type)
    assert caught.value.detail.isascii()
    return caught.value.status, caught.value.code


def test_a_plain_body_is_read_as_json_reads_it() -> None:
    body = {"order_id": "INV-1", "amount": 15000, "metadata": {"table": ["7", None, True, 1.5]}, "name": "Ibu Ayu ☕"}
    assert parse(json.dumps(body).encode(), "application/json") == body
    assert parse(json.dumps(body, ensure_ascii=False).encode(), "application/json") == body


def test_an_empty_body_is_none_whatever_its_media_type() -> None:
    assert parse(b"", None) is None
    assert parse(b"", "text/plain") is None


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "Application/JSON", "application/json; charset=utf-8", 'application/json ;charset="UTF-8"'],
)
def test_json_in_utf_8_is_read(content_type: str) -> None:
    assert parse(b"{}", content_type) == {}


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "text/json",
        "application/x-www-form-urlencoded",
        "application/jsonp",
        "application/json, text/html",
        "application/json; charset=utf-16",
        "application/json; charset=utf-8; charset=latin-1",
        'application/json; charset="',
    ],
)
def test_another_media_type_or_charset_is_unsupported(content_type: str | None) -> None:
    assert refusal(b"{}", content_type) == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    "raw",
    [
        b'{"amount": 1, "amount": 2}',
        b'{"metadata": {"a": 1, "b": 2, "a": 1}}',
        b'[{"a": 1, "\\u0061": 2}]',
        b'{"\\ud800": 1, "\\ud800": 2}',
    ],
)
def test_a_repeated_key_is_refused_at_any_depth_and_in_any_spelling(raw: bytes) -> None:
    assert refusal(raw) == (400, "duplicate_key")


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a": "\xff"}',
        b'{"a": "\xc0\xaf"}',
        b'{"a": "\xed\xa0\x80"}',
        '{"a": 1}'.encode("utf-16"),
        '{"a": 1}'.encode("utf-16-le"),
        '{"a": 1}'.encode("utf-8-sig"),
        b'{"a": "\\ud800"}',
        b'{"a": ["x", {"y": "\\uDFFF"}]}',
        b'{"\\udc00": 1}',
        b'{"a": "\\u0000"}',
        b'{"a": "\0"}',
    ],
)
def test_what_is_not_storable_utf_8_text_is_refused(raw: bytes) -> None:
    assert refusal(raw) == (400, "bad_encoding")


def test_an_escaped_surrogate_pair_is_one_character() -> None:
    assert parse(b'"\\ud83d\\ude00"', "application/json") == "😀"
    assert parse(b'"\\\\u0000"', "application/json") == "\\u0000"


@pytest.mark.parametrize(
    "raw",
    [
        b"{",
        b"{'a': 1}",
        b'{"a": 1,}',
        b'{"a": 1} x',
        b'{"a": 01}',
        b'{"a": "\n"}',
        b"amount=1",
        b" ",
        b"nan",
        b'{"a": .5}',
    ],
)
def test_what_is_not_json_is_refused(raw: bytes) -> None:
    assert refusal(raw) == (400, "bad_json")


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_nesting_is_read_to_32_levels(opening: str, closing: str) -> None:
    def nested(levels: int) -> bytes:
        return (opening * levels + "0" + closing * levels).encode()

    parse(nested(32), "application/json")
    assert refusal(nested(33)) == (400, "bad_json")
    assert refusal(nested(900)) == (400, "bad_json")
    assert refusal(nested(100_000)) == (400, "bad_json")
    assert refusal((opening * 100_000).encode()) == (400, "bad_json")


def test_brackets_inside_text_are_not_nesting() -> None:
    assert parse(b'["' + b"[" * 100 + b'"]', "application/json") == ["[" * 100]


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ("1e999", math.inf),
        ("-1e999", -math.inf),
        ("Infinity", math.inf),
        ("-Infinity", -math.inf),
        ("9" * 5000, math.inf),
        ("-" + "9" * 5000, -math.inf),
        (str(2**63), 2**63),
    ],
)
def test_a_number_no_field_accepts_comes_through_for_the_field_to_refuse(number: str, expected: float) -> None:
    assert parse(f'{{"amount": {number}}}'.encode(), "application/json") == {"amount": expected}


@pytest.mark.parametrize("number", ["NaN", "1e4", "15000.0", "10000.5", "10000.00000000000000000001"])
def test_only_what_is_written_as_an_integer_comes_back_as_one(number: str) -> None:
    body = parse(f'{{"amount": {number}}}'.encode(), "application/json")
    assert isinstance(body, dict)
    assert type(body["amount"]) is float


def test_refusing_64_kb_of_brackets_takes_little_memory() -> None:
    tracemalloc.start()
    try:
        refusal(b"[" * 65536)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


def test_a_header_sent_twice_is_ambiguous() -> None:
    headers = Headers(
        raw=[(b"authorization", b"Bearer a"), (b"authorization", b"Bearer a"), (b"idempotency-key", b"k")]
    )
    assert single_header(headers, "Idempotency-Key") == "k"
    assert single_header(headers, "If-None-Match") is None
    with pytest.raises(BadHeader) as caught:
        single_header(headers, "Authorization")
    assert (caught.value.status, caught.value.code) == (400, "bad_request")
