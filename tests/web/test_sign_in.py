"""Signing in, and every way somebody might get around it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from argon2 import PasswordHasher

from qrisd.domain.errors import StorageUnavailable
from qrisd.domain.permissions import ROUTES, Role
from qrisd.domain.throttle import ACCOUNT, SOURCE
from qrisd.services import hashing, people
from qrisd.services.second_factor import RECOVERY_CODES
from qrisd.store import sessions as stored_sessions
from qrisd.store.db import connect
from qrisd.store.users import User
from qrisd.web.cookies import form_token
from tests.support.clock import FakeClock
from tests.support.installation import Installation
from tests.support.people import (
    HOME,
    ORIGIN,
    PASSWORD,
    Browser,
    add_person,
    audited,
    cheap_hash,
    code_of,
    link_in,
    owner_link,
    signed_in,
    switch_second_factor_on,
)

STRANGER = "198.51.100.9"
GONE = 303
WRONG = 401


@pytest.fixture
def owner(shop: Installation) -> User:
    return add_person(shop, Role.OWNER)


async def is_in(browser: Browser) -> bool:
    return (await browser.get("/me")).status_code == 200


@pytest.fixture
def hashes(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What has been hashed to be compared."""
    seen: list[bytes] = []
    verify = PasswordHasher.verify

    def counted(self: PasswordHasher, stored: str, password: bytes) -> bool:
        seen.append(password)
        return verify(self, stored, password)

    monkeypatch.setattr(PasswordHasher, "verify", counted)
    return seen


def same(answer: httpx.Response) -> tuple[int, str, list[str]]:
    """What somebody who guesses sees of an answer, without what differs from one browser to the next."""
    text = re.sub(r'value="[^"]*"', "", answer.text)
    return answer.status_code, text, sorted(set(answer.headers) - {"x-request-id"})


# AU-04: guessing


async def test_one_account_is_throttled_from_many_addresses(shop: Installation, owner: User) -> None:
    for number in range(ACCOUNT.free):
        answer = await Browser(shop, f"198.51.100.{number}").sign_in("owner", "a guess that fails")
        assert answer.status_code == WRONG
    refused = await Browser(shop, STRANGER).sign_in("owner")
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) == ACCOUNT.first.total_seconds()


async def test_many_accounts_are_throttled_from_one_address(shop: Installation) -> None:
    browser = Browser(shop, STRANGER)
    for number in range(SOURCE.free):
        assert (await browser.sign_in(f"user{number}", "x" * 300)).status_code == WRONG
    assert (await browser.sign_in("somebody-else", "x" * 300)).status_code == 429


async def test_the_waits_grow_and_end(shop: Installation, owner: User) -> None:
    for failures in range(1, 12):
        answer = await Browser(shop, f"198.51.100.{failures}").sign_in("owner", "x" * 300)
        assert answer.status_code == WRONG
        shop.clock.advance(ACCOUNT.wait(failures).total_seconds())
    shop.clock.advance(ACCOUNT.longest.total_seconds())
    assert (await Browser(shop, STRANGER).sign_in("owner")).status_code == GONE


async def test_strangers_cannot_keep_the_owner_out_of_their_own_shop(shop: Installation, owner: User) -> None:
    assert (await Browser(shop, HOME).sign_in("owner")).status_code == GONE
    for number in range(ACCOUNT.free):
        await Browser(shop, f"198.51.100.{number}").sign_in("owner", "x" * 300)
    assert (await Browser(shop, STRANGER).sign_in("owner")).status_code == 429
    assert (await Browser(shop, HOME).sign_in("owner")).status_code == GONE


async def test_addresses_of_ipv4_are_told_apart_where_they_are_written_as_ipv6(shop: Installation, owner: User) -> None:
    for number in range(SOURCE.free):
        await Browser(shop, "::ffff:198.51.100.9").sign_in(f"user{number}", "x" * 300)
    assert (await Browser(shop, "::ffff:198.51.100.9").sign_in("owner")).status_code == 429
    assert (await Browser(shop, "::ffff:203.0.113.5").sign_in("owner")).status_code == GONE


