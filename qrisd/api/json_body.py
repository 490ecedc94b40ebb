"""JSON request bodies, read strictly: what two readers could understand differently is refused."""

import json
import math
import re
from collections import Counter

MAX_DEPTH = 32
MAX_INTEGER_DIGITS = 30
BOM = b"\xef\xbb\xbf"
CHARSET = re.compile(r"charset\s*=\s*\"?([^\";\s]*)", re.IGNORECASE)
UNSTORABLE_ESCAPE = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")


class BadBody(Exception):
    """A request body that cannot be read: the HTTP status, the problem code and what the caller should send instead."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail


def parse(raw: bytes, content_type: str | None) -> object:
    """Reads one JSON body of UTF-8 text; None when the body is empty, whatever its media type.

    Numbers that no field accepts still come through, so that the field can be named by validation: NaN and Infinity
    as such, `1e999` and integers of more than 30 digits as an infinite float. They are never rounded to a plausible
    number, and nothing that comes back as an int was written with a point or an exponent.

    Raises BadBody: 415 `unsupported_media_type`; 400 `bad_encoding` for anything but UTF-8 without a byte-order mark,
    for NUL and for lone surrogates; 400 `duplicate_key`; 400 `bad_json` for the rest, nesting beyond 32 included.
    """
    if not raw:
        return None
    _check_media_type(content_type)
    text = _decode(raw)
    try:
        value: object = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise _bad_json(f"{error.msg} at line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise _too_deep() from None
    if raw.count(b"[") + raw.count(b"{") > MAX_DEPTH:
        _check_depth(value, MAX_DEPTH)
    if UNSTORABLE_ESCAPE.search(text):
        _check_strings(value)
    return value


def _check_media_type(content_type: str | None) -> None:
    if content_type == "application/json":
        return
    media_type, _, parameters = (content_type or "").partition(";")
    if media_type.strip().lower() != "application/json":
        raise _unsupported("send the body with Content-Type: application/json")
    if any(charset.lower() != "utf-8" for charset in CHARSET.findall(parameters)):
        raise _unsupported("send the body as UTF-8; no other charset is read")


def _decode(raw: bytes) -> str:
    if raw.startswith(BOM):
        raise _bad_encoding("starts with a byte-order mark")
    if b"\0" in raw:
        raise _bad_encoding("contains NUL bytes")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _bad_encoding(f"is not valid UTF-8 at byte {error.start}") from None


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise BadBody(400, "duplicate_key", f"The key {_repeated_key(pairs)} appears twice; send each key once.")
    return members


def _repeated_key(pairs: list[tuple[str, object]]) -> str:
    repeated, _ = Counter(key for key, _ in pairs).most_common(1)[0]
    return ascii(repeated[:64])


def _integer(digits: str) -> int | float:
    if len(digits) <= MAX_INTEGER_DIGITS:
        return int(digits)
    return -math.inf if digits.startswith("-") else math.inf


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_int=_integer)


def _check_depth(value: object, levels_left: int) -> None:
    if not isinstance(value, (dict, list)):
        return
    if levels_left == 0:
        raise _too_deep()
    for child in value.values() if isinstance(value, dict) else value:
        _check_depth(child, levels_left - 1)


def _check_strings(value: object) -> None:
    if isinstance(value, str):
        _check_string(value)
    elif isinstance(value, dict):
        for key, child in value.items():
            _check_string(key)
            _check_strings(child)
    elif isinstance(value, list):
        for child in value:
            _check_strings(child)


def _check_string(value: str) -> None:
    if "\0" in value:
        raise _bad_encoding("contains an escaped NUL character")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise _bad_encoding("contains half of a surrogate pair") from None


def _bad_json(what: str) -> BadBody:
    return BadBody(400, "bad_json", f"The body is not valid JSON: {what}.")


def _too_deep() -> BadBody:
    return _bad_json(f"it is nested deeper than {MAX_DEPTH} levels")


def _bad_encoding(what: str) -> BadBody:
    return BadBody(400, "bad_encoding", f"The body {what}; send JSON as UTF-8 text without a byte-order mark.")


def _unsupported(what: str) -> BadBody:
    return BadBody(415, "unsupported_media_type", f"This media type is not read; {what}.")
