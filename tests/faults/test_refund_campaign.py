"""Refund races in short; the long form is `python -m tests.faults.refund_campaign --attempts 10000`."""

from __future__ import annotations

from pathlib import Path

from tests.faults.refund_campaign import campaign


async def test_no_race_gives_back_more_than_came_or_without_two_people(tmp_path: Path) -> None:
    """T9, MO-01, MO-02, MO-05, MO-06, MO-07, MO-08"""
    outcome = await campaign(tmp_path, attempts=250, seed=9)
    assert outcome.violations == [], outcome.figures
