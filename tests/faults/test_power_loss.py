"""ST-05: the power fails. What was written but not yet synced is gone, or partly there, or torn.

A run is recorded by strace: every write to the write-ahead log, every sync of it, every acknowledgement, in order. Disk
images are then made as they may lie after a cut at any acknowledgement, and opened.
"""

from __future__ import annotations

import random
import re
import shutil
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from qrisd.store.db import connect
from tests.faults.history import database_violations

ORDERS = 15
SECTOR = 512
AMID = 15

_RUN = """
import asyncio, os, sys
from pathlib import Path
from tests.support.clock import FakeClock
from tests.support.installation import Installation

async def run():
    async with Installation(Path(sys.argv[1]), FakeClock()).running() as shop:
        for number in range(int(sys.argv[2])):
            payment = await shop.create(f"INV-{number}")
            os.write(1, f"ack {number}\\n".encode())
            await shop.webhook(payment)
            os.write(1, f"ack {number}\\n".encode())
        os.kill(os.getpid(), 9)

if sys.argv[3] == "weak":
    import qrisd.store.db as db
    strong = db.connect
    def weak(*arguments, **named):
        conn = strong(*arguments, **named)
        conn.execute("PRAGMA synchronous = OFF")
        return conn
    db.connect = weak
asyncio.run(run())
"""


@dataclass(frozen=True, slots=True)
class Cut:
    """A moment: how many acknowledgements had been given, which parts of the log were synced, which only written."""

    acknowledged: int
    synced_bytes: int
    unsynced: tuple[tuple[int, int], ...]


def _record(root: Path, durability: str) -> list[Cut]:
    trace = root / "trace"
    script = root / "run.py"
    script.write_text(_RUN)
    strace = ["strace", "-f", "-yy", "-s", "8", "-o", str(trace), "-e", "trace=pwrite64,fdatasync,fsync,write"]
    subprocess.run(
        [*strace, sys.executable, str(script), str(root / "data"), str(ORDERS), durability],
        stdout=subprocess.DEVNULL,
        env={"PYTHONPATH": str(Path(__file__).parents[2])},
        cwd=root,
        check=False,
    )
    return list(_cuts(trace.read_text()))


_WRITE = re.compile(r"pwrite64\(\d+<[^>]*qrisd\.db-wal>.*, (\d+), (\d+)\b")
_SYNC_BEGUN = re.compile(r"(\d+) +f(?:data)?sync\(\d+<[^>]*qrisd\.db-wal>")
_SYNC_ENDED = re.compile(r"(\d+) +(?:f(?:data)?sync\(|<\.\.\. f(?:data)?sync resumed).*= 0")


def _cuts(trace: str) -> list[Cut]:
    """One cut right after each acknowledgement, and some amid the writes. A sync counts when it has returned."""
    cuts: list[Cut] = []
    acknowledged, synced, unsynced, syncing = 0, 0, list[tuple[int, int]](), ""
    for number, line in enumerate(trace.splitlines()):
        if write := _WRITE.search(line):
            size, offset = int(write[1]), int(write[2])
            synced, unsynced = (0, [(0, size)]) if offset == 0 else (synced, [*unsynced, (offset, size)])
            if number % AMID == 0:
                cuts.append(Cut(acknowledged, synced, tuple(unsynced)))
        if begun := _SYNC_BEGUN.search(line):
            syncing = begun[1]
        if (ended := _SYNC_ENDED.search(line)) and ended[1] == syncing:
            synced = max([synced, *(offset + size for offset, size in unsynced)])
            unsynced, syncing = [], ""
        if '"ack ' in line:
            acknowledged += 1
            cuts.append(Cut(acknowledged, synced, tuple(unsynced)))
    return cuts


def _images(cut: Cut, log: bytes, chance: random.Random) -> list[bytes]:
    """The log as it may lie after the cut: nothing of the unsynced, a prefix of it, some of it, some of its sectors."""
    safe = log[: cut.synced_bytes]
    end = max([cut.synced_bytes, *(offset + size for offset, size in cut.unsynced)])
    prefix = log[: chance.randint(cut.synced_bytes, end)]
    some = bytearray(safe.ljust(end, b"\0"))
    torn = bytearray(some)
    for offset, size in cut.unsynced:
        if chance.random() < 0.5:
            some[offset : offset + size] = log[offset : offset + size]
    for start in range(cut.synced_bytes, end, SECTOR):
        if chance.random() < 0.5:
            torn[start : start + SECTOR] = log[start : min(start + SECTOR, end)]
    return [safe, prefix, bytes(some), bytes(torn)]


def _lost(root: Path, cuts: list[Cut]) -> int:
    """In how many images something acknowledged is missing, or that cannot be opened or are inconsistent."""
    log, chance, lost = (root / "data/qrisd.db-wal").read_bytes(), random.Random(5), 0
    for cut in cuts:
        for image in _images(cut, log, chance):
            shutil.copy(root / "data/qrisd.db", root / "image.db")
            (root / "image.db-wal").write_bytes(image)
            (root / "image.db-shm").unlink(missing_ok=True)
            with closing(connect(root / "image.db")) as conn:
                stored = conn.execute("SELECT count(*) FROM payments WHERE status != 'CREATED'").fetchone()[0]
                stored += conn.execute("SELECT count(*) FROM payments WHERE status = 'PAID'").fetchone()[0]
                lost += stored < cut.acknowledged or database_violations(conn) != []
    return lost


@pytest.mark.parametrize(("durability", "loses"), [("ours", False), ("weak", True)])
def test_whatever_the_power_cut_leaves_of_unsynced_writes_nothing_acknowledged_is_missing(
    tmp_path: Path, durability: str, loses: bool
) -> None:
    """ST-05, T3; the weak run does not sync, and must be seen to lose."""
    cuts = _record(tmp_path, durability)
    assert cuts[-1].acknowledged == 2 * ORDERS
    assert any(cut.unsynced for cut in cuts)
    assert (_lost(tmp_path, cuts) > 0) == loses
