"""A Xendit of our own on loopback: payment requests (v3, and v2 for the official client), QR codes, refunds and
transactions in its wire format, with its own book, and misbehaving on demand.

Nothing of the product is used here, so that the two cannot share a mistake.
"""

from __future__ import annotations

import random
from base64 import b64encode
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx

from tests.fakes.payload import dynamic_qris
from tests.fakes.provider import FakeProvider
from tests.fakes.script import Step
from tests.fakes.server import Reply, Request

BUSINESS_ID = "5f0000000000000000000001"
_LIFE = timedelta(hours=48)
_REFUND_TAKES = timedelta(seconds=60)
_MAX_AMOUNT = 10_000_000
_CLOSED = ("SUCCEEDED", "FAILED", "EXPIRED", "CANCELED")
_REASONS = ("FRAUDULENT", "DUPLICATE", "REQUESTED_BY_CUSTOMER", "CANCELLATION", "OTHERS")
_EVENTS = {"EXPIRED": "payment_request.expiry", "FAILED": "payment.failure"}
_TRANSACTION_FILTERS = frozenset(
    [
        "types",
        "statuses",
        "channel_categories",
        "reference_id",
        "product_id",
        "account_identifier",
        "currency",
        "amount",
        "created[gte]",
        "created[lte]",
        "updated[gte]",
        "updated[lte]",
        "limit",
        "after_id",
        "before_id",
    ]
)
Json = dict[str, Any]


@dataclass(slots=True)
class Payment:
    """Money that came for a charge."""

    uuid: str
    amount: int
    issuer: str
    receipt: str
    paid_at: datetime


@dataclass(slots=True)
class Refund:
    """Money that went back, or is about to."""

    id: str
    reference: str
    amount: int
    reason: str
    status: str
    asked_at: datetime


@dataclass(slots=True)
class Charge:
    """One line of the book. `api` is `v3`, `v2` or `qr`."""

    api: str
    id: str
    reference: str
    amount: int
    created_at: datetime
    expires_at: datetime
    status: str
    payments: list[Payment] = field(default_factory=list)
    refunds: list[Refund] = field(default_factory=list)

    @property
    def paid(self) -> int:
        return sum(payment.amount for payment in self.payments)

    @property
    def held_back(self) -> int:
        """Rupiah that went back or are on their way."""
        return sum(refund.amount for refund in self.refunds if refund.status in ("PENDING", "SUCCEEDED"))


@dataclass(frozen=True, slots=True)
class Webhook:
    """One webhook waiting to be sent."""

    url: str
    body: Json
    id: str


