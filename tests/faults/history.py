"""What was asked of qrisd and what it answered, and the check that the database agrees.

A request has one of three answers: *ok* (a 2xx: acknowledged), *refused* (any other status), or none at all. What was
acknowledged must be there, once, as acknowledged; what got no answer may have happened or not, but at most once.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from qrisd.store import verify
from qrisd.store.db import Connection

KEPT: Final = ("id", "order_id", "amount", "currency", "outlet", "description")


@dataclass(slots=True)
class Request:
    """One request: what kind (`create`, `webhook`, `cancel`, ...), about what, and how it ended. `status` None means
    no answer came. Times are monotonic seconds."""

    kind: str
    asked: Mapping[str, Any]
    started: float
    ended: float = 0.0
    status: int | None = None
    body: dict[str, Any] = field(default_factory=dict)

    @property
    def acknowledged(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


class History:
    """Every request of a run, in the order they were begun."""

    def __init__(self) -> None:
        self.requests: list[Request] = []

    async def send(self, kind: str, asked: Mapping[str, Any], call: Callable[[], Any]) -> Request:
        """Await `call()`, which answers an httpx.Response, and note what came of it."""
        request = Request(kind, dict(asked), time.monotonic())
        self.requests.append(request)
        try:
            answer: httpx.Response = await call()
            request.status, request.body = answer.status_code, answer.json()
        except (httpx.TransportError, ValueError):
            pass  # no answer: it may have happened or not
        request.ended = time.monotonic()
        return request

    def of(self, kind: str) -> Iterator[Request]:
        return (request for request in self.requests if request.kind == kind)

    def violations(self, conn: Connection) -> list[str]:
        """Every way in which the database contradicts this history or itself; empty when all is well."""
        return [
            *_creates(conn, self),
            *_webhooks(conn, self),
            *_cancels(conn, self),
            *_uninvited_money(conn, self),
            *database_violations(conn),
        ]


def database_violations(conn: Connection) -> list[str]:
    """What must hold in every database at any moment, whatever was asked: all that `qrisd verify` judges, and that the
    last event and the stored answers speak of the payment as it is."""
    found = [f"{finding.rule}: {', '.join(finding.offenders)}" for finding in verify.violations(conn)]
    return [*found, *_last_events(conn), *_keys(conn)]


def _creates(conn: Connection, history: History) -> Iterator[str]:
    """Every acknowledged payment is there, once, with the acknowledged content."""
    for request in history.of("create"):
        if not request.acknowledged:
            continue
        rows = conn.execute("SELECT * FROM payments WHERE order_id = ?", (request.asked["order_id"],)).fetchall()
        if len(rows) != 1:
            yield f"{request.asked['order_id']}: acknowledged, stored {len(rows)} times"
            continue
        wrong = [name for name in KEPT if rows[0][name] != request.body[name]]
        if wrong or rows[0]["amount"] != request.asked["amount"]:
            yield f"{request.asked['order_id']}: differs from what was acknowledged in {wrong or 'amount'}"
        yield from _shown_qr(conn, request)


def _shown_qr(conn: Connection, request: Request) -> Iterator[str]:
    """A QR that was shown belongs to one of the payment's attempts."""
    shown = request.body["qris_payload"]
    sql = "SELECT count(*) FROM attempts WHERE payment_id = ? AND qris_payload = ? AND amount = ?"
    values = (request.body["id"], shown, request.asked["amount"])
    if shown is not None and conn.execute(sql, values).fetchone()[0] != 1:
        yield f"{request.asked['order_id']}: the QR that was shown belongs to no attempt"


def _webhooks(conn: Connection, history: History) -> Iterator[str]:
    """Every acknowledged event is stored once; acknowledged money is on its payment."""
    for event_id, requests in _by(history.of("webhook"), "event_id").items():
        stored = conn.execute("SELECT count(*) FROM webhook_events WHERE event_id = ?", (event_id,)).fetchone()[0]
        acknowledged = [request for request in requests if request.acknowledged]
        if stored != 1 and (acknowledged or stored > 1):
            yield f"webhook {event_id}: acknowledged {len(acknowledged)} times, stored {stored} times"
        for request in acknowledged:
            yield from _money_arrived(conn, request)


def _money_arrived(conn: Connection, request: Request) -> Iterator[str]:
    if request.asked["status"] != "PAID" or request.body["outcome"] not in ("applied", "duplicate"):
        return
    sql = "SELECT a.amount_paid FROM attempts a WHERE a.provider_trx_id = ?"
    row = conn.execute(sql, (request.asked["provider_trx_id"],)).fetchone()
    if row is None or row[0] < request.asked["amount"]:
        yield f"webhook {request.asked['event_id']}: its money is lost"


def _cancels(conn: Connection, history: History) -> Iterator[str]:
    for request in history.of("cancel"):
        row = conn.execute("SELECT status, exception FROM payments WHERE id = ?", (request.asked["id"],)).fetchone()
        after = row is not None and (row["status"] == "CANCELLED" or row["exception"] == "after_cancel")
        if request.acknowledged and not after:
            yield f"{request.asked['id']}: cancelled, but now {row and tuple(row)}"


def _uninvited_money(conn: Connection, history: History) -> Iterator[str]:
    """No attempt holds more money than the largest payment that was announced for it."""
    announced: dict[str, int] = defaultdict(int)
    for request in history.of("webhook"):
        if request.asked["status"] == "PAID":
            trx_id = request.asked["provider_trx_id"]
            announced[trx_id] = max(announced[trx_id], request.asked["amount"])
    for row in conn.execute("SELECT provider_trx_id, amount_paid FROM attempts WHERE amount_paid > 0"):
        if row["amount_paid"] > announced[row["provider_trx_id"]]:
            yield f"{row['provider_trx_id']}: holds {row['amount_paid']}, told of {announced[row['provider_trx_id']]}"


def _last_events(conn: Connection) -> Iterator[str]:
    """The last event of a payment tells how it stands."""
    sql = (
        "SELECT p.order_id, p.status, e.body FROM payments p JOIN events e "
        "ON e.payment_id = p.id AND e.sequence = p.sequence WHERE p.status != 'CREATED'"
    )
    for row in conn.execute(sql):
        told = json.loads(row["body"])["data"]["status"]
        if told != row["status"]:
            yield f"{row['order_id']}: is {row['status']}, the last event said {told}"


def _keys(conn: Connection) -> Iterator[str]:
    """A stored answer speaks of the payment the key belongs to."""
    for row in conn.execute("SELECT key, payment_id, body FROM idempotency_keys WHERE body IS NOT NULL"):
        told = json.loads(row["body"])
        if told.get("payment_id", told["id"]) != row["payment_id"]:
            yield f"key {row['key']}: remembers the answer for another payment"


def _by(requests: Iterator[Request], name: str) -> dict[str, list[Request]]:
    found: dict[str, list[Request]] = defaultdict(list)
    for request in requests:
        found[request.asked[name]].append(request)
    return found
