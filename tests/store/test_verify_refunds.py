"""What must hold about refunds, and is noticed when it does not."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta

import pytest

from qrisd.domain.permissions import Role
from qrisd.store.db import connect
from qrisd.store.verify import violations
from tests.store.breaking import break_in
from tests.store.refund_breaks import BREAKS
from tests.support.installation import Installation
from tests.support.refunds import asked, becomes, decide, paid, person


@pytest.fixture
async def refunded(shop: Installation) -> Installation:
    payment = await paid(shop)
    _, sri = person(shop, Role.FINANCE, "sri")
    by_provider = await asked(shop, payment, amount=5_000)
    by_hand = await asked(shop, payment, amount=2_000, method="cash", evidence="receipt 7")
    for refund in (by_provider, by_hand):
        assert (await decide(shop, refund, "approve", sri)).status_code == 200
        await becomes(shop, refund, "DONE")
    rejected = await asked(shop, payment, amount=1_000)
    assert (await decide(shop, rejected, "reject", sri, reason="it was served")).status_code == 200
    await asked(shop, payment, amount=3_000)
    await shop.webhook(payment, "REFUNDED", amount=6_000)
    return shop


def broken(shop: Installation, later: timedelta | None = None) -> set[str]:
    now = None if later is None else shop.clock() + later
    with closing(connect(shop.data_dir.database, read_only=True)) as conn:
        return {finding.rule for finding in violations(conn, now)}


async def test_refunds_of_every_kind_break_no_rule(refunded: Installation) -> None:
    found = refunded.rows("SELECT method, status, amount FROM refunds ORDER BY number")
    assert [tuple(one.values()) for one in found] == [
        ("provider", "DONE", 5_000),
        ("cash", "DONE", 2_000),
        ("provider", "REJECTED", 1_000),
        ("provider", "REQUESTED", 3_000),
        ("elsewhere", "DONE", 1_000),
    ]
    assert broken(refunded, timedelta(0)) == set()


@pytest.mark.parametrize(("rule", "statements"), BREAKS)
async def test_a_break_is_noticed_by_its_rule(refunded: Installation, rule: str, statements: tuple[str, ...]) -> None:
    break_in(refunded.data_dir.database, *statements)
    assert rule in broken(refunded)


async def test_requests_from_before_their_content_was_written_down_break_no_rule(refunded: Installation) -> None:
    for part in ("$.content_hash", "$.method", "$.payment", "$.amount"):
        break_in(refunded.data_dir.database, f"UPDATE audit_log SET after = json_remove(after, '{part}')")
    assert broken(refunded) == {"audit_chain"}


async def test_an_outcome_that_is_unknown_for_an_hour_is_a_warning(refunded: Installation) -> None:
    sql = "UPDATE refunds SET status = 'UNKNOWN', sent_at = created_at WHERE status = 'REQUESTED'"
    refunded.write(sql)
    assert "refund_unknown" not in broken(refunded, timedelta(minutes=59))
    assert "refund_unknown" in broken(refunded, timedelta(minutes=61))
