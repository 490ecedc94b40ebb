"""The page where people are added and changed, and who may."""

from __future__ import annotations

import re

import pytest

from qrisd.api.operations import OPERATIONS
from qrisd.domain.permissions import RECENT, ROUTES, Role, may
from qrisd.store.users import User
from tests.support.installation import Installation
from tests.support.people import PASSWORD, Browser, add_person, audited, link_in, signed_in

GONE = 303


@pytest.fixture
def owner(shop: Installation) -> User:
    return add_person(shop, Role.OWNER)


async def test_the_owner_adds_a_cashier_who_chooses_a_pin_and_starts(shop: Installation, owner: User) -> None:
    fields = {"username": "Budi", "name": "Budi", "role": "cashier", "outlets": "bandung, cimahi"}
    made = await signed_in(shop, owner).post("/people", **fields)
    till, link = Browser(shop), link_in(made)
    page = await till.get(link)
    assert "Budi" in page.text
    assert (await till.post(link, secret="1234")).status_code == 422
    assert (await till.post(link, secret="482915")).status_code == GONE
    row = shop.rows("SELECT * FROM users WHERE username = 'budi'")[0]
    assert (row["role"], row["outlets"], row["password_hash"]) == ("cashier", '["bandung","cimahi"]', None)
    assert row["pin_hash"].startswith("$argon2id$")
    assert (await Browser(shop).sign_in("budi", "482915")).status_code == GONE


async def test_a_pin_is_no_password_for_anybody_but_a_cashier(shop: Installation, owner: User) -> None:
    office = signed_in(shop, owner)
    link = link_in(await office.post("/people", username="budi", name="Budi", role="cashier"))
    till = Browser(shop)
    await till.get(link)
    await till.post(link, secret="482915")
    found = shop.rows("SELECT id FROM users WHERE username = 'budi'")[0]["id"]
    assert (await office.post(f"/people/{found}", role="supervisor")).status_code == GONE
    assert (await Browser(shop).sign_in("budi", "482915")).status_code == 401
    link = link_in(await office.post(f"/people/{found}/link"))
    await till.get(link)
    assert (await till.post(link, secret="482915")).status_code == 422


async def test_a_username_is_given_once(shop: Installation, owner: User) -> None:
    answer = await signed_in(shop, owner).post("/people", username="OWNER", name="N", role="auditor")
    assert answer.status_code == 422
    assert 'id="username-wrong"' in answer.text


async def test_what_was_typed_is_shown_as_text(shop: Installation, owner: User) -> None:
    browser = signed_in(shop, owner)
    await browser.post("/people", username="eve", name='<img src=x onerror="1">', role="auditor")
    page = await browser.get("/people")
    assert "<img" not in page.text
    assert "&lt;img" in page.text


async def test_a_change_is_in_the_audit_log_with_what_it_was(shop: Installation, owner: User) -> None:
    cashier = add_person(shop, Role.CASHIER)
    await signed_in(shop, owner).post(f"/people/{cashier.id}", role="supervisor", outlets="bandung")
    row = audited(shop, "user.changed")[0]
    assert (row["who"], row["what"]) == (owner.id, cashier.id)
    assert '"role":"cashier"' in row["before"]
    assert '"role":"supervisor"' in row["after"]
    assert '"outlets":["bandung"]' in row["after"]


@pytest.mark.parametrize("statement", ["UPDATE audit_log SET who = 'x'", "DELETE FROM audit_log"])
async def test_the_audit_log_only_grows(shop: Installation, owner: User, statement: str) -> None:
    import sqlite3

    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        shop.write(statement)


# AU-10: giving oneself more


@pytest.mark.parametrize("field", ["role", "outlets", "owner", "user_id", "id", "is_admin", "permissions"])
async def test_a_field_that_the_form_does_not_have_is_refused_and_noted(shop: Installation, field: str) -> None:
    cashier = add_person(shop, Role.CASHIER)
    answer = await signed_in(shop, cashier).post("/me/secret", secret="a brand new password", **{field: "owner"})
    assert answer.status_code == 403
    assert shop.rows("SELECT role, outlets FROM users") == [{"role": "cashier", "outlets": None}]
    assert [(row["who"], row["action"]) for row in audited(shop, "denied")] == [(cashier.id, "denied")]
    assert (await Browser(shop).sign_in("cashier")).status_code == GONE, "the password is the old one"


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.OWNER])
async def test_nobody_but_the_owner_changes_anybody(shop: Installation, owner: User, role: Role) -> None:
    other = add_person(shop, role)
    browser = signed_in(shop, other)
    for path in (f"/people/{other.id}", f"/people/{owner.id}/disable", f"/people/{owner.id}/link", "/people"):
        assert (await browser.post(path, role="owner")).status_code == 403
    assert len(audited(shop, "denied")) == 4
    assert len(shop.rows("SELECT id FROM users")) == 2


