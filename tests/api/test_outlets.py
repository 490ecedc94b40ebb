"""Keys that are limited: to outlets, and to what the person they act for may do."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from qrisd.domain.permissions import ROUTES, Role
from tests.support.installation import Installation
from tests.support.people import add_person, signed_in

ABSENT = "01900000-0000-7000-8000-000000000000"
OF_ONE_PAYMENT = sorted(key for key, need in ROUTES.items() if key[1].startswith("/payments/{id}"))


class Till:
    """Whoever calls with one key."""

    def __init__(self, shop: Installation, key: str) -> None:
        self._client = shop.client
        self._headers = {"Authorization": f"Bearer {key}"}

    async def __call__(self, method: str, path: str, **more: object) -> httpx.Response:
        headers = {**self._headers, **({"Idempotency-Key": "once"} if path.endswith("/refunds") else {})}
        return await self._client.request(method, path, headers=headers, **more)  # type: ignore[arg-type]

    async def create(self, order_id: str, outlet: str) -> httpx.Response:
        return await self("POST", "/payments", json={"order_id": order_id, "amount": 15_000, "outlet": outlet})


@pytest.fixture
def bandung(shop: Installation) -> Till:
    return Till(shop, shop.new_key(outlets=frozenset({"bandung"})))


@pytest.fixture
def cimahi(shop: Installation) -> Till:
    return Till(shop, shop.new_key(outlets=frozenset({"cimahi"})))


def told(answer: httpx.Response) -> tuple[int, dict[str, object]]:
    """An answer without the id of its request."""
    return answer.status_code, {**answer.json(), "request_id": None}


# AU-02

BODIES = {"confirm": {"amount": 15_000, "confirmed_by": "Budi"}, "refunds": {"amount": 15_000, "reason": "broken"}}


@pytest.mark.parametrize(("method", "path"), OF_ONE_PAYMENT)
async def test_a_payment_of_another_outlet_is_like_none(
    shop: Installation, bandung: Till, cimahi: Till, method: str, path: str
) -> None:
    payment = (await bandung.create("INV-1", "bandung")).json()
    body = {"json": BODIES[end]} if (end := path.rsplit("/", 1)[-1]) in BODIES else {}
    absent = await cimahi(method, path.replace("{id}", ABSENT), **body)
    foreign = await cimahi(method, path.replace("{id}", payment["id"]), **body)
    assert told(foreign) == told(absent)
    assert foreign.status_code == 404
    assert (await shop.get(payment["id"]))["status"] == "PENDING"


async def test_waiting_for_a_payment_of_another_outlet_is_no_way_around(bandung: Till, cimahi: Till) -> None:
    payment = (await bandung.create("INV-1", "bandung")).json()
    assert (await cimahi("GET", f"/payments/{payment['id']}?wait=1")).status_code == 404


async def test_a_list_holds_the_own_outlets_only(shop: Installation, bandung: Till, cimahi: Till) -> None:
    await bandung.create("INV-1", "bandung")
    await cimahi.create("INV-2", "cimahi")
    await shop.create("INV-3")
    for till, own in ((bandung, ["INV-1"]), (cimahi, ["INV-2"])):
        found = (await till("GET", "/payments")).json()["data"]
        assert [payment["order_id"] for payment in found] == own
    assert (await bandung("GET", "/payments?outlet=cimahi")).json()["data"] == []
    assert len((await shop.client.get("/payments")).json()["data"]) == 3


async def test_the_feed_tells_of_the_own_outlets_only(shop: Installation, bandung: Till, cimahi: Till) -> None:
    await bandung.create("INV-1", "bandung")
    await cimahi.create("INV-2", "cimahi")
    feed = (await cimahi("GET", "/events")).json()
    assert {event["data"]["order_id"] for event in feed["data"]} == {"INV-2"}
    waiting = asyncio.create_task(cimahi("GET", f"/events?after={feed['next_after']}&wait=1"))
    await asyncio.sleep(0.05)
    await bandung.create("INV-3", "bandung")
    assert (await waiting).json()["data"] == []


async def test_a_key_makes_payments_of_its_outlets_only(bandung: Till) -> None:
    assert (await bandung.create("INV-1", "bandung")).status_code == 201
    refused = await bandung.create("INV-2", "cimahi")
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")


async def test_a_taken_order_id_does_not_name_the_payment_of_another_outlet(bandung: Till, cimahi: Till) -> None:
    payment = (await bandung.create("INV-1", "bandung")).json()
    foreign = await cimahi.create("INV-1", "cimahi")
    assert foreign.json()["code"] == "order_id_taken"
    assert "existing" not in foreign.json()
    own = await bandung("POST", "/payments", json={"order_id": "INV-1", "amount": 1, "outlet": "bandung"})
    assert own.json()["existing"] == payment["id"]


async def test_callbacks_of_other_outlets_are_like_none(shop: Installation, bandung: Till, cimahi: Till) -> None:
    body = {"order_id": "INV-1", "amount": 15_000, "outlet": "bandung", "callback_url": "https://toko.example/kabar"}
    assert (await bandung("POST", "/payments", json=body)).status_code == 201
    own = (await bandung("GET", "/callbacks")).json()["data"]
    assert own
    assert (await cimahi("GET", "/callbacks")).json()["data"] == []
    for method, path in (("GET", "/callbacks/{id}"), ("POST", "/callbacks/{id}/replay")):
        foreign = await cimahi(method, path.replace("{id}", own[0]["id"]))
        assert told(foreign) == told(await cimahi(method, path.replace("{id}", ABSENT)))
    replayed = await cimahi("POST", "/callbacks/replay", json={"since": "2026-01-01T00:00:00Z"})
    assert replayed.json() == {"replayed": 0, "switched_off": 0}
    assert (await cimahi("GET", "/callbacks/endpoints")).status_code == 403
    assert (await cimahi("POST", "/callbacks/test", json={"url": "https://toko.example"})).status_code == 403


# Keys of people


async def test_a_key_of_a_person_does_no_more_than_they_may(shop: Installation) -> None:
    marketing = add_person(shop, Role.MARKETING)
    till = Till(shop, shop.new_key(user_id=marketing.id))
    assert (await till("GET", "/payments")).status_code == 200
    assert (await till.create("INV-1", "main")).status_code == 403
    both = Till(shop, shop.new_key("payments:write", user_id=marketing.id))
    assert (await both("GET", "/payments")).status_code == 403
    assert (await both.create("INV-1", "main")).status_code == 403


async def test_a_key_of_a_person_reaches_what_both_reach(shop: Installation) -> None:
    cashier = add_person(shop, Role.CASHIER, outlets=frozenset({"bandung", "cimahi"}))
    till = Till(shop, shop.new_key(user_id=cashier.id, outlets=frozenset({"cimahi", "lembang"})))
    codes = [(await till.create(f"INV-{outlet}", outlet)).status_code for outlet in ("bandung", "cimahi", "lembang")]
    assert codes == [403, 201, 403]


async def test_a_key_stops_with_its_person_at_once_and_starts_with_them_again(shop: Installation) -> None:
    office = signed_in(shop, add_person(shop, Role.OWNER))
    cashier = add_person(shop, Role.CASHIER)
    till = Till(shop, shop.new_key(user_id=cashier.id))
    assert (await till("GET", "/payments")).status_code == 200
    await office.post(f"/people/{cashier.id}/disable")
    assert (await till("GET", "/payments")).status_code == 401
    await office.post(f"/people/{cashier.id}/enable")
    assert (await till("GET", "/payments")).status_code == 200
    await office.post(f"/people/{cashier.id}", role="technician")
    assert (await till("GET", "/payments")).status_code == 403


async def test_who_waits_for_news_hears_nothing_after_their_key_has_stopped(shop: Installation) -> None:
    office = signed_in(shop, add_person(shop, Role.OWNER))
    cashier = add_person(shop, Role.CASHIER)
    till = Till(shop, shop.new_key(user_id=cashier.id))
    payment = await shop.create()
    feed = asyncio.create_task(till("GET", "/events?after=latest&wait=10"))
    one = asyncio.create_task(till("GET", f"/payments/{payment['id']}?wait=10"))
    await asyncio.sleep(0.2)
    await office.post(f"/people/{cashier.id}/disable")
    await shop.webhook(payment)
    async with asyncio.timeout(5):
        assert (await feed).json()["data"] == []
        assert (await one).json()["status"] == "PENDING"


# AU-01


@pytest.mark.parametrize(
    "kind", ["wrong", "revoked", "other environment", "in the query", "none", "of a disabled person"]
)
async def test_a_key_that_is_no_good_gets_the_same_refusal(
    shop: Installation, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    cashier = add_person(shop, Role.CASHIER)
    key = shop.new_key(user_id=cashier.id)
    if kind == "revoked":
        shop.write("UPDATE api_keys SET revoked_at = created_at WHERE user_id = ?", cashier.id)
    if kind == "of a disabled person":
        shop.write("UPDATE users SET disabled_at = created_at WHERE id = ?", cashier.id)
    sent = {"wrong": key[:-1] + "~", "other environment": key.replace("_test_", "_live_")}.get(kind, key)
    path = f"/payments?api_key={key}&key={key}" if kind == "in the query" else "/payments"
    headers = {} if kind in ("in the query", "none") else {"Authorization": f"Bearer {sent}"}
    shop.client.headers.pop("Authorization")
    answer = await shop.client.get(path, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Bearer realm="qrisd"'
    assert {**answer.json(), "request_id": None, "detail": None} == {
        "type": "urn:qrisd:problem:unauthorized",
        "title": "No valid API key",
        "status": 401,
        "detail": None,
        "code": "unauthorized",
        "request_id": None,
    }
    assert key not in capsys.readouterr().err
    assert key not in str(shop.rows("SELECT * FROM api_keys"))
