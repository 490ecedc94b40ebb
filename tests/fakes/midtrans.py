"""A Midtrans of our own on loopback: it speaks Core API's wire format, keeps its own book, and misbehaves on demand.

Nothing of the product is used here, so that the two cannot share a mistake.
"""

from __future__ import annotations

import hashlib
import heapq
import io
from base64 import b64encode
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta, timezone
from typing import Any
from uuid import uuid4

import httpx
import segno

from tests.fakes.payload import dynamic_qris
from tests.fakes.provider import FakeProvider
from tests.fakes.script import Step
from tests.fakes.server import Reply, Request

WIB = timezone(timedelta(hours=7))
_UNIT_S = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}
_MAX_EXPIRY_S = 7 * 86_400
_IDEMPOTENCY_S = 300
_NOTIFIED_CODE = {"pending": "201", "expire": "202", "deny": "202", "cancel": "202"}
_STATUS_CODE = {"pending": "201", "expire": "407", "deny": "202"}
# How often Midtrans tries again, by our answer; anything that is not listed earns five tries.
_RETRIES = {500: 1, 503: 4, 400: 2, 404: 2, 301: 0, 302: 0, 303: 0}
# A refund key is taken as a repeat this long; money can be given back this long, by acquirer and by who paid.
_REFUND_REPEATS = timedelta(days=7)
_ON_US_WINDOW, _OFF_US_WINDOW, _SHOPEE_WINDOW = timedelta(days=45), timedelta(days=7), timedelta(days=365)
_SHOPEE_CLOSES, _SHOPEE_OPENS = time(23, 55), time(6, 0)


@dataclass(slots=True)
class Transaction:
    """One line of the book."""

    order_id: str
    amount: int
    payment_type: str
    acquirer: str
    created_at: datetime
    expires_at: datetime
    notify_urls: list[str]
    status: str = "pending"
    fraud_status: str = "accept"
    settled_at: datetime | None = None
    refunds: list[dict[str, Any]] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)
    id: str = field(default_factory=lambda: str(uuid4()))
    cross_reference: str = field(default_factory=lambda: str(uuid4()))

    @property
    def refunded(self) -> int:
        """Rupiah given back so far."""
        return sum(int(refund["refund_amount"].removesuffix(".00")) for refund in self.refunds)

    def refund_under(self, key: str) -> dict[str, Any]:
        """The refund with this key; an empty one when there is none."""
        return next((refund for refund in self.refunds if refund["refund_key"] == key), {})


@dataclass(frozen=True, slots=True)
class Notification:
    """One notification waiting to be sent."""

    url: str
    body: dict[str, Any]


