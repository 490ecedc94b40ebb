"""Whether payments can be taken right now: our own state, and whether the providers answer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from qrisd.providers.base import Diagnoses, Provider
from qrisd.services.circuits import Circuits
from qrisd.services.health import Health

LONGEST_S: Final = 15.0
Answer = Literal["fine", "trouble", "resting"]


@dataclass(frozen=True, slots=True)
class Findings:
    """`problems` are the parts of our own that are not well (database, disk, clock, scheduler); `providers` say of each
    how it answered: fine, trouble, or resting when it is left alone because it did not answer before."""

    problems: tuple[str, ...]
    providers: Mapping[str, Answer]

    @property
    def is_fine(self) -> bool:
        return not self.problems and all(answer == "fine" for answer in self.providers.values())


class Connectivity:
    """`run()` asks everybody now, at most for LONGEST_S seconds."""

    def __init__(self, health: Health, circuits: Circuits, providers: Mapping[str, Provider]) -> None:
        self._health = health
        self._circuits = circuits
        self._providers = providers

    async def run(self) -> Findings:
        problems = await self._health.problems()
        answers = await asyncio.gather(*(self._ask(provider) for provider in self._providers.values()))
        return Findings(tuple(sorted(problems)), dict(zip(self._providers, answers, strict=True)))

    async def _ask(self, provider: Provider) -> Answer:
        if self._circuits.state(provider.name) == "open":
            return "resting"
        if not isinstance(provider, Diagnoses):
            return "fine"
        try:
            async with asyncio.timeout(LONGEST_S):
                lines = await provider.diagnose()
        except TimeoutError:
            return "trouble"
        return "fine" if all(is_fine for is_fine, _ in lines) else "trouble"