async def test_who_is_vouched_for_need_not_wait_where_they_have_signed_in_before_either(
    shop: Installation, owner: User
) -> None:
    for source in (HOME, STRANGER):
        assert (await Browser(shop, source).sign_in("owner")).status_code == GONE
    for source in (HOME, STRANGER, "203.0.113.5"):
        for _ in range(ACCOUNT.free):
            await Browser(shop, source).sign_in("owner", "x" * 300)
    with closing(connect(shop.data_dir.database)) as conn:
        people.let_try_again(conn, owner)
    for source in (HOME, STRANGER, "203.0.113.5"):
        assert (await Browser(shop, source).sign_in("owner")).status_code == GONE


async def test_guesses_at_once_are_counted_like_guesses_in_a_row(shop: Installation, owner: User) -> None:
    browsers = [Browser(shop, f"198.51.100.{number}") for number in range(20)]
    answers = await asyncio.gather(*(one.sign_in("owner", "x" * 300) for one in browsers))
    assert [answer.status_code for answer in answers].count(WRONG) == ACCOUNT.free


async def test_a_try_that_was_never_made_is_not_counted(
    shop: Installation, owner: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as crowded:
        crowded.setattr(hashing, "MAX_WAITING", 0)
        answers = [await Browser(shop, STRANGER).sign_in("owner") for _ in range(ACCOUNT.free + 1)]
    assert {answer.headers["retry-after"] for answer in answers} == {str(hashing.BUSY_RETRY_S)}
    assert (await Browser(shop, STRANGER).sign_in("owner")).status_code == GONE


async def test_proving_it_again_is_not_counted_either_while_too_many_are_waiting(
    shop: Installation, owner: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    office = signed_in(shop, owner)
    with monkeypatch.context() as crowded:
        crowded.setattr(hashing, "MAX_WAITING", 0)
        for _ in range(ACCOUNT.free + 1):
            assert (await office.post("/step-up", secret=PASSWORD)).status_code == 429
    assert (await office.post("/step-up", secret=PASSWORD)).status_code == GONE


@pytest.mark.parametrize("username", ["owner", "gone", "fresh", "nobody", "OWNER ", "x' OR 1=1"])
async def test_the_answer_does_not_tell_who_exists(shop: Installation, owner: User, username: str) -> None:
    gone, _ = add_person(shop, Role.CASHIER, "gone"), add_person(shop, Role.CASHIER, "fresh", secret_hash="-")
    shop.write("UPDATE users SET disabled_at = created_at WHERE id = ?", gone.id)
    expected = await Browser(shop, STRANGER).sign_in("unheard-of", "a guess that fails")
    answer = await Browser(shop, STRANGER).sign_in(username, "a guess that fails")
    assert same(answer) == same(expected)
    assert answer.status_code == WRONG


async def test_somebody_unknown_costs_a_hash_like_somebody_known(
    shop: Installation, owner: User, hashes: list[bytes]
) -> None:
    for username in ("nobody", "owner"):
        await Browser(shop, STRANGER).sign_in(username, "a guess that fails")
    assert hashes == [b"a guess that fails"] * 2


async def test_a_disabled_person_does_not_get_in(shop: Installation, owner: User) -> None:
    shop.write("UPDATE users SET disabled_at = created_at")
    assert (await Browser(shop).sign_in("owner")).status_code == WRONG


async def test_failed_tries_are_in_the_audit_log_without_what_was_typed(shop: Installation, owner: User) -> None:
    await Browser(shop, STRANGER).sign_in("owner", "a guess that fails")
    await Browser(shop, STRANGER).sign_in("my password by mistake", "x" * 300)
    rows = audited(shop, "sign_in.failed")
    assert [(row["what"], row["source"]) for row in rows] == [(owner.id, STRANGER), (None, STRANGER)]
    assert "mistake" not in str(shop.rows("SELECT * FROM audit_log"))
    assert "mistake" not in str(shop.rows("SELECT * FROM sign_in_failures"))


# AU-05: sessions


async def test_signing_in_gives_a_new_session_and_ends_the_one_before(shop: Installation, owner: User) -> None:
    browser = Browser(shop)
    browser.keep("planted-by-somebody-else")
    await browser.sign_in("owner")
    first = browser.token
    assert first != "planted-by-somebody-else"
    await browser.sign_in("owner")
    assert browser.token != first
    stolen = Browser(shop)
    stolen.keep(first or "")
    assert not await is_in(stolen)


async def test_a_step_up_changes_the_session_s_token(shop: Installation, owner: User) -> None:
    browser = signed_in(shop, owner)
    before = browser.token or ""
    assert (await browser.post("/step-up", secret=PASSWORD)).status_code == GONE
    assert browser.token != before
    browser.keep(before)
    assert not await is_in(browser)


async def test_signing_out_ends_the_session_at_the_server(shop: Installation, owner: User) -> None:
    browser = signed_in(shop, owner)
    token = browser.token or ""
    answer = await browser.post("/sign-out")
    assert answer.headers["location"] == "/sign-in"
    assert browser.token is None
    browser.keep(token)
    assert not await is_in(browser)
    assert [(row["who"], row["source"]) for row in audited(shop, "sign_out")] == [(owner.id, HOME)]


async def test_a_new_password_ends_every_other_session(shop: Installation, owner: User) -> None:
    here, elsewhere = signed_in(shop, owner), signed_in(shop, owner)
    answer = await here.post("/me/secret", secret="a brand new password")
    assert answer.headers["location"] == "/me?done=secret"
    assert await is_in(here)
    assert not await is_in(elsewhere)
    assert (await Browser(shop).sign_in("owner")).status_code == WRONG
    assert (await Browser(shop).sign_in("owner", "a brand new password")).status_code == GONE


async def test_disabling_somebody_ends_their_sessions(shop: Installation, owner: User) -> None:
    cashier = add_person(shop, Role.CASHIER)
    till, office = signed_in(shop, cashier), signed_in(shop, owner)
    assert (await office.post(f"/people/{cashier.id}/disable")).status_code == GONE
    assert not await is_in(till)
    assert audited(shop, "user.disabled")[0]["who"] == owner.id


async def test_a_session_can_be_ended_from_another_one_and_by_nobody_else(shop: Installation, owner: User) -> None:
    here, there = signed_in(shop, owner), signed_in(shop, owner)
    cashier = signed_in(shop, add_person(shop, Role.CASHIER))
    sessions = shop.rows("SELECT id FROM sessions WHERE user_id = ? ORDER BY created_at, id", owner.id)
    assert (await cashier.post(f"/me/sessions/{sessions[1]['id']}/end")).status_code == 404
    assert await is_in(there)
    assert (await here.post(f"/me/sessions/{sessions[1]['id']}/end")).status_code == GONE
    assert not await is_in(there)
    assert [(row["who"], row["what"]) for row in audited(shop, "session.ended")] == [(owner.id, sessions[1]["id"])]


@pytest.mark.parametrize(
    ("role", "idle_h", "whole_h"), [(Role.OWNER, 0.5, 12), (Role.FINANCE, 0.5, 12), (Role.CASHIER, 12, 16)]
)
async def test_a_session_ends_when_unused_and_at_last_in_any_case(
    shop: Installation, role: Role, idle_h: float, whole_h: float
) -> None:
    user = add_person(shop, role)
    idle, busy = signed_in(shop, user), signed_in(shop, user)
    shop.clock.advance(idle_h * 3600 - 1)
    assert await is_in(busy)
    shop.clock.advance(1)
    assert not await is_in(idle)
    steps = int(whole_h / idle_h * 2)
    seen = []
    for _ in range(steps):
        seen.append(await is_in(busy))
        shop.clock.advance(idle_h * 1800)
    assert seen[0]
    assert not await is_in(busy)


async def test_a_page_is_shown_while_the_disk_takes_nothing(
    shop: Installation, owner: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise StorageUnavailable("The database cannot take writes now.")

    browser = signed_in(shop, owner)
    shop.clock.advance(120)
    monkeypatch.setattr(stored_sessions, "touch", full)
    assert (await browser.get("/pos")).status_code == 200


async def test_only_the_hash_of_a_session_s_token_is_stored(shop: Installation, owner: User) -> None:
    browser = Browser(shop)
    await browser.sign_in("owner")
    assert browser.token is not None
    assert browser.token not in str(shop.rows("SELECT * FROM sessions"))


# AU-06: forms sent by others

PROTECTED_POSTS = sorted(
    path.replace("{id}", "x").replace("{token}", "x")
    for (method, path), need in ROUTES.items()
    if method == "POST" and (need.startswith(("account", "people")) or path.startswith(("/sign-in", "/setup")))
)


@pytest.mark.parametrize("path", PROTECTED_POSTS)
async def test_a_form_of_somebody_else_is_refused(shop: Installation, owner: User, path: str) -> None:
    browser, other = signed_in(shop, owner), signed_in(shop, owner)
    await browser.get("/sign-in")
    await other.get("/sign-in")
    own = form_token(browser.client.cookies["visit" if path.startswith(("/sign-in", "/setup")) else "session"])
    strange = form_token(other.client.cookies["visit" if path.startswith(("/sign-in", "/setup")) else "session"])
    post = browser.client.post
    refused = [
        await post(path, data={}, headers={"Origin": ORIGIN}),
        await post(path, data={"csrf": ""}, headers={"Origin": ORIGIN}),
        await post(path, data={"csrf": strange}, headers={"Origin": ORIGIN}),
        await post(path, data={"csrf": own}, headers={"Origin": "https://evil.example"}),
        await post(path, data={"csrf": own}, headers={"Origin": "null"}),
        await post(path, data={"csrf": own}),
        await post(path, data={"csrf": own}, headers={"Origin": ORIGIN, "Sec-Fetch-Site": "cross-site"}),
        await post(path, data={"csrf": own}, headers={"Origin": ORIGIN, "Sec-Fetch-Site": "same-site"}),
        await post(path, content=f"csrf={own}", headers={"Origin": ORIGIN, "Content-Type": "text/plain"}),
        await post(path, json={"csrf": own}, headers={"Origin": ORIGIN}),
    ]
    assert [answer.status_code for answer in refused] == [403] * len(refused)


async def test_no_get_of_a_page_changes_anything(shop: Installation, owner: User) -> None:
    browser = signed_in(shop, owner)
    tables = ("users", "one_time_links", "recovery_codes", "audit_log", "api_keys", "payments")
    link = owner_link(shop)
    before = [shop.rows(f"SELECT * FROM {table}") for table in tables]
    pages = [path for method, path in ROUTES if method == "GET" and "{" not in path]
    for path in [*pages, link, "/people/x/disable", "/sign-out"]:
        await browser.get(path)
    assert [shop.rows(f"SELECT * FROM {table}") for table in tables] == before
    assert await is_in(browser)


# AU-08: the second factor


async def with_password(shop: Installation, source: str = HOME) -> Browser:
    browser = Browser(shop, source)
    answer = await browser.sign_in("owner")
    assert answer.headers["location"] == "/sign-in/code"
    return browser


async def test_a_code_is_asked_for_and_lets_in(shop: Installation, owner: User) -> None:
    secret, _ = switch_second_factor_on(shop, owner)
    browser = await with_password(shop)
    half = browser.token
    assert (await browser.post("/sign-in/code", code=code_of(shop, secret))).status_code == GONE
    assert browser.token != half
    assert await is_in(browser)


@pytest.mark.parametrize(("steps", "lets_in"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
async def test_one_step_around_now_is_taken(shop: Installation, owner: User, steps: int, lets_in: bool) -> None:
    secret, _ = switch_second_factor_on(shop, owner)
    browser = await with_password(shop)
    answer = await browser.post("/sign-in/code", code=code_of(shop, secret, steps))
    assert answer.status_code == (GONE if lets_in else WRONG)


async def test_a_code_works_once(shop: Installation, owner: User) -> None:
    secret, _ = switch_second_factor_on(shop, owner)
    code = code_of(shop, secret)
    first, second = await with_password(shop), await with_password(shop)
    assert (await first.post("/sign-in/code", code=code)).status_code == GONE
    assert (await second.post("/sign-in/code", code=code)).status_code == WRONG
    assert (await second.post("/sign-in/code", code=code_of(shop, secret, -1))).status_code == WRONG


async def test_of_twenty_who_use_a_code_at_once_one_gets_in(shop: Installation, owner: User) -> None:
    secret, _ = switch_second_factor_on(shop, owner)
    browsers = [await with_password(shop) for _ in range(20)]
    code = code_of(shop, secret)
    answers = await asyncio.gather(*(browser.post("/sign-in/code", code=code) for browser in browsers))
    assert [answer.status_code for answer in answers].count(GONE) == 1


async def test_after_five_wrong_codes_even_the_right_one_waits(shop: Installation, owner: User) -> None:
    secret, codes = switch_second_factor_on(shop, owner)
    browser = await with_password(shop)
    for _ in range(5):
        assert (await browser.post("/sign-in/code", code="000000")).status_code == WRONG
    for right in (code_of(shop, secret), codes[0]):
        assert (await browser.post("/sign-in/code", code=right)).status_code == 429
    other = await with_password(shop, STRANGER)
    assert (await other.post("/sign-in/code", code=code_of(shop, secret))).status_code == 429
    shop.clock.advance(61)
    assert (await browser.post("/sign-in/code", code=code_of(shop, secret))).status_code == GONE


async def test_a_recovery_code_works_once_however_it_is_typed(shop: Installation, owner: User) -> None:
    _, codes = switch_second_factor_on(shop, owner)
    assert len(set(codes)) == RECOVERY_CODES
    first, second = await with_password(shop), await with_password(shop)
    assert (await first.post("/sign-in/code", code=f" {codes[3].upper().replace('-', ' ')}")).status_code == GONE
    assert (await second.post("/sign-in/code", code=codes[3])).status_code == WRONG
    assert (await second.post("/sign-in/code", code=codes[4])).status_code == GONE


async def test_the_second_factor_lies_sealed_and_codes_hashed(shop: Installation, owner: User) -> None:
    secret, codes = switch_second_factor_on(shop, owner)
    stored = str(shop.rows("SELECT * FROM users") + shop.rows("SELECT * FROM recovery_codes"))
    assert secret not in stored
    assert not any(code in stored or code.replace("-", "") in stored for code in codes)


async def test_somebody_switches_their_second_factor_on_by_its_pages(shop: Installation, owner: User) -> None:
    browser = signed_in(shop, owner)
    assert (await browser.post("/me/second-factor/begin")).headers["location"] == "/me/second-factor"
    page = await browser.get("/me/second-factor")
    found = re.search(r"<code>([\w ]+)</code>", page.text)
    assert found is not None
    image = await browser.get("/me/second-factor.svg")
    assert image.headers["content-type"] == "image/svg+xml"
    assert image.headers["cache-control"] == "no-store"
    assert (await browser.post("/me/second-factor", code="000000")).status_code == 422
    shown = await browser.post("/me/second-factor", code=code_of(shop, found[1].replace(" ", "")))
    codes = re.findall(r"<li><code>([\w-]+)</code>", shown.text)
    assert len(codes) == RECOVERY_CODES
    assert (await browser.get("/me/second-factor")).status_code == 404
    assert [row["action"] for row in audited(shop, "user.second_factor_on")] == ["user.second_factor_on"]
    other = await with_password(shop)
    assert (await other.post("/sign-in/code", code=codes[0])).status_code == GONE


# AU-09: ways around the second factor


async def test_a_password_alone_opens_no_page(shop: Installation, owner: User) -> None:
    switch_second_factor_on(shop, owner)
    browser = await with_password(shop)
    for method, path in ROUTES:
        if method == "GET" and ROUTES[method, path].startswith(("account", "people")):
            answer = await browser.get(path)
            assert answer.headers.get("location", "").startswith("/sign-in?next="), path
    assert (await browser.post("/step-up", secret=PASSWORD)).headers["location"].startswith("/sign-in?")


async def test_a_reset_does_not_spare_the_second_factor(shop: Installation, owner: User) -> None:
    switch_second_factor_on(shop, owner)
    other = add_person(shop, Role.OWNER, "other-owner")
    made = await signed_in(shop, other).post(f"/people/{owner.id}/link")
    link = link_in(made)
    browser = Browser(shop)
    await browser.get(link)
    answer = await browser.post(link, secret="a brand new password")
    assert answer.headers["location"] == "/sign-in/code"
    assert not await is_in(browser)


async def test_a_session_of_before_does_not_outlive_the_second_factor(shop: Installation, owner: User) -> None:
    here, elsewhere = signed_in(shop, owner), signed_in(shop, owner)
    await here.post("/me/second-factor/begin")
    page = await here.get("/me/second-factor")
    found = re.search(r"<code>([\w ]+)</code>", page.text)
    assert found is not None
    await here.post("/me/second-factor", code=code_of(shop, found[1].replace(" ", "")))
    assert await is_in(here)
    assert not await is_in(elsewhere)


async def test_the_half_way_session_ends_after_five_minutes(shop: Installation, owner: User) -> None:
    secret, _ = switch_second_factor_on(shop, owner)
    browser = await with_password(shop)
    shop.clock.advance(300)
    answer = await browser.post("/sign-in/code", code=code_of(shop, secret))
    assert answer.headers["location"] == "/sign-in"
    assert not await is_in(browser)


async def test_proving_it_again_needs_the_second_factor_too(shop: Installation, owner: User) -> None:
    secret, _ = switch_second_factor_on(shop, owner)
    browser = await with_password(shop)
    await browser.post("/sign-in/code", code=code_of(shop, secret))
    shop.clock.advance(600)
    assert (await browser.post("/step-up", secret=PASSWORD)).status_code == WRONG
    assert (await browser.post("/step-up", secret=PASSWORD, code="000000")).status_code == WRONG
    assert (await browser.post("/step-up", secret=PASSWORD, code=code_of(shop, secret))).status_code == GONE


# AU-11: the first owner


async def test_the_first_owner_comes_by_the_link_and_the_link_works_once(shop: Installation) -> None:
    link, browser = owner_link(shop), Browser(shop)
    assert (await browser.get(link)).status_code == 200
    answer = await browser.post(link, name="Ibu Sri", username="Sri", secret="kopi susu gula aren")
    assert answer.headers["location"] in ("/me", "/pos")
    assert await is_in(browser)
    assert (await Browser(shop).get(link)).status_code == 404
    again = Browser(shop)
    await again.get("/sign-in")
    assert (await again.post(link, name="Eve", username="eve", secret="kopi susu gula aren")).status_code == 404
    assert [row["role"] for row in shop.rows("SELECT role FROM users")] == ["owner"]


async def test_of_two_who_race_for_the_owner_s_link_one_wins(shop: Installation) -> None:
    link = owner_link(shop)
    browsers = [Browser(shop) for _ in range(2)]
    for browser in browsers:
        await browser.get(link)
    sent = [one.post(link, name="N", username=f"user{n}", secret=PASSWORD) for n, one in enumerate(browsers)]
    answers = await asyncio.gather(*sent)
    assert sorted(answer.status_code for answer in answers) == [GONE, 404]
    assert len(shop.rows("SELECT id FROM users")) == 1


async def test_each_start_makes_a_fresh_owner_s_link_until_there_is_an_owner(shop: Installation) -> None:
    first, second = owner_link(shop), owner_link(shop)
    assert (await Browser(shop).get(first)).status_code == 404
    assert (await Browser(shop).get(second)).status_code == 200
    user = add_person(shop, Role.OWNER)
    assert owner_link(shop) == "/setup/None"
    assert (await Browser(shop).get(second)).status_code == 404
    shop.write("UPDATE users SET disabled_at = created_at, password_hash = NULL WHERE id = ?", user.id)
    assert owner_link(shop) == "/setup/None"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("username", "x"),
        ("username", "a b"),
        ("name", ""),
        ("secret", "short"),
        ("secret", "1234"),
        ("secret", "x" * 257),
    ],
)
async def test_the_owner_s_link_survives_a_form_that_is_wrong(shop: Installation, field: str, value: str) -> None:
    link, browser = owner_link(shop), Browser(shop)
    await browser.get(link)
    fields = {"name": "Sri", "username": "sri", "secret": PASSWORD, field: value}
    answer = await browser.post(link, **fields)
    assert answer.status_code == 422
    assert f'id="{field}-wrong"' in answer.text
    assert (await browser.post(link, name="Sri", username="sri", secret=PASSWORD)).status_code == GONE


# AU-12: resets and redirects


async def test_a_reset_link_works_once_within_thirty_minutes(shop: Installation, owner: User) -> None:
    cashier = add_person(shop, Role.CASHIER)
    office, till = signed_in(shop, owner), signed_in(shop, cashier)
    first = link_in(await office.post(f"/people/{cashier.id}/link"))
    second = link_in(await office.post(f"/people/{cashier.id}/link"))
    assert (await Browser(shop).get(first)).status_code == 404
    browser = Browser(shop)
    await browser.get(second)
    assert (await browser.post(second, secret="482915")).status_code == GONE
    assert (await browser.post(second, secret="482916")).status_code == 404
    assert not await is_in(till)
    assert (await Browser(shop).sign_in("cashier", "482915")).status_code == GONE
    third = link_in(await office.post(f"/people/{cashier.id}/link"))
    shop.clock.advance(30 * 60)
    assert (await Browser(shop).get(third)).status_code == 404


async def test_a_link_names_the_configured_address_whatever_host_was_asked_for(shop: Installation, owner: User) -> None:
    cashier = add_person(shop, Role.CASHIER)
    browser = signed_in(shop, owner)
    fields = {"csrf": form_token(browser.token or "")}
    headers = {"Host": "evil.example", "Origin": "http://evil.example", "X-Forwarded-Host": "evil.example"}
    answer = await browser.client.post(f"/people/{cashier.id}/link", data=fields, headers=headers)
    assert f">{shop.settings.address}/setup/" in answer.text
    assert "evil" not in answer.text


async def test_a_link_of_somebody_who_was_disabled_is_dead(shop: Installation, owner: User) -> None:
    cashier = add_person(shop, Role.CASHIER)
    office = signed_in(shop, owner)
    link = link_in(await office.post(f"/people/{cashier.id}/link"))
    await office.post(f"/people/{cashier.id}/disable")
    assert (await Browser(shop).get(link)).status_code == 404


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/\t/evil.example",
        "javascript:alert(1)",
        "http:evil.example",
        "/%0d%0aX: 1\r\nX: 1",
        " //evil.example",
        "evil",
        "/é",
    ],
)
async def test_signing_in_never_leads_elsewhere(shop: Installation, owner: User, elsewhere: str) -> None:
    browser = Browser(shop)
    await browser.get("/sign-in", params={"next": elsewhere})
    answer = await browser.post("/sign-in", username="owner", secret=PASSWORD, next=elsewhere)
    assert answer.headers["location"] in ("/me", "/pos")


async def test_signing_in_leads_back_to_the_page_that_was_asked_for(shop: Installation, owner: User) -> None:
    browser = Browser(shop)
    sent = await browser.get("/people?lang=en")
    assert sent.headers["location"] == "/sign-in?next=/people%3Flang%3Den"
    page = await browser.get(sent.headers["location"])
    assert 'name="next" value="/people?lang=en"' in page.text
    answer = await browser.sign_in("owner", next="/people?lang=en")
    assert answer.headers["location"] == "/people?lang=en"


@pytest.mark.parametrize(
    ("sent", "page"),
    [
        ("/me/second-factor/off", "/me"),
        ("/me/second-factor/begin", "/me"),
        ("/me/second-factor", "/me/second-factor"),
        ("/me/sessions/x/end", "/me"),
        ("/people/x/link", "/people"),
        ("/pos/payments", "/pos"),
        ("/pos/payments/x/check", "/pos/payments/x"),
        ("/pos/shifts/x/close", "/pos/shifts/x"),
        ("/pos/proof", "/pos/proof"),
    ],
)
async def test_what_was_sent_without_a_session_leads_back_to_the_page_it_is_sent_from(
    shop: Installation, sent: str, page: str
) -> None:
    assert (await Browser(shop).post(sent)).headers["location"] == f"/sign-in?next={page}"


# AU-14: odd passwords


async def test_what_is_too_long_is_never_hashed(shop: Installation, owner: User, hashes: list[bytes]) -> None:
    assert (await Browser(shop).sign_in("owner", "x" * 257)).status_code == WRONG
    assert (await Browser(shop).sign_in("owner", "x" * 60_000)).status_code == WRONG
    assert (await Browser(shop).sign_in("owner", "x" * 1_000_000)).status_code == 413
    assert hashes == []


async def test_a_password_is_not_cut_off(shop: Installation) -> None:
    long = "a" * 255
    add_person(shop, Role.OWNER, "sri", secret_hash=cheap_hash(long + "b"))
    assert (await Browser(shop).sign_in("sri", long + "c")).status_code == WRONG
    assert (await Browser(shop).sign_in("sri", long[:72])).status_code == WRONG
    assert (await Browser(shop).sign_in("sri", long + "b")).status_code == GONE


@pytest.mark.parametrize(
    ("chosen", "typed"),
    [
        ("caf\N{LATIN SMALL LETTER E WITH ACUTE} kopi susu", "cafe\N{COMBINING ACUTE ACCENT} kopi susu"),
        ("\N{FULLWIDTH LATIN SMALL LETTER K}opi susu manis", "kopi susu manis"),
        ("kopi \N{HOT BEVERAGE} susu manis", "kopi \N{HOT BEVERAGE} susu manis"),
    ],
)
async def test_a_password_is_the_same_on_every_keyboard(
    shop: Installation, owner: User, chosen: str, typed: str
) -> None:
    assert (await signed_in(shop, owner).post("/me/secret", secret=chosen)).status_code == GONE
    assert (await Browser(shop).sign_in("owner", typed)).status_code == GONE


# AU-07: cookies and headers


@pytest.fixture
async def secure(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Installation]:
    flags = {"base_url": "https://bayar.toko.example"}
    async with Installation(tmp_path / "data", clock, flags).running() as running:
        yield running


async def test_behind_https_cookies_are_for_this_host_alone(secure: Installation) -> None:
    add_person(secure, Role.OWNER)
    browser = Browser(secure, origin="https://bayar.toko.example")
    answer = await browser.sign_in("owner")
    assert answer.status_code == GONE
    cookies = answer.headers.get_list("set-cookie")
    assert len(cookies) == 2
    for cookie in cookies:
        assert re.match(r"__Host-(session|visit)=[\w-]{40,}; ", cookie)
        assert {"HttpOnly", "Secure", "Path=/", "SameSite=lax"} <= set(cookie.split("; "))
        assert "Domain" not in cookie
    assert await is_in(browser)


async def test_every_page_carries_the_headers(secure: Installation) -> None:
    owner = add_person(secure, Role.OWNER)
    browser = Browser(secure, origin="https://bayar.toko.example")
    pages = [
        path for (method, path), need in ROUTES.items() if method == "GET" and need.startswith(("account", "people"))
    ]
    assert len(pages) > 5
    answers = [await browser.get(path) for path in [*pages, "/sign-in", "/setup/x"]]
    await browser.sign_in(owner.username)
    answers += [await browser.get(path) for path in pages]
    answers.append(await browser.post("/people", proof="wrong"))
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["strict-transport-security"].startswith("max-age=")
        assert answer.headers["referrer-policy"] == "same-origin"
        assert not re.search(r"<script|<style|style=|onclick|https?://(?!bayar\.toko\.example)", answer.text)


async def test_no_token_is_in_the_log(shop: Installation, owner: User, capsys: pytest.CaptureFixture[str]) -> None:
    cashier = add_person(shop, Role.CASHIER)
    link = link_in(await signed_in(shop, owner).post(f"/people/{cashier.id}/link"))
    browser = Browser(shop)
    await browser.get(link)
    await browser.get(link + "/")
    await browser.post(link, secret="482915")
    written = capsys.readouterr().err
    assert "/setup/{token}" in written
    assert link.removeprefix("/setup/") not in written
    assert (browser.token or "-") not in written