async def test_nobody_changes_or_disables_themselves(shop: Installation, owner: User) -> None:
    add_person(shop, Role.OWNER, "second")
    browser = signed_in(shop, owner)
    for path in (f"/people/{owner.id}", f"/people/{owner.id}/disable"):
        assert (
            await browser.post(path, **({} if path.endswith("disable") else {"role": "cashier"}))
        ).status_code == 403
    assert len(audited(shop, "denied")) == 2


async def test_the_last_owner_who_can_sign_in_stays_one(shop: Installation, owner: User) -> None:
    second = add_person(shop, Role.OWNER, "second")
    shop.write("UPDATE users SET password_hash = NULL WHERE id = ?", owner.id)
    browser = signed_in(shop, owner)
    for path, fields in ((f"/people/{second.id}", {"role": "cashier"}), (f"/people/{second.id}/disable", {})):
        assert (await browser.post(path, **fields)).status_code == 422
    assert shop.rows("SELECT role, disabled_at FROM users WHERE id = ?", second.id)[0] == {
        "role": "owner",
        "disabled_at": None,
    }


async def test_a_page_of_before_shows_no_more_than_the_role_of_now(shop: Installation, owner: User) -> None:
    finance = add_person(shop, Role.FINANCE)
    browser = signed_in(shop, finance)
    shop.write("UPDATE users SET role = 'auditor' WHERE id = ?", finance.id)
    assert (await browser.get("/people")).status_code == 200
    shop.write("UPDATE users SET role = 'cashier' WHERE id = ?", finance.id)
    assert (await browser.get("/people")).status_code == 403


# AU-13: what is sensitive

SENSITIVE = sorted(call for call, need in ROUTES.items() if need in RECENT and call not in OPERATIONS)


@pytest.mark.parametrize(("method", "path"), SENSITIVE)
async def test_what_is_sensitive_needs_the_password_of_the_last_ten_minutes(
    shop: Installation, owner: User, method: str, path: str
) -> None:
    browser = signed_in(shop, owner)
    path = path.replace("{id}", "x")
    shop.clock.advance(600)
    answer = await (browser.get(path) if method == "GET" else browser.post(path))
    assert answer.status_code == GONE
    assert re.match(r"/step-up\?next=/(me|people)", answer.headers["location"])
    assert (await browser.get(answer.headers["location"])).status_code == 200
    onward = await browser.post("/step-up", secret=PASSWORD, next="/people")
    assert onward.headers["location"] == "/people"
    answer = await (browser.get(path) if method == "GET" else browser.post(path))
    assert not answer.headers.get("location", "").startswith("/step-up")


async def test_somebody_else_s_password_proves_nothing(shop: Installation, owner: User) -> None:
    browser = signed_in(shop, owner)
    shop.clock.advance(600)
    assert (await browser.post("/step-up", secret="a guess that fails")).status_code == 401
    assert (await browser.post("/me/second-factor/begin")).headers["location"].startswith("/step-up?")
    assert len(audited(shop, "step_up.failed")) == 1


def test_changing_people_and_one_s_own_secrets_is_sensitive() -> None:
    assert {"people:write", "account:secure"} <= RECENT
    assert all(may(Role.OWNER, need) for need in RECENT)


async def test_whoever_is_limited_to_outlets_sees_who_works_there(shop: Installation, owner: User) -> None:
    for outlet in ("bandung", "cimahi"):
        add_person(shop, Role.CASHIER, f"kasir-{outlet}", outlets=frozenset({outlet}))
    auditor = signed_in(shop, add_person(shop, Role.AUDITOR, outlets=frozenset({"bandung"})))
    page = (await auditor.get("/people")).text
    assert "kasir-bandung" in page
    assert owner.username in page
    assert "kasir-cimahi" not in page


async def test_an_owner_is_not_limited_to_outlets(shop: Installation, owner: User) -> None:
    office = signed_in(shop, owner)
    answer = await office.post("/people", username="sari", name="Sari", role="owner", outlets="bandung")
    assert answer.status_code == 422
    cashier = add_person(shop, Role.CASHIER, outlets=frozenset({"bandung"}))
    answer = await office.post(f"/people/{cashier.id}", role="owner", outlets="bandung")
    assert answer.status_code == 422
    assert [row["username"] for row in shop.rows("SELECT username FROM users WHERE role = 'owner'")] == ["owner"]
