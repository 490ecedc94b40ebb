"""A fake provider's script by chance: a share of all its answers goes wrong, in every way there is."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tests.fakes.script import Fault, Script, Step
from tests.fakes.server import Reply

_REFERENCE: Final = re.compile(r"(?<![0-9A-Za-z])[0-9A-Z]{20}(?![0-9A-Za-z])")
_OVERLOADED: Final = Step(reply=Reply(500, b"<html>Internal Server Error</html>", {"Content-Type": "text/html"}))
_SILENCES: Final = (Step(fault=Fault.TIMEOUT), Step(reply=Reply(), fault=Fault.TIMEOUT))  # after the work, before it
_NOBODY: Final = "0" * 20

# (name, step, weight). What costs a second of waiting, or megabytes, is rare, so that a run ends.
_COMMON: Final[Sequence[tuple[str, Step, int]]] = (
    ("lost connection", Step(fault=Fault.DROP_AFTER_EFFECT), 20),
    ("500 after the work", Step(fault=Fault.ERROR_AFTER_EFFECT), 20),
    ("HTML", Step(fault=Fault.HTML), 15),
    ("empty", Step(fault=Fault.EMPTY), 10),
    ("cut body", Step(fault=Fault.CUT_BODY), 10),
    ("redirect", Step(fault=Fault.REDIRECT), 5),
    ("late", Step(delay_s=0.3), 15),
    ("limited", Step(fault=Fault.RATE_LIMITED), 15),
    ("limited with a pause", Step(fault=Fault.RATE_LIMITED, seconds=2), 1),
    ("silence", Step(fault=Fault.TIMEOUT), 3),
    ("drip", Step(fault=Fault.DRIP), 3),
    ("50 MB", Step(fault=Fault.HUGE), 1),
)
# The cut JSON is complete HTTP: the connection it leaves behind may be chosen for the next charge just as it closes.
_NOTHING_DONE: Final[Sequence[tuple[str, Step, int]]] = (
    ("no connection", Step(fault=Fault.DROP_BEFORE_EFFECT), 15),
    ("500 before the work", _OVERLOADED, 15),
    ("cut JSON", Step(fault=Fault.CUT_JSON), 15),
)
WRONG: Final = "about another charge"
DUPLICATE: Final = "duplicate reference"


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """What is particular to one kind: members that make an answer to a charge speak of another one, or say that the
    reference was used before; how it says that it has no such charge; and whether it shows a charge and its QR to
    whoever only knows the reference."""

    wrong: Sequence[Mapping[str, Any]] = ()
    duplicate: Mapping[str, Any] | None = None
    absent: Reply | None = None
    recovers: bool = False


HABITS: Final[Mapping[str, Habits]] = {
    "midtrans": Habits(
        wrong=({"order_id": _NOBODY}, {"gross_amount": "1.00"}, {"currency": "USD"}),
        duplicate={"status_code": "406", "status_message": "The order_id has been used before"},
        absent=Reply.json(200, {"status_code": "404", "status_message": "Transaction doesn't exist."}),
        recovers=True,
    ),
    "xendit-v3": Habits(wrong=({"reference_id": _NOBODY}, {"request_amount": 1}, {"currency": "USD"})),
    "xendit-qr": Habits(wrong=({"reference_id": _NOBODY}, {"amount": 1})),
    "snap-bank": Habits(
        wrong=({"partnerReferenceNo": _NOBODY},),
        duplicate={"responseCode": "4094701", "responseMessage": "Duplicate partnerReferenceNo"},
        absent=Reply.json(404, {"responseCode": "4045101", "responseMessage": "Transaction Not Found"}),
    ),
}


class FaultyScript(Script):
    """In place of a fake's own script. `share` of all requests go wrong until it is set to 0, all of them hang while
    `hangs`; `fates` says how the charges of each reference went.

    Without `may_do_nothing` no lost answer stands for a charge that was never made: such a one takes a minute to be
    sure of."""

    def __init__(
        self, fake: Any, habits: Habits, chance: random.Random, share: float = 0.3, *, may_do_nothing: bool = True
    ) -> None:
        super().__init__()
        self.share = share
        self.hangs = False
        self.fates: dict[str, list[str]] = {}
        self.counts: dict[str, int] = {}
        self._fake = fake
        self._habits = habits
        self._chance = chance
        self._hidden_until: dict[str, float] = {}
        self._silences = _SILENCES if may_do_nothing else _SILENCES[:1]
        common = [*_COMMON, *(_NOTHING_DONE if may_do_nothing else ())]
        self._choices = {"charge": [*common, *_of_charges(habits)], "": common}

    def take(self, action: str) -> Step:
        """What becomes of the request that has just arrived."""
        reference = self._reference()
        if action == "status" and self._habits.absent and self._hidden_until.get(reference, 0.0) > time.monotonic():
            return Step(reply=self._habits.absent)
        name, step = ("silence", self._chance.choice(self._silences)) if self.hangs else self._choose(action)
        self.counts[name] = self.counts.get(name, 0) + 1
        if action == "charge":
            self.fates.setdefault(reference, []).append(name)
            if name != "well" and self._chance.random() < 0.2:
                self._hidden_until[reference] = time.monotonic() + self._chance.uniform(0.5, 10)
        return step

    def _choose(self, action: str) -> tuple[str, Step]:
        if self._chance.random() >= self.share:
            return "well", Step()
        choices = self._choices.get(action, self._choices[""])
        name, step, _ = self._chance.choices(choices, weights=[weight for *_, weight in choices])[0]
        return name, step

    def _reference(self) -> str:
        request = self._fake.calls[-1]
        found = _REFERENCE.search(f"{request.path} {request.body.decode(errors='replace')} {dict(request.query)}")
        return found.group() if found else ""


def _of_charges(habits: Habits) -> list[tuple[str, Step, int]]:
    """What may happen to a charge beside what happens to all."""
    wrong = [(WRONG, Step(fields=fields), 5) for fields in habits.wrong]
    return wrong + ([(DUPLICATE, Step(fields=habits.duplicate), 15)] if habits.duplicate else [])