class FakeXendit(FakeProvider[Webhook]):
    """As `FakeProvider`; webhooks go to what the merchant has pasted in the dashboard.

    `book` holds the latest charge of each reference, `charges` all of them: references may be used twice."""

    intervals_s = (900, 2700, 7200, 10_800, 21_600, 43_200)

    def __init__(self, secret_key: str = "xnd_development_fake", webhook_token: str = "WHTOKEN-fake") -> None:
        super().__init__()
        self.secret_key = secret_key
        self.webhook_token = webhook_token
        self.book: dict[str, Charge] = {}
        self.charges: dict[str, Charge] = {}
        self.refundable = {"DANA", "OVO", "GOPAY", "SHOPEEPAY"}
        self.balance = 1_000_000_000
        self.lists_qr_payments = True
        self.notes_late_payments = False  # whether a closed request names a payment that came afterwards
        self.stand_in_text = False  # whether test mode gives a text in place of a QRIS
        self._refund_keys: dict[str, tuple[bytes, Refund]] = {}

    # What happens at Xendit's side

    def pay(self, reference: str, *, amount: int | None = None, issuer: str = "DANA") -> None:
        """The payer pays, whatever state the QR is in: a closed request stays closed, though the money came."""
        charge = self.book[reference]
        payment = Payment(str(uuid4()), amount or charge.amount, issuer, f"{random.randrange(10**12):012d}", self.now)
        charge.payments.append(payment)
        if charge.api == "qr":
            charge.status = "INACTIVE"
        elif charge.status not in _CLOSED:
            charge.status = "SUCCEEDED"
        self._notify(self.webhook(charge))

    def change(self, reference: str, status: str) -> None:
        """Any other change of status, and its webhook where there is one."""
        charge = self.book[reference]
        charge.status = status
        if charge.api == "v3" and status in _EVENTS:
            self._notify(_envelope(_EVENTS[status], self._request_v3(charge) | {"payment_id": None}, self.now))

    def refund(self, reference: str, amount: int, key: str = "refund-1") -> None:
        """The merchant gives money back in the dashboard."""
        charge = self.book[reference]
        refund = Refund(f"rfd-{uuid4()}", key, amount, "REQUESTED_BY_CUSTOMER", "PENDING", self.now)
        charge.refunds.append(refund)
        self.finish_refund(charge, refund)

    def finish_refund(self, charge: Charge, refund: Refund, status: str = "SUCCEEDED") -> None:
        """A refund arrives, or fails."""
        refund.status = status
        event = "refund.succeeded" if status == "SUCCEEDED" else "refund.failed"
        self._notify(_envelope(event, self._refund_object(charge, refund), self.now))

    # Webhooks

    async def post(self, client: httpx.AsyncClient, waiting: Webhook) -> httpx.Response:
        """Send one webhook with the token of the account."""
        headers = {"x-callback-token": self.webhook_token, "webhook-id": waiting.id}
        return await client.post(waiting.url, json=waiting.body, headers=headers)

    def webhook(self, charge: Charge) -> Json:
        """What tells of the latest payment of a charge, in the words of its API."""
        payment = charge.payments[-1]
        match charge.api:
            case "v3":
                return _envelope("payment.capture", self._payment_v3(charge, payment), self.now) | {"api_version": "v3"}
            case "v2":
                return _envelope("payment.succeeded", self._payment_v2(charge, payment), self.now)
            case _:
                body = _envelope("qr.payment", self._payment_qr(charge, payment), self.now)
                return body | {"api_version": "2022-07-31"}

    def webhook_of_qr_v1(self, charge: Charge) -> Json:
        """The same in the words of the oldest generation."""
        payment = charge.payments[-1]
        code = {"id": charge.id, "external_id": charge.reference, "qr_string": self.payload(charge), "type": "DYNAMIC"}
        return {
            "event": "qr.payment",
            "id": f"qrpy_{payment.uuid}",
            "amount": payment.amount,
            "status": "COMPLETED",
            "created": _utc(payment.paid_at),
            "qr_code": {**code, "metadata": None},
            "payment_details": {"source": payment.issuer, "receipt_id": payment.receipt},
        }

    def _notify(self, body: Json) -> None:
        if self.notify_url is not None:
            self.outbox.append(Webhook(self.notify_url, body, str(uuid4())))

    # The API

    async def answer(self, request: Request, action: str, step: Step) -> Reply:
        """As every fake; each answer has a number."""
        reply = await super().answer(request, action, step)
        return Reply(reply.status, reply.body, {"Request-Id": str(uuid4()), **reply.headers})

    def action(self, request: Request) -> str:
        """The name a script uses for this request."""
        parts = request.path.removeprefix("/v3").strip("/").split("/")
        match request.method, parts:
            case "POST", ["payment_requests" | "qr_codes"]:
                return "charge"
            case "GET", ["payment_requests"]:
                return "list"
            case "GET", ["payment_requests" | "qr_codes", _]:
                return "status"
            case "GET", ["payments", _]:
                return "payment"
            case "GET", ["transactions" | "balance" | "refunds" as noun, *_]:
                return noun
            case "POST", ["refunds"]:
                return "refund"
            case _:
                return parts[-1]  # cancel, simulate, payments

    def work(self, request: Request, action: str) -> Reply:
        """Do what is asked and say so."""
        if request.headers.get("authorization") != f"Basic {b64encode(f'{self.secret_key}:'.encode()).decode()}":
            return _error(401, "INVALID_API_KEY", "API key format is invalid")
        match action:
            case "charge":
                return self._charge(request)
            case "list":
                wanted = request.query.get("reference_id", [])
                found = [
                    charge for charge in self.charges.values() if charge.api == "v2" and charge.reference in wanted
                ]
                return Reply.json(200, {"data": [self._request_v2(charge) for charge in found], "has_more": False})
            case "transactions":
                return self._transactions(request)
            case "balance":
                return Reply.json(200, {"balance": self.balance})
            case "payment":
                return self._payment(request.path.rsplit("/", 1)[1])
            case "refund":
                return self._refund(request)
            case "refunds":
                return self._refunds(request)
        return self._on_charge(request, action)

    def _on_charge(self, request: Request, action: str) -> Reply:
        parts = request.path.removeprefix("/v3").split("/")
        charge = self.charges.get(parts[2]) if len(parts) > 2 else None
        if charge is None or (charge.api == "qr") is not (_api(request) == "qr"):
            return _error(404, "DATA_NOT_FOUND", "Data not found")
        match action:
            case "status":
                return Reply.json(200, self._shown(charge))
            case "cancel":
                if charge.status in _CLOSED:
                    return _error(400, "INACTIVE_PAYMENT_REQUEST", "Payment request is not active")
                charge.status = "CANCELED"
                return Reply.json(200, self._shown(charge))
            case "simulate":
                self.pay(charge.reference, amount=request.json().get("amount") if request.body else None)
                return Reply.json(200, {"status": "PENDING", "message": "You will receive a webhook."})
            case "payments" if self.lists_qr_payments:
                return Reply.json(200, {"data": [self._payment_qr(charge, each) for each in charge.payments]})
        return _error(404, "DATA_NOT_FOUND", "Data not found")

    def _charge(self, request: Request) -> Reply:
        api = _api(request)
        try:
            body = request.json()
            amount = body["request_amount" if api == "v3" else "amount"]
            reference = body["reference_id"]
            refusal = _charge_refusal(api, body, amount, reference)
            if refusal is not None:
                return _error(400, "API_VALIDATION_ERROR", refusal)
        except (ValueError, KeyError, TypeError):
            return _error(400, "API_VALIDATION_ERROR", "There was an error with the format submitted to the server.")
        prefix, status = ("qr_", "ACTIVE") if api == "qr" else ("pr-", "PENDING" if api == "v2" else "REQUIRES_ACTION")
        charge = Charge(
            api=api,
            id=f"{prefix}{uuid4()}",
            reference=reference,
            amount=int(amount),
            created_at=self.now,
            expires_at=self._expiry(api, body),
            status=status,
        )
        self.book[reference] = self.charges[charge.id] = charge
        return Reply.json(201, self._shown(charge))

    def _expiry(self, api: str, body: Json) -> datetime:
        """Only QR codes end when they are told to."""
        given = body.get("expires_at") if api == "qr" else None
        return datetime.fromisoformat(given) if given else self.now + _LIFE

    def _payment(self, payment_id: str) -> Reply:
        for charge in self.charges.values():
            for payment in charge.payments:
                if charge.api == "v3" and payment_id == f"py-{payment.uuid}":
                    return Reply.json(200, self._payment_v3(charge, payment))
        return _error(404, "DATA_NOT_FOUND", "Data not found")

    def _transactions(self, request: Request) -> Reply:
        if not set(request.query) <= _TRANSACTION_FILTERS:
            return _error(400, "API_VALIDATION_ERROR", "unknown query")
        limit = float(request.query.get("limit", ["10"])[0])
        if not 1 <= limit <= 50:
            return _error(400, "API_VALIDATION_ERROR", "limit must be from 1 to 50")
        wanted = request.query.get("reference_id")
        rows = [
            self._transaction(charge, payment)
            for charge in self.charges.values()
            for payment in charge.payments
            if wanted is None or charge.reference in wanted
        ]
        shown = rows[: int(limit)]
        return Reply.json(200, {"has_more": len(rows) > len(shown), "data": shown, "links": []})

    def _refund(self, request: Request) -> Reply:
        body, key = request.json(), request.headers.get("idempotency-key", str(uuid4()))
        charge = self.charges.get(body.get("payment_request_id", ""))
        if charge is None:
            return _error(404, "DATA_NOT_FOUND", "Data not found")
        stored, earlier = self._refund_keys.get(key, (b"", None))
        if earlier is not None:
            same = stored == request.body
            shown = Reply.json(200, self._refund_object(charge, earlier))
            return shown if same else _error(409, "DUPLICATE_ERROR", "The key was used with another body")
        amount = int(body.get("amount", charge.paid - charge.held_back))
        refusal = self._refund_refusal(charge, amount, body.get("reason"))
        if refusal is not None:
            return refusal
        refund = Refund(f"rfd-{uuid4()}", body.get("reference_id"), amount, body["reason"], "PENDING", self.now)
        charge.refunds.append(refund)
        self._refund_keys[key] = (request.body, refund)
        return Reply.json(200, self._refund_object(charge, refund))

    def _refund_refusal(self, charge: Charge, amount: int, reason: Any) -> Reply | None:
        if reason not in _REASONS:
            return _error(400, "API_VALIDATION_ERROR", "reason is not one of the known ones")
        if not charge.payments:
            return _error(400, "INELIGIBLE_TRANSACTION_STATUS", "The payment request has not been paid")
        if charge.payments[-1].issuer not in self.refundable:
            return _error(403, "REFUND_NOT_SUPPORTED", "Refund is not supported for this channel")
        if any(refund.status == "PENDING" for refund in charge.refunds):
            return _error(400, "REFUND_IN_PROGRESS", "Another refund is being processed")
        if not 0 < amount <= charge.paid - charge.held_back:
            return _error(400, "REFUND_AMOUNT_EXCEEDED", "Refund amount exceeds the remaining amount")
        if amount > self.balance:
            return _error(400, "INSUFFICIENT_BALANCE", "Balance is not enough")
        return None

    def _refunds(self, request: Request) -> Reply:
        parts = request.path.split("/")
        known = [(charge, refund) for charge in self.charges.values() for refund in charge.refunds]
        if len(parts) > 2:
            for charge, refund in known:
                if refund.id == parts[2]:
                    return Reply.json(200, self._refund_object(charge, refund))
            return _error(404, "DATA_NOT_FOUND", "Data not found")
        wanted = request.query.get("payment_request_id")
        rows = [self._refund_object(*each) for each in known if wanted is None or each[0].id in wanted]
        after = request.query.get("after_id", [""])[0]
        start = next((index + 1 for index, row in enumerate(rows) if row["id"] == after), 0)
        end = start + int(float(request.query.get("limit", ["10"])[0]))
        return Reply.json(200, {"data": rows[start:end], "has_more": end < len(rows)})

    def settle_due(self) -> None:
        """What is due expires, and refunds on their way arrive."""
        for charge in self.charges.values():
            if charge.expires_at <= self.now and charge.status in ("REQUIRES_ACTION", "PENDING", "ACTIVE"):
                self.change(charge.reference, "INACTIVE" if charge.api == "qr" else "EXPIRED")
            for refund in charge.refunds:
                if refund.status == "PENDING" and refund.asked_at + _REFUND_TAKES <= self.now:
                    self.finish_refund(charge, refund)

    # Objects

    def _shown(self, charge: Charge) -> Json:
        objects = {"v3": self._request_v3, "v2": self._request_v2, "qr": self._qr_code}
        return objects[charge.api](charge)

    def _request_v3(self, charge: Charge) -> Json:
        qr = {"type": "PRESENT_TO_CUSTOMER", "descriptor": "QR_STRING", "value": self.payload(charge)}
        body = {
            "payment_request_id": charge.id,
            "business_id": BUSINESS_ID,
            "reference_id": charge.reference,
            "type": "PAY",
            "country": "ID",
            "currency": "IDR",
            "request_amount": charge.amount,
            "capture_method": "AUTOMATIC",
            "channel_code": "QRIS",
            "channel_properties": {},
            "actions": [qr],
            "status": charge.status,
            "created": _utc(charge.created_at),
            "updated": _utc(self.now),
        }
        if charge.payments and (charge.status == "SUCCEEDED" or self.notes_late_payments):
            body["latest_payment_id"] = f"py-{charge.payments[-1].uuid}"
        return body

    def _payment_v3(self, charge: Charge, payment: Payment) -> Json:
        capture = {
            "capture_id": f"cptr-{payment.uuid}",
            "capture_amount": payment.amount,
            "capture_timestamp": _utc(payment.paid_at),
        }
        return {
            "payment_id": f"py-{payment.uuid}",
            "payment_request_id": charge.id,
            "business_id": BUSINESS_ID,
            "reference_id": charge.reference,
            "type": "PAY",
            "country": "ID",
            "currency": "IDR",
            "request_amount": charge.amount,
            "capture_method": "AUTOMATIC",
            "channel_code": "QRIS",
            "captures": [capture],
            "status": "SUCCEEDED",
            "payment_details": {"issuer_name": payment.issuer, "receipt_id": payment.receipt},
            "metadata": None,
            "created": _utc(payment.paid_at),
            "updated": _utc(payment.paid_at),
        }

    def _request_v2(self, charge: Charge) -> Json:
        return {
            "id": charge.id,
            "reference_id": charge.reference,
            "business_id": BUSINESS_ID,
            "currency": "IDR",
            "amount": charge.amount,
            "country": "ID",
            "status": charge.status,
            "payment_method": self._payment_method(charge),
            "actions": [],
            "metadata": None,
            "created": _utc(charge.created_at),
            "updated": _utc(self.now),
        }

    def _payment_method(self, charge: Charge) -> Json:
        properties = {"qr_string": self.payload(charge), "expires_at": _utc(charge.expires_at)}
        return {
            "id": f"pm-{charge.id.removeprefix('pr-')}",
            "type": "QR_CODE",
            "reusability": "ONE_TIME_USE",
            "status": "ACTIVE",
            "qr_code": {"channel_code": "QRIS", "channel_properties": properties},
        }

    def _payment_v2(self, charge: Charge, payment: Payment) -> Json:
        return {
            "id": f"py-{payment.uuid}",
            "payment_request_id": charge.id,
            "reference_id": charge.reference,
            "currency": "IDR",
            "amount": payment.amount,
            "country": "ID",
            "status": "SUCCEEDED",
            "payment_method": self._payment_method(charge),
            "payment_detail": {"source": payment.issuer, "receipt_id": payment.receipt},
            "created": _utc(payment.paid_at),
            "updated": _utc(payment.paid_at),
        }

    def _qr_code(self, charge: Charge) -> Json:
        return {
            "id": charge.id,
            "reference_id": charge.reference,
            "business_id": BUSINESS_ID,
            "type": "DYNAMIC",
            "currency": "IDR",
            "amount": charge.amount,
            "channel_code": "ID_DANA",
            "status": charge.status,
            "qr_string": self.payload(charge),
            "expires_at": _utc(charge.expires_at),
            "created": _utc(charge.created_at),
            "updated": _utc(self.now),
            "basket": None,
            "metadata": None,
        }

    def _payment_qr(self, charge: Charge, payment: Payment) -> Json:
        receipt = {"receipt_id": payment.receipt, "source": payment.issuer, "name": None, "account_details": None}
        return {
            "id": f"qrpy_{payment.uuid}",
            "business_id": BUSINESS_ID,
            "currency": "IDR",
            "amount": payment.amount,
            "status": "SUCCEEDED",
            "created": _utc(payment.paid_at),
            "qr_id": charge.id,
            "qr_string": self.payload(charge),
            "reference_id": charge.reference,
            "type": "DYNAMIC",
            "channel_code": "ID_DANA",
            "expires_at": _utc(charge.expires_at),
            "description": "",
            "basket": None,
            "metadata": None,
            "payment_detail": receipt,
        }

    def _refund_object(self, charge: Charge, refund: Refund) -> Json:
        payment_id = f"py-{charge.payments[-1].uuid}" if charge.payments else ""
        body = {
            "id": refund.id,
            "payment_request_id": charge.id,
            "payment_id": payment_id,
            "invoice_id": None,
            "amount": refund.amount,
            "currency": "IDR",
            "channel_code": "QRIS",
            "status": refund.status,
            "reason": refund.reason,
            "reference_id": refund.reference,
            "failure_code": "REFUND_FAILED" if refund.status == "FAILED" else None,
            "refund_fee_amount": None,
            "metadata": None,
            "created": _utc(refund.asked_at),
            "updated": _utc(self.now),
        }
        return body | ({"payment_method_type": "QR_CODE", "country": "ID"} if charge.api == "v2" else {})

    def _transaction(self, charge: Charge, payment: Payment) -> Json:
        of_request = {"capture_id": f"cptr-{payment.uuid}", "payment_request_id": charge.id}
        return {
            "id": f"txn_{payment.uuid}",
            "product_id": payment.uuid if charge.api == "qr" else f"py-{payment.uuid}",
            "type": "PAYMENT",
            "status": "SUCCESS",
            "channel_category": "QR_CODE",
            "channel_code": "QRIS",
            "reference_id": charge.reference,
            "account_identifier": None,
            "currency": "IDR",
            "amount": payment.amount,
            "net_amount": payment.amount,
            "net_amount_currency": "IDR",
            "cashflow": "MONEY_IN",
            "settlement_status": "PENDING",
            "estimated_settlement_time": _utc(payment.paid_at + timedelta(days=2)),
            "business_id": BUSINESS_ID,
            "created": _utc(payment.paid_at),
            "updated": _utc(payment.paid_at),
            "fee": {
                "xendit_fee": 0,
                "value_added_tax": 0,
                "xendit_withholding_tax": 0,
                "third_party_withholding_tax": 0,
                "status": "PENDING",
            },
            "product_data": {} if charge.api == "qr" else of_request,
        }

    def payload(self, charge: Charge) -> str:
        """A synthetic dynamic QRIS for the charge, its amount without decimals."""
        if self.stand_in_text:
            return "mock-QR-string-use-simulate-payment-to-test-flow"
        return dynamic_qris(
            acquirer=[("00", "CO.XENDIT.WWW"), ("01", "936008600000000001"), ("02", "00000001"), ("03", "UMI")],
            amount=str(charge.amount),
            name="Warung Contoh",
            place=("BANDUNG", "40111"),
            more=[("05", charge.id[-20:]), ("07", "A01")],
        )


