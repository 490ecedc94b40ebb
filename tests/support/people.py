"""People of a test's shop, and the browsers they use."""

from __future__ import annotations

import re
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from qrisd.app import secret_key_of
from qrisd.domain.permissions import Outlets, Role
from qrisd.sealing import Sealer
from qrisd.services import people, sessions
from qrisd.services.people import Draft
from qrisd.services.second_factor import SecondFactor
from qrisd.services.sessions import Origin
from qrisd.store import users
from qrisd.store.audit_log import COMMAND_LINE, Actor
from qrisd.store.db import connect
from qrisd.store.users import User
from qrisd.web.cookies import form_token
from tests.support.installation import Installation

ORIGIN = "http://shop.test"
HOME = "192.0.2.7"
BY = Actor(COMMAND_LINE)
PASSWORD = "kopi susu gula aren"


class Browser:
    """One browser at an address: keeps its cookies, and sends forms as a page of ours would."""

    def __init__(self, shop: Installation, source: str = HOME, origin: str = ORIGIN) -> None:
        transport = httpx.ASGITransport(shop.app, raise_app_exceptions=False, client=(source, 1234))
        self.client = httpx.AsyncClient(transport=transport, base_url=origin)
        self.origin = origin

    @property
    def token(self) -> str | None:
        """The session's, if there is one."""
        return self._cookie("session")

    def _cookie(self, name: str) -> str | None:
        return self.client.cookies.get(name) or self.client.cookies.get(f"__Host-{name}")

    def keep(self, token: str) -> None:
        """Hold this session's token, however it was come by."""
        self.client.cookies.set("session", token, domain=urlsplit(self.origin).netloc, path="/")

    async def get(self, path: str, **more: Any) -> httpx.Response:
        return await self.client.get(path, **more)

    async def post(self, path: str, proof: str | None = None, **fields: str) -> httpx.Response:
        """Send a form of our own page; `proof` in the place of the token it would have."""
        given = self._cookie("visit" if path.startswith(("/sign-in", "/setup")) else "session") or ""
        form = {"csrf": form_token(given) if proof is None else proof, **fields}
        return await self.client.post(path, data=form, headers={"Origin": self.origin})

    async def sign_in(self, username: str, secret: str = PASSWORD, **fields: str) -> httpx.Response:
        await self.get("/sign-in")
        return await self.post("/sign-in", username=username, secret=secret, **fields)


def owner_link(shop: Installation) -> str:
    """The path of the link that the server prints while there is no owner."""
    with closing(connect(shop.data_dir.database)) as conn:
        return f"/setup/{people.owner_link(conn, shop.clock())}"


def add_person(
    shop: Installation, role: Role, username: str = "", *, outlets: Outlets = None, secret_hash: str | None = None
) -> User:
    """Somebody who may sign in, without the work of hashing a password; by name of their role when none is given."""
    draft = Draft(username or role, f"Test {role}", role, outlets)
    return hire(shop.data_dir.database, draft, shop.clock(), secret_hash or cheap_hash(PASSWORD))


def hire(database: Path, draft: Draft, now: datetime, secret_hash: str) -> User:
    """This person, with a password that has this hash."""
    with closing(connect(database)) as conn:
        user, _ = people.create(conn, draft, BY, now)
        users.save_secret(conn, user.id, password_hash=secret_hash, pin_hash=None)
        found = users.get(conn, user.id)
    assert found is not None
    return found


def cheap_hash(secret: str) -> str:
    """A real hash, of the least that argon2 can do: tests sign in often."""
    from argon2 import PasswordHasher

    return PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(secret)


def signed_in(shop: Installation, user: User, source: str = HOME) -> Browser:
    """A browser in which this person has just signed in, without the page."""
    browser = Browser(shop, source)
    with closing(connect(shop.data_dir.database)) as conn:
        _, token = sessions.begin(conn, user, Origin(source, "test"), shop.clock())
    browser.keep(token)
    return browser


def switch_second_factor_on(shop: Installation, user: User) -> tuple[str, list[str]]:
    """The secret of this person's second factor, on from now, and their recovery codes."""
    factor = SecondFactor(Sealer(secret_key_of(shop.settings)))
    with closing(connect(shop.data_dir.database)) as conn:
        factor.begin(conn, user)
        begun = users.get(conn, user.id)
        assert begun is not None
        secret = factor.pending_secret(begun)
        codes = factor.switch_on(conn, begun, code_of(shop, secret), shop.clock())
    assert codes is not None
    shop.clock.advance(60)  # so that the code of then is none that can be used now
    return secret, codes


def code_of(shop: Installation, secret: str, steps: int = 0) -> str:
    """What the authenticator app shows, so many steps of 30 seconds from now."""
    from pyotp import TOTP

    return TOTP(secret).at(for_time=shop.clock(), counter_offset=steps)


def link_in(page: httpx.Response) -> str:
    """The path of the one-time link that a page shows."""
    found = re.search(r">https?://[^/<]+(/setup/[\w-]+)<", page.text)
    assert found is not None, page.text
    return found[1]


def audited(shop: Installation, action: str) -> list[dict[str, Any]]:
    """The rows of the audit log about this action, oldest first."""
    return shop.rows("SELECT * FROM audit_log WHERE action = ? ORDER BY id", action)
