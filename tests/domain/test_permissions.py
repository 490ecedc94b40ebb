"""What the table of roles promises in words."""

from __future__ import annotations

import pytest

from qrisd.domain.permissions import (
    OPEN,
    PERMISSIONS,
    RECENT,
    ROUTES,
    Role,
    common,
    may,
    outlets_of,
    permissions_of,
    reaches,
)

OWN = {"account:own", "account:secure"}


def test_the_owner_may_do_everything() -> None:
    assert permissions_of(Role.OWNER) == set(PERMISSIONS)


def test_everybody_looks_after_their_own_account() -> None:
    assert all(permissions_of(role) >= OWN for role in Role)


def test_the_auditor_reads_everything_and_changes_nothing() -> None:
    assert permissions_of(Role.AUDITOR) - OWN == {one for one in PERMISSIONS if one.endswith(":read")}


def test_marketing_reads_sales_and_nothing_else() -> None:
    assert permissions_of(Role.MARKETING) - OWN == {"payments:read"}


def test_the_technician_moves_no_money() -> None:
    assert permissions_of(Role.TECHNICIAN) - OWN == {"callbacks:read", "callbacks:write", "providers:read"}


def test_a_cashier_works_at_the_till_only() -> None:
    at_the_till = {"payments:read", "payments:write", "refunds:read", "events:read", "pos:use"}
    assert permissions_of(Role.CASHIER) - OWN == at_the_till


def test_only_the_owner_changes_people() -> None:
    assert [role for role in Role if may(role, "people:write")] == [Role.OWNER]


def test_every_need_of_a_route_is_a_permission_that_is_used() -> None:
    needs = {need for need in ROUTES.values() if need not in OPEN}
    assert needs <= set(PERMISSIONS)
    assert set(PERMISSIONS) >= RECENT


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        (None, None, None),
        ({"a"}, None, {"a"}),
        (None, {"a"}, {"a"}),
        ({"a", "b"}, {"b", "c"}, {"b"}),
        ({"a"}, {"b"}, set()),
    ],
)
def test_of_two_limits_what_both_allow_remains(
    one: set[str] | None, other: set[str] | None, both: set[str] | None
) -> None:
    limits = [None if each is None else frozenset(each) for each in (one, other)]
    assert common(*limits) == both


def test_no_limit_reaches_every_outlet_and_an_empty_one_none() -> None:
    assert outlets_of([]) is None
    assert reaches(None, "main")
    assert reaches(frozenset({"main"}), "main")
    assert not reaches(frozenset({"main"}), "bandung")
    assert not reaches(frozenset(), "main")