class FakeMidtrans(FakeProvider[Notification]):
    """As `FakeProvider`; `notify_url` counts instead of what a charge says."""

    # How often it tries again depends on our answer as well, see `gives_up`.
    intervals_s = (120, 600, 1800, 5400, 12_600)

    def __init__(self, server_key: str = "SB-Mid-server-fake", merchant_id: str = "G000000001") -> None:
        super().__init__()
        self.server_key = server_key
        self.merchant_id = merchant_id
        self.book: dict[str, Transaction] = {}
        self.active = {"qris", "gopay"}
        self.sends_qr_string = {"qris"}
        self.confirms_refunds = True  # at once; else when told to by `confirm_refund()`
        self.hidden_s = 0.0  # a charge is shown to lookups only this long after it was made
        self._by_id: dict[str, Transaction] = {}
        self._due: list[tuple[datetime, str]] = []
        self._remembered: dict[str, tuple[datetime, Reply]] = {}
        self._running: set[str] = set()

    # What happens at Midtrans' side

    def pay(self, order_id: str, *, issuer: str = "dana", fraud_status: str = "accept") -> None:
        """The payer pays, whatever state the QR is in: real money is not stopped by a status."""
        transaction = self.book[order_id]
        transaction.settled_at = self.now
        transaction.fraud_status = fraud_status
        is_own = issuer == transaction.acquirer
        transaction.extra |= {"issuer": issuer, "transaction_type": "on-us" if is_own else "off-us"}
        self.change(order_id, "settlement")

    def change(self, order_id: str, status: str) -> None:
        """Any other change of status, and its notification."""
        transaction = self.book[order_id]
        transaction.status = status
        self._notify(transaction)

    def refund(self, order_id: str, amount: int, key: str = "refund-1", reason: str = "asked by the customer") -> None:
        """Give money back; Midtrans tells of it twice, the second time with the bank's confirmation."""
        transaction = self.book[order_id]
        entry: dict[str, Any] = {
            "refund_chargeback_id": len(transaction.refunds) + 1,
            "refund_amount": f"{amount}.00",
            "created_at": _wib(self.now),
            "reason": reason,
            "refund_key": key,
        }
        transaction.refunds.append(entry)
        transaction.status = "refund" if transaction.refunded == transaction.amount else "partial_refund"
        self._notify(transaction)
        if self.confirms_refunds:
            self.confirm_refund(order_id, key)

    def confirm_refund(self, order_id: str, key: str = "refund-1") -> None:
        """The bank confirms a refund, and Midtrans tells of it a second time."""
        transaction = self.book[order_id]
        transaction.refund_under(key)["bank_confirmed_at"] = _wib(self.now)
        self._notify(transaction)

    # Notifications

    async def post(self, client: httpx.AsyncClient, waiting: Notification) -> httpx.Response:
        """Send one notification; its proof is in its body."""
        return await client.post(waiting.url, json=waiting.body, headers={"User-Agent": "Veritrans"})

    def gives_up(self, statuses: list[int]) -> bool:
        """By the documented table."""
        return len(statuses) > _RETRIES.get(statuses[-1], len(self.intervals_s))

    def notification(self, transaction: Transaction) -> dict[str, Any]:
        """What a notification about the present state looks like."""
        code = _NOTIFIED_CODE.get(transaction.status, "200")
        return {**self._facts(transaction, code), "status_message": "midtrans payment notification"}

    def signature(self, order_id: str, code: str, gross_amount: str) -> str:
        """SHA-512 over the four parts, hex."""
        return hashlib.sha512(f"{order_id}{code}{gross_amount}{self.server_key}".encode()).hexdigest()

    def _notify(self, transaction: Transaction) -> None:
        body = self.notification(transaction)
        urls = [self.notify_url] if self.notify_url else transaction.notify_urls
        self.outbox.extend(Notification(url, body) for url in urls)

    # The API

    def action(self, request: Request) -> str:
        """The name a script uses for this request."""
        if request.path == "/v2/charge":
            return "charge"
        if request.path.endswith("/qr-code"):
            return "picture"
        parts = request.path.split("/")
        return parts[3] if len(parts) > 3 else "unknown"

    async def answer(self, request: Request, action: str, step: Step) -> Reply:
        """Do the work, or repeat the answer to a known Idempotency-Key, whatever the endpoint and body."""
        key = request.headers.get("idempotency-key", "")
        if request.method != "POST" or not 0 < len(key) <= 46:
            return await super().answer(request, action, step)
        if key in self._running:
            return Reply.json(202, {"status_message": "the first request is still running"})
        stored_at, stored = self._remembered.get(key, (None, Reply()))
        if stored_at is not None and self.now - stored_at < timedelta(seconds=_IDEMPOTENCY_S):
            return stored
        self._running.add(key)
        try:
            reply = await super().answer(request, action, step)
        finally:
            self._running.discard(key)
        if b'"status_code": "20' in reply.body:
            self._remembered[key] = (self.now, reply)
        return reply

    def work(self, request: Request, action: str) -> Reply:
        """Do what is asked and say so."""
        if action == "picture":
            return self._picture(request)
        if request.headers.get("authorization") != f"Basic {b64encode(f'{self.server_key}:'.encode()).decode()}":
            return _error(401, "Unknown Merchant server_key/id", status=401)
        if action == "charge":
            return self._charge(request)
        transaction = self._find(request.path.split("/")[2])
        if transaction is None:
            return _error(404, "Transaction doesn't exist.")
        match action:
            case "status":
                return Reply.json(200, self._status(transaction))
            case "cancel" | "expire":
                return self._close(transaction, action)
            case "refund":
                return self._refund(transaction, request)
        return _error(404, "The requested resource is not found", status=404)

    def _charge(self, request: Request) -> Reply:
        try:
            body = request.json()
            order_id = body["transaction_details"]["order_id"]
            refusal = self._charge_refusal(body, order_id)
        except ValueError:
            return _error(413, "The request cannot be processed due to malformed syntax in the request body")
        except (KeyError, TypeError):
            return _invalid("transaction_details is required")
        if refusal is not None:
            return refusal
        transaction = Transaction(
            order_id=order_id,
            amount=body["transaction_details"]["gross_amount"],
            payment_type=body["payment_type"],
            acquirer=body.get("qris", {}).get("acquirer", "gopay"),
            created_at=self.now,
            expires_at=self.now + timedelta(seconds=min(_expiry_s(body), _MAX_EXPIRY_S)),
            notify_urls=_notify_urls(request),
        )
        self._enter(transaction)
        return Reply.json(200, self._charged(transaction))

    def _charge_refusal(self, body: dict[str, Any], order_id: Any) -> Reply | None:
        amount = body["transaction_details"]["gross_amount"]
        if type(amount) is not int or amount < 1:
            return _invalid("transaction_details.gross_amount must be a positive integer")
        if not isinstance(order_id, str) or not 0 < len(order_id) <= 50:
            return _invalid("transaction_details.order_id is not valid")
        if _expiry_s(body) < 20:
            return _invalid("custom_expiry is too short")
        if body["payment_type"] not in self.active:
            return _error(402, "Payment channel is not activated.")
        if order_id in self.book:
            return _error(406, "The request could not be completed due to a conflict, please try again")
        return None

    def _enter(self, transaction: Transaction) -> None:
        self.book[transaction.order_id] = self._by_id[transaction.id] = transaction
        heapq.heappush(self._due, (transaction.expires_at, transaction.order_id))
        self._notify(transaction)

    def _charged(self, transaction: Transaction) -> dict[str, Any]:
        answer = {
            **self._facts(transaction, "201"),
            "status_message": f"{transaction.payment_type.upper()} transaction is created",
            "actions": [
                {"name": "generate-qr-code-v2", "method": "GET", "url": f"{self.url}/v4/qris/{transaction.id}/qr-code"},
                {
                    "name": "generate-qr-code",
                    "method": "GET",
                    "url": f"{self.url}/v2/{transaction.payment_type}/{transaction.id}/qr-code",
                },
            ],
        }
        if transaction.payment_type in self.sends_qr_string:
            answer["qr_string"] = self.payload(transaction)
        del answer["signature_key"]
        return answer

    def _status(self, transaction: Transaction) -> dict[str, Any]:
        code = _STATUS_CODE.get(transaction.status, "200")
        return {**self._facts(transaction, code), "status_message": "Success, transaction is found"}

    def _close(self, transaction: Transaction, action: str) -> Reply:
        if transaction.status != "pending":
            return _error(412, "Transaction status cannot be updated.")
        self.change(transaction.order_id, action)
        code, word = ("200", "canceled") if action == "cancel" else ("407", "expired")
        facts = self._facts(transaction, code)
        return Reply.json(200, {**facts, "status_message": f"Success, transaction is {word}"})

    def _refund(self, transaction: Transaction, request: Request) -> Reply:
        body = request.json()
        left = transaction.amount - transaction.refunded
        amount, key = body.get("amount", left), body.get("refund_key", str(uuid4()))
        before = transaction.refund_under(key)
        if before:
            same = before["refund_amount"] == f"{amount}.00"
            recent = self.now - _read_wib(before["created_at"]) < _REFUND_REPEATS
            return self._refunded(transaction, before) if same and recent else _error(406, "Duplicate refund ID")
        if transaction.status not in ("settlement", "partial_refund"):
            return _error(412, "Transaction status cannot be updated.")
        if type(amount) is not int or not 0 < amount <= left:
            return _error(414, "Refund amount is not valid")
        if self._denies(transaction, amount):
            denied = {"status_message": "Refund denied by the bank", "refund_amount": "0.00", "refund_key": key}
            return Reply.json(200, {**_bare(self._facts(transaction, "202")), **denied})
        self.refund(transaction.order_id, amount, key, body.get("reason", ""))
        return self._refunded(transaction, transaction.refund_under(key))

    def _refunded(self, transaction: Transaction, entry: dict[str, Any]) -> Reply:
        told = {name: entry[name] for name in ("refund_chargeback_id", "refund_amount", "refund_key")}
        facts = _bare(self._facts(transaction, "200"))
        return Reply.json(200, {**facts, "status_message": "Success, refund request is approved", **told})

    def _denies(self, transaction: Transaction, amount: int) -> bool:
        """The acquirer's own rules."""
        if "shopee" in transaction.acquirer:
            clock = self.now.astimezone(WIB).time()
            closed = clock >= _SHOPEE_CLOSES or clock < _SHOPEE_OPENS
            window, forbidden = _SHOPEE_WINDOW, closed or amount != transaction.amount
        else:
            on_us = transaction.extra.get("transaction_type") == "on-us"
            window, forbidden = _ON_US_WINDOW if on_us else _OFF_US_WINDOW, False
        return forbidden or self.now - (transaction.settled_at or self.now) >= window

    def _picture(self, request: Request) -> Reply:
        transaction = self._find(request.path.split("/")[3])
        if transaction is None:
            return _error(404, "Transaction doesn't exist.", status=404)
        png = io.BytesIO()
        segno.make(self.payload(transaction), error="m").save(png, kind="png", scale=6, border=4)
        return Reply(200, png.getvalue(), {"Content-Type": "image/png"})

    def _facts(self, transaction: Transaction, code: str) -> dict[str, Any]:
        gross = f"{transaction.amount}.00"
        facts = {
            "status_code": code,
            "transaction_id": transaction.id,
            "order_id": transaction.order_id,
            "merchant_id": self.merchant_id,
            "gross_amount": gross,
            "currency": "IDR",
            "payment_type": transaction.payment_type,
            "transaction_time": _wib(transaction.created_at),
            "transaction_status": transaction.status,
            "fraud_status": transaction.fraud_status,
            "expiry_time": _wib(transaction.expires_at),
            "acquirer": transaction.acquirer,
            "signature_key": self.signature(transaction.order_id, code, gross),
            **transaction.extra,
        }
        if transaction.settled_at is not None:
            facts["settlement_time"] = _wib(transaction.settled_at)
            facts["merchant_cross_reference_id"] = transaction.cross_reference
        if transaction.refunds:
            facts["refund_amount"] = f"{transaction.refunded}.00"
            facts["refunds"] = [dict(refund) for refund in transaction.refunds]
        return facts

    def payload(self, transaction: Transaction) -> str:
        """A synthetic dynamic QRIS for the transaction."""
        return dynamic_qris(
            acquirer=[("00", "COM.GO-JEK.WWW"), ("01", "936009140000000001"), ("02", "G000000001"), ("03", "UMI")],
            amount=f"{transaction.amount}.00",
            name="Warung Contoh",
            place=("BANDUNG", "40111"),
            more=[("50", transaction.cross_reference), ("07", "A01")],
        )

    def _find(self, key: str) -> Transaction | None:
        transaction = self.book.get(key) or self._by_id.get(key)
        if transaction is None or self.now < transaction.created_at + timedelta(seconds=self.hidden_s):
            return None
        return transaction

    def settle_due(self) -> None:
        """What is due expires, and that is told."""
        while self._due and self._due[0][0] <= self.now:
            _, order_id = heapq.heappop(self._due)
            if self.book[order_id].status == "pending":
                self.change(order_id, "expire")


def _notify_urls(request: Request) -> list[str]:
    names = ("x-override-notification", "x-append-notification")
    return [url.strip() for name in names for url in request.headers.get(name, "").split(",") if url.strip()]


def _expiry_s(body: dict[str, Any]) -> int:
    custom = body.get("custom_expiry", {"expiry_duration": 15})
    return int(custom["expiry_duration"]) * _UNIT_S[custom.get("unit", "minute")]


def _error(code: int, message: str, status: int = 200) -> Reply:
    return Reply.json(status, {"status_code": str(code), "status_message": message, "id": str(uuid4())})


def _invalid(message: str) -> Reply:
    body = {"status_code": "400", "status_message": "One or more parameters is invalid.", "id": str(uuid4())}
    return Reply.json(400, {**body, "validation_messages": [message]})


def _bare(facts: dict[str, Any]) -> dict[str, Any]:
    """What the answer to a refund has of the facts."""
    return {name: value for name, value in facts.items() if name not in ("refunds", "refund_amount", "signature_key")}


def _wib(moment: datetime) -> str:
    return moment.astimezone(WIB).strftime("%Y-%m-%d %H:%M:%S")


def _read_wib(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=WIB)