def _api(request: Request) -> str:
    """Which generation a request speaks: the same address speaks another one without its version."""
    version = request.headers.get("api-version")
    if request.path.startswith("/qr_codes"):
        return "qr" if version == "2022-07-31" else "qr without version"
    if request.path.startswith("/v3/"):
        return "v3" if version == "2024-11-11" else "v3 without version"
    return "v2"


def _charge_refusal(api: str, body: Json, amount: Any, reference: Any) -> str | None:
    if not isinstance(amount, int | float) or not 1 <= amount <= _MAX_AMOUNT:
        return "amount must be from 1 to 10000000"
    if not isinstance(reference, str) or not 1 <= len(reference) <= 255:
        return "reference_id must have 1 to 255 characters"
    if api.endswith("without version"):
        return "this version needs another body"
    if api == "qr" and (body["type"], body["currency"], "callback_url" in body) != ("DYNAMIC", "IDR", False):
        return "type and currency must be DYNAMIC and IDR, and callback_url is not allowed"
    wanted = {"type": "PAY", "country": "ID", "currency": "IDR", "channel_code": "QRIS", "capture_method": "AUTOMATIC"}
    if api == "v3" and {name: body.get(name) for name in wanted} != wanted:
        return f"expected {wanted}"
    return None


def _envelope(event: str, data: Json, now: datetime) -> Json:
    return {"event": event, "business_id": BUSINESS_ID, "created": _utc(now), "data": data}


def _error(status: int, code: str, message: str) -> Reply:
    return Reply.json(status, {"error_code": code, "message": message})


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
