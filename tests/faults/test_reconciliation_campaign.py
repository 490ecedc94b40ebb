"""SM-08 and SM-03 in short; the long form is `python -m tests.faults.reconciliation_campaign`."""

from __future__ import annotations

from pathlib import Path

from tests.faults.reconciliation_campaign import campaign


async def test_every_difference_of_a_wrong_day_is_found_and_none_invented_however_often_it_is_killed(
    tmp_path: Path,
) -> None:
    """SM-03, SM-08"""
    outcome = await campaign(tmp_path, 250, 0.25, seed=1, kill=True)
    assert outcome.violations == []
