"""Reading: from any text to what it says and what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from qrisd.domain.qris import rules, tlv
from qrisd.domain.qris.codes import LENIENT
from qrisd.domain.qris.payload import Qris

MAX_CHARS = 512
# What copying adds around a text. Other spaces (no-break, zero-width, …) count as disguise, not as padding.
_PADDING = " \t\r\n"
_WARNINGS_OF_STRUCTURE = frozenset({"unreserved_template_malformed"})


@dataclass(frozen=True)
class Reading:
    """What came of reading a text.

    `qris` is None when the text could not be taken apart into exactly one meaning; it may be there in spite of
    `errors`, to explain a foreign or damaged code. `errors` and `warnings` hold codes for `explain`.
    """

    qris: Qris | None
    errors: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def valid(self) -> bool:
        return not self.errors


def read(text: str, *, lenient: bool = False) -> Reading:
    """Read a QRIS payload. Never raises.

    Strict is for what we make and show. `lenient` is for a merchant's own code: it forgives the flaws in
    `codes.LENIENT`, lists them as warnings, and answers with the text trimmed and its checksum in capitals.
    """
    return _read(text, lenient, rules.warnings)


def soundness(text: str) -> Reading:
    """As lenient `read`, without looking for what is merely odd: for a code that is shown, not explained."""
    return _read(text, True, lambda qris: ())


def _read(text: str, lenient: bool, oddities: Callable[[Qris], Iterable[str]]) -> Reading:
    payload = text.strip(_PADDING)
    if not payload:
        return Reading(None, ("empty",), ())
    if len(payload) > MAX_CHARS:
        return Reading(None, ("too_long",), ())
    found = ["surrounding_whitespace"] if payload != text else []
    if not payload.isprintable():
        found.append("charset_control")
    try:
        objects = tlv.parse(payload)
    except tlv.TlvError as error:
        return _graded(None, [*found, error.code], (), lenient)
    return _judge(payload, objects, found, lenient, oddities)


def _judge(
    payload: str,
    objects: tlv.Objects,
    found: list[str],
    lenient: bool,
    oddities: Callable[[Qris], Iterable[str]],
) -> Reading:
    structure = list(rules.structure(objects))
    found += [code for code in structure if code not in _WARNINGS_OF_STRUCTURE]
    found += rules.frame(payload, objects)
    odd = [code for code in structure if code in _WARNINGS_OF_STRUCTURE]
    if "duplicate_id" in structure:
        return _graded(None, found, odd, lenient)
    qris = Qris(payload, objects)
    if lenient and "crc_lowercase" in found:
        qris = _with_upper_case_crc(qris)
    return _graded(qris, [*found, *rules.errors(qris)], [*odd, *oddities(qris)], lenient)


def _with_upper_case_crc(qris: Qris) -> Qris:
    tag, crc = qris.objects[-1]
    return Qris(qris.payload[:-4] + crc.upper(), (*qris.objects[:-1], (tag, crc.upper())))


def _graded(qris: Qris | None, found: Iterable[str], odd: Iterable[str], lenient: bool) -> Reading:
    forgiven = LENIENT if lenient else frozenset[str]()
    errors = dict.fromkeys(code for code in found if code not in forgiven)
    warnings = dict.fromkeys([*(code for code in found if code in forgiven), *odd])
    return Reading(qris, tuple(errors), tuple(warnings))
