"""What reconciling a day costs besides the provider calls: `python -m tests.bench.reconciliation`.

A day of so many payments, each with its line in an imported report and one in a hundred wrong, is reconciled by the
real command. The provider of the payments is not configured in it, so that nothing is asked over a network.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from tests.faults.reconciliation_stage import RATES, ZONE, Seeding

SIZES: Final = (1_000, 10_000, 100_000)
DAYS_AGO: Final = 10
WRONG: Final = 0.01


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds, and the most memory the process held, in MiB."""

    seconds: float
    peak_mib: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sizes", nargs="*", type=int, default=SIZES)
    print(f"{'payments':>10}  {'s':>7}  {'MiB':>6}  {'ms/1000':>8}  {'again, s':>8}")
    for size in parser.parse_args().sizes:
        with tempfile.TemporaryDirectory() as root:
            first, again = measured(Path(root), size)
        each_ms = first.seconds / size * 1_000_000
        print(f"{size:>10,}  {first.seconds:>7.1f}  {first.peak_mib:>6.0f}  {each_ms:>8.0f}  {again.seconds:>8.1f}")


def measured(root: Path, size: int) -> tuple[Cost, Cost]:
    """What the first run over a seeded day costs, and the second."""
    day = (datetime.now(UTC).astimezone(ZONE) - timedelta(days=DAYS_AGO)).date()
    (root / "qrisd.toml").write_text(RATES)
    Seeding(root, None, day, seed=1).run(size, WRONG)
    first, again = (_run(root, "reconcile", "--date", str(day), "--json") for _ in range(2))
    return first, again


def _run(root: Path, *arguments: str) -> Cost:
    began = time.monotonic()
    env = {**os.environ, "QRISD_DATA_DIR": str(root / "data"), "PYTHONPATH": os.getcwd()}
    command = [sys.executable, "-m", "qrisd", *arguments]
    process = subprocess.Popen(command, env=env, cwd=root, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode in (0, 2), "the run failed"
    return Cost(time.monotonic() - began, usage.ru_maxrss / 1024)


if __name__ == "__main__":
    main()
