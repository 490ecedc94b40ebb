"""`qrisd callbacks`, beside the service it speaks of."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from qrisd.cli import app
from qrisd.store.db import connect
from tests.fakes.receiver import FakeReceiver
from tests.fakes.server import Reply
from tests.support.clock import FakeClock
from tests.support.installation import Installation
from tests.support.people import audited
from tests.support.server import LiveServer

SECRET = "whsec_" + "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVowMTIz"
ALLOWED = {"QRISD_CALLBACKS__ALLOW_LOOPBACK": "true"}


@pytest.fixture
async def receiver() -> AsyncIterator[FakeReceiver]:
    fake = FakeReceiver(SECRET)
    await fake.start()
    yield fake
    await fake.stop()


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Installation]:
    """A little ahead of the commands, which go by the real clock: what they make due is due here."""
    clock = FakeClock(datetime.now(UTC) + timedelta(minutes=1))
    async with Installation(tmp_path / "data", clock, {"callbacks": {"allow_loopback": True}}).running() as running:
        yield running


async def callbacks(shop: Installation, *arguments: str, **env: str) -> Result:
    """Run it on a thread of its own, so that the service and the receiver go on."""
    given = {"QRISD_DATA_DIR": str(shop.settings.data_dir), **ALLOWED, **env}
    return await asyncio.to_thread(CliRunner().invoke, app, ["callbacks", *arguments], env=given)


async def told(shop: Installation, receiver: FakeReceiver, order_id: str = "INV-1") -> dict[str, Any]:
    """The callback of a new payment, after its first try."""
    before = len(shop.rows("SELECT id FROM callback_tries"))
    payment = await shop.create(order_id, callback_url=receiver.url)
    await until_tried(shop, before + 1)
    return shop.rows("SELECT * FROM callbacks WHERE payment_id = ?", payment["id"])[0]


async def until_tried(shop: Installation, count: int) -> None:
    for _ in range(1_000):
        if len(shop.rows("SELECT id FROM callback_tries")) >= count:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"fewer than {count} tries were made")


def give_up(shop: Installation, callback_id: str) -> None:
    change = "status = 'DEAD', next_try_at = NULL, delivered_at = NULL, reason = 'given up after 10 tries'"
    with closing(connect(shop.data_dir.database)) as conn:
        assert conn.execute(f"UPDATE callbacks SET {change} WHERE id = ?", (callback_id,)).rowcount


async def test_nothing_to_do_exits_0(shop: Installation, receiver: FakeReceiver) -> None:
    delivered = await told(shop, receiver)
    listed = await callbacks(shop, "list")
    assert (listed.exit_code, listed.stdout) == (0, "Nothing waits, nothing was given up.\n")
    listed = await callbacks(shop, "list", "--status", "delivered", "--json")
    assert [one["id"] for one in json.loads(listed.stdout)["callbacks"]] == [delivered["id"]]


async def test_what_was_given_up_exits_2_and_says_what_to_do(shop: Installation, receiver: FakeReceiver) -> None:
    receiver.script.next("callback", reply=Reply(500))
    waiting = await told(shop, receiver)
    dead = await told(shop, receiver, "INV-2")
    give_up(shop, dead["id"])
    listed = await callbacks(shop, "list")
    assert listed.exit_code == 2
    assert listed.stdout.index(dead["id"]) < listed.stdout.index(waiting["id"])
    assert "given up after 10 tries" in listed.stdout
    assert "qrisd callbacks replay ID" in listed.stdout
    found = json.loads((await callbacks(shop, "list", "--json", "--limit", "1")).stdout)
    assert [one["id"] for one in found["callbacks"]] == [dead["id"]]
    only = await callbacks(shop, "list", "--payment", waiting["payment_id"], "--endpoint", receiver.url, "--json")
    assert (only.exit_code, [one["id"] for one in json.loads(only.stdout)["callbacks"]]) == (0, [waiting["id"]])


async def test_a_switched_off_endpoint_is_named_on_top_and_resumed(shop: Installation, receiver: FakeReceiver) -> None:
    receiver.script.next("callback", reply=Reply(410))
    dead = await told(shop, receiver)
    listed = await callbacks(shop, "list")
    assert (listed.exit_code, listed.stdout.splitlines()[0].startswith(receiver.url)) == (2, True)
    assert f"qrisd callbacks resume {receiver.url}" in listed.stdout
    assert (await callbacks(shop, "list", "--status", "WAITING")).exit_code == 2
    refused = await callbacks(shop, "replay", dead["id"])
    assert (refused.exit_code, "switched off" in refused.stderr) == (1, True)
    skipped = await callbacks(shop, "replay", "--status", "DEAD", "--json")
    assert (skipped.exit_code, json.loads(skipped.stdout)) == (2, {"replayed": 0, "switched_off": 1})
    resumed = await callbacks(shop, "resume", receiver.url, "--json")
    assert (resumed.exit_code, json.loads(resumed.stdout)) == (0, {"url": receiver.url, "replayed": 1})
    await until_tried(shop, 2)
    assert (await callbacks(shop, "list")).exit_code == 0
    assert (await callbacks(shop, "resume", receiver.url)).exit_code == 1


async def test_a_callback_is_shown_with_every_try(shop: Installation, receiver: FakeReceiver) -> None:
    receiver.script.next("callback", reply=Reply(500, b"database is locked"))
    callback = await told(shop, receiver)
    shown = await callbacks(shop, "show", callback["id"])
    assert shown.exit_code == 0
    assert "HTTP 500" in shown.stdout
    assert "database is locked" in shown.stdout
    details = json.loads((await callbacks(shop, "show", callback["id"], "--json")).stdout)
    assert (details["body"]["sequence"], len(details["history"])) == (1, 1)
    assert (await callbacks(shop, "show", "msg_0")).exit_code == 1


@pytest.mark.parametrize("options", [("--since", "2026-01-15"), ("--since", "2026-01-15T03:00:00Z"), ("--endpoint",)])
async def test_the_server_sends_again_what_a_command_replays(
    shop: Installation, receiver: FakeReceiver, options: tuple[str, ...]
) -> None:
    await told(shop, receiver)
    given = (*options, receiver.url) if options == ("--endpoint",) else options
    replayed = await callbacks(shop, "replay", *given)
    assert (replayed.exit_code, replayed.stdout.startswith("1 will be sent again")) == (0, True)
    first, again = await receiver.wait_for(2)
    assert again.id == first.id


async def test_one_is_replayed_by_its_id(shop: Installation, receiver: FakeReceiver) -> None:
    callback = await told(shop, receiver)
    assert (await callbacks(shop, "replay", callback["id"])).exit_code == 0
    await receiver.wait_for(2)


@pytest.mark.parametrize(
    "arguments",
    [
        ("replay",),
        ("replay", "msg_0", "--status", "DEAD"),
        ("replay", "msg_0"),
        ("replay", "--since", "soon"),
        ("replay", "--since", "2026-02-30"),
        ("replay", "--status", "PAID"),
        ("list", "--endpoint", "http://["),
        ("resume", "https://shop.example/hooks"),
        ("test", "http://10.0.0.1/hooks"),
    ],
)
async def test_what_cannot_be_done_exits_1_with_one_line(shop: Installation, arguments: tuple[str, ...]) -> None:
    done = await callbacks(shop, *arguments)
    assert (done.exit_code, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)


async def test_a_ping_is_sent_signed_and_can_be_repeated_by_hand(shop: Installation, receiver: FakeReceiver) -> None:
    receiver.secret = (await callbacks(shop, "secret")).stdout.strip()
    pinged = await callbacks(shop, "test", receiver.url)
    assert pinged.exit_code == 0, pinged.stderr
    assert [(one.event["type"], one.is_genuine) for one in receiver.book] == [("ping", True)]
    assert "delivered: HTTP 204" in pinged.stdout
    assert "\ncurl " in pinged.stdout
    receiver.script.next("callback", reply=Reply(403, b"no"))
    refused = await callbacks(shop, "test", receiver.url, "--json")
    assert (refused.exit_code, json.loads(refused.stdout)["answer"]) == (2, "no")


async def test_the_secret_is_rotated_and_both_sign_for_a_while(shop: Installation, receiver: FakeReceiver) -> None:
    old = (await callbacks(shop, "secret")).stdout.strip()
    rotated = json.loads((await callbacks(shop, "secret", "--rotate", "--json")).stdout)
    new = rotated["secrets"][0]
    assert rotated["secrets"] == [new, old]
    (noted,) = audited(shop, "callback_secret.rotated")
    assert (noted["who"], new in str(noted), old in str(noted)) == ("command line", False, False)
    assert rotated["old_until"].endswith("Z")
    assert (await callbacks(shop, "secret")).stdout.split() == [new, old]
    for secret in (old, new):
        receiver.secret = secret
        assert (await callbacks(shop, "test", receiver.url)).exit_code == 0
    assert [one.is_genuine for one in receiver.book] == [True, True]


async def test_a_secret_of_the_settings_is_rotated_there(shop: Installation) -> None:
    configured = {"QRISD_CALLBACKS__SECRET": SECRET}
    assert (await callbacks(shop, "secret", **configured)).stdout.strip() == SECRET
    refused = await callbacks(shop, "secret", "--rotate", **configured)
    assert (refused.exit_code, "callbacks.old_secret" in refused.stderr) == (1, True)


@pytest.mark.parametrize(
    "arguments", [("list",), ("show", "x"), ("resume", "x"), ("secret",), ("test", "http://x.id/")]
)
def test_without_an_installation_nothing_is_made(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    env = {"QRISD_DATA_DIR": str(tmp_path / "none")}
    done = CliRunner().invoke(app, ["callbacks", *arguments], env=env)
    assert (done.exit_code, "qrisd serve" in done.stderr) == (1, True)
    assert not (tmp_path / "none").exists()


def test_the_commands_work_beside_a_running_server(server: LiveServer) -> None:
    assert server.run("callbacks", "list").returncode == 0
    assert server.run("callbacks", "secret").stdout.startswith("whsec_")
    assert server.run("callbacks", "replay", "--status", "DEAD").stdout == "0 will be sent again now.\n"


async def test_what_is_sent_again_or_switched_on_by_command_is_in_the_audit_log(
    shop: Installation, receiver: FakeReceiver
) -> None:
    callback = await told(shop, receiver)
    await callbacks(shop, "replay", callback["id"])
    await callbacks(shop, "replay", "--endpoint", receiver.url)
    shop.write("INSERT INTO callback_endpoints VALUES (?, NULL, NULL, ?, 'gone')", receiver.url, callback["created_at"])
    await callbacks(shop, "resume", receiver.url)
    for action, what in (("callback.replayed", callback["id"]), ("callbacks.replayed", None)):
        (row,) = audited(shop, action)
        assert (row["who"], row["what"]) == ("command line", what)
    assert [row["what"] for row in audited(shop, "endpoint.resumed")] == [receiver.url]
