"""`qrisd users` beside a running server, and the owner's link that it prints."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx
import pytest

from qrisd.web.cookies import form_token
from tests.support.server import LiveServer


def said(server: LiveServer, *arguments: str) -> Any:
    ran = server.run("users", *arguments, "--json")
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def set_secret(server: LiveServer, link: str, **fields: str) -> httpx.Response:
    """Open a link in a browser and send its form."""
    with httpx.Client(base_url=server.url, headers={"Origin": server.url}) as browser:
        assert browser.get(link).status_code == 200
        return browser.post(link, data={"csrf": form_token(browser.cookies["visit"]), **fields})


def test_the_first_owner_and_a_cashier_get_their_links(server: LiveServer) -> None:
    found = re.search(r"http://\S+/setup/\S+", server.greeting)
    assert found is not None
    assert found[0].startswith(f"{server.url}/setup/")
    made = set_secret(server, found[0], name="Ibu Sri", username="sri", secret="kopi susu gula aren")
    assert made.status_code == 303
    cashier = said(server, "create", "--username", "budi", "--name", "Budi", "--role", "cashier", "--outlet", "bandung")
    assert (cashier["role"], cashier["outlets"], cashier["has_password"]) == ("cashier", ["bandung"], False)
    assert set_secret(server, cashier["link"], secret="482915").status_code == 303
    assert [user["username"] for user in said(server, "list")] == ["budi", "sri"]
    assert "Budi" in server.run("users", "list").stdout
    again = said(server, "reset", "budi", "--remove-second-factor")
    assert again["link"].startswith(f"{server.url}/setup/")
    assert said(server, "disable", "budi")["disabled_at"] is not None
    with httpx.Client() as browser:
        assert browser.get(again["link"]).status_code == 404
    server.terminate()
    server.start()
    assert "/setup/" not in server.greeting
    assert found[0].rsplit("/", 1)[1] not in server.log.read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("create", "--username", "b", "--name", "Budi", "--role", "cashier"), "2 to 32 small letters"),
        (("create", "--username", "budi", "--name", "Budi", "--role", "boss"), "choose one of: owner"),
        (("create", "--username", "budi", "--name", "Budi", "--role", "cashier", "--outlet", "a b"), "Name outlets"),
        (("disable", "nobody"), "nobody with this username"),
        (("reset", "nobody"), "nobody with this username"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(server: LiveServer, arguments: tuple[str, ...], words: str) -> None:
    ran = server.run("users", *arguments)
    assert ran.returncode == 1
    assert words in ran.stderr
    assert ran.stderr.count("\n") == 1


def test_the_last_owner_cannot_be_disabled(server: LiveServer) -> None:
    said(server, "create", "--username", "sri", "--name", "Sri", "--role", "owner")
    ran = server.run("users", "disable", "sri")
    assert ran.returncode == 1
    assert "last owner" in ran.stderr


def test_a_key_of_a_person_and_an_outlet(server: LiveServer) -> None:
    said(server, "create", "--username", "budi", "--name", "Budi", "--role", "cashier")
    ran = server.run("keys", "create", "--name", "till", "--outlet", "bandung", "--user", "budi", "--json")
    headers = {"Authorization": f"Bearer {json.loads(ran.stdout)['key']}"}
    order = {"order_id": "INV-1", "amount": 15_000, "outlet": "bandung"}
    with httpx.Client(base_url=server.url, headers=headers) as till:
        assert till.post("/payments", json=order).status_code == 201
        assert till.post("/payments", json={**order, "order_id": "INV-2", "outlet": "main"}).status_code == 403
        assert till.get("/providers").status_code == 403
        server.run("users", "disable", "budi")
        assert till.get("/payments").status_code == 401
    listed = json.loads(server.run("keys", "list", "--json").stdout)
    assert [key["outlets"] for key in listed] == [None, ["bandung"]]
