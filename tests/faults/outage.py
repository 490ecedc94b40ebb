"""A provider that is away for a while under steady traffic, and its return: what the server holds meanwhile, and how it
comes back."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx

from tests.faults.provider_stage import Stage, Vitals, stage

WORKERS: Final = 8
PAUSE_S: Final = 0.3
WARM_S: Final = 3.0
# What the server may hold more than when all was well.
MEMORY_MIB: Final = 48.0
THREADS: Final = 8
SOCKETS: Final = 60
BACK_WITHIN_S: Final = 60.0
SETTLED_WITHIN_S: Final = 120.0
# Lookups a second when the queue drains.
LOOKUPS_PER_S: Final = 60


@dataclass(slots=True)
class Trouble:
    """What an outage did: violations, and figures in the order they are shown."""

    violations: list[str] = field(default_factory=list)
    figures: dict[str, str] = field(default_factory=dict)

    def expect(self, holds: bool, problem: str) -> None:
        if not holds:
            self.violations.append(problem)


@dataclass(slots=True)
class Traffic:
    """Merchants who never stop ordering. `successes` are the moments at which a QR was shown."""

    client: httpx.AsyncClient
    answers: Counter[int] = field(default_factory=Counter)
    successes: list[float] = field(default_factory=list)
    _orders: int = 0

    async def run(self) -> None:
        async with asyncio.TaskGroup() as workers:
            for _ in range(WORKERS):
                workers.create_task(self._work())

    async def _work(self) -> None:
        while True:
            self._orders += 1
            order = {"order_id": f"INV-{self._orders}", "amount": 10_000 + self._orders % 5_000}
            status = (await self.client.post("/payments", json=order)).status_code
            self.answers[status] += 1
            if status == 201:
                self.successes.append(time.monotonic())
            await asyncio.sleep(PAUSE_S)


async def outage(
    root: Path,
    kind: str,
    seconds: float,
    seed: int,
    told: Callable[[int, str], None] = lambda done, text: None,
    *,
    may_do_nothing: bool = True,
) -> Trouble:
    """The provider hangs for half of `seconds` and listens to nobody for the other half, then it is back."""
    found = Trouble()
    async with stage(root, kind, random.Random(seed), share=0.0, may_do_nothing=may_do_nothing) as on:
        assert on.server.process is not None
        pid = on.server.process.pid
        traffic = Traffic(on.client)
        running = asyncio.create_task(traffic.run())
        before, during = Vitals(pid), Vitals(pid)
        await _watch(before, WARM_S)
        traffic.answers.clear()
        circuit = await _away(on, during, seconds, told)
        _judge_outage(found, traffic, before, during, circuit)
        returned, asked_before = time.monotonic(), len(on.fake.calls)
        lookups = asyncio.create_task(_lookups_per_second(on, asked_before))
        await _back(found, on, traffic, returned)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await _settled(found, on, returned)
        lookups.cancel()
        most = max(await lookups)
        found.figures["lookups per second, at most"] = str(most)
        found.expect(most <= LOOKUPS_PER_S, f"{most} lookups in one second after the return")
    return found


async def _watch(vitals: Vitals, seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        vitals.sample()
        await asyncio.sleep(0.2)


async def _away(on: Stage, during: Vitals, seconds: float, told: Callable[[int, str], None]) -> Counter[str]:
    """Hanging first, gone then; the states its circuit was seen in."""
    seen, began = Counter[str](), time.monotonic()
    on.script.hangs = True
    is_listening = True
    while (passed := time.monotonic() - began) < seconds:
        if is_listening and passed > seconds / 2:
            await on.fake.stop()
            is_listening = False
        during.sample()
        seen[await on.circuit()] += 1
        told(int(passed), f"circuit {dict(seen)}, {during.memory_mib:.0f} MiB")
        await asyncio.sleep(0.2)
    on.script.hangs = False
    await on.fake.start()
    return seen


def _judge_outage(found: Trouble, traffic: Traffic, before: Vitals, during: Vitals, circuit: Counter[str]) -> None:
    found.figures |= {
        "answers during the outage": str(dict(traffic.answers)),
        "circuit": str(dict(circuit)),
        "before": f"{before.memory_mib:.0f} MiB, {before.threads} threads, {before.sockets} sockets",
        "during, at most": f"{during.memory_mib:.0f} MiB, {during.threads} threads, {during.sockets} sockets",
    }
    found.expect(circuit["open"] > 0, "the circuit never opened")
    found.expect(set(traffic.answers) <= {201, 202, 503}, f"answers {traffic.answers}")
    found.expect(traffic.answers[503] > traffic.answers[202], "most requests waited for a provider that was away")
    found.expect(during.memory_mib <= before.memory_mib + MEMORY_MIB, "memory grew")
    found.expect(during.threads <= before.threads + THREADS, "threads grew")
    found.expect(during.sockets <= before.sockets + SOCKETS, "sockets grew")


async def _back(found: Trouble, on: Stage, traffic: Traffic, returned: float) -> None:
    """Wait for the first QR."""
    deadline = returned + BACK_WITHIN_S
    while not (new := [at for at in traffic.successes if at > returned]):
        if time.monotonic() > deadline:
            break
        await asyncio.sleep(0.1)
    found.expect(bool(new), f"no QR within {BACK_WITHIN_S:.0f} s of the return")
    found.figures["first QR after the return"] = f"{new[0] - returned:.1f} s" if new else "none"


async def _settled(found: Trouble, on: Stage, returned: float) -> None:
    sql = "SELECT count(*) FROM payments WHERE status = 'CREATED'"
    found.figures["unknown at the first QR"] = str(_first(on.rows(sql)))
    deadline = returned + SETTLED_WITHIN_S
    while left := _first(await asyncio.to_thread(on.rows, sql)):
        if time.monotonic() > deadline:
            break
        await asyncio.sleep(0.5)
    found.expect(left == 0, f"{left} payments still unknown {SETTLED_WITHIN_S:.0f} s after the return")
    found.figures["all known after"] = f"{time.monotonic() - returned:.1f} s"


def _first(rows: list[Any]) -> int:
    return int(rows[0][0])


async def _lookups_per_second(on: Stage, seen: int) -> list[int]:
    """Counted until cancelled."""
    counts = [0]
    try:
        while True:
            await asyncio.sleep(1)
            calls = on.fake.calls[seen:]
            seen += len(calls)
            counts.append(sum(not _is_charge(call) for call in calls))
    except asyncio.CancelledError:
        return counts


def _is_charge(call: Any) -> bool:
    return call.method == "POST" and call.path in ("/v2/charge", "/v3/payment_requests", "/qr_codes")
