"""T4 and PV-10 in short, without the charges that take a minute to be sure of; the long forms, with them, are
`python -m tests.faults.provider_campaign`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.outage import outage
from tests.faults.provider_campaign import campaign


@pytest.mark.parametrize(("kind", "charges"), [("midtrans", 100), ("snap-bank", 30)])
async def test_at_a_provider_that_gets_a_third_wrong_every_order_has_one_qr_and_its_money(
    tmp_path: Path, kind: str, charges: int
) -> None:
    """T4, PV-02, PV-03, PV-04, PV-07, PV-08, PV-11"""
    outcome = await campaign(tmp_path, kind, charges, seed=4, may_do_nothing=False)
    assert outcome.violations == []


async def test_an_outage_is_waited_out_without_growing_and_ends_by_itself(tmp_path: Path) -> None:
    """PV-10"""
    trouble = await outage(tmp_path, "midtrans", 8, seed=10, may_do_nothing=False)
    assert trouble.violations == [], trouble.figures
