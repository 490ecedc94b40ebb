"""T7 in short; the long form is `python -m tests.faults.callback_campaign --events 10000 --failures 50000`."""

from __future__ import annotations

from pathlib import Path

from tests.faults.callback_campaign import campaign


async def test_through_five_failures_each_every_event_is_received_or_given_up_and_listed(tmp_path: Path) -> None:
    """T7, CB-01, CB-02, CB-03, CB-05, CB-10"""
    outcome = await campaign(tmp_path, events=300, failures=1_500, seed=7, speed=20_000)
    assert outcome.violations == [], outcome.figures
