"""A NICEPAY of our own on loopback: V2 direct with its own book, and SNAP as a dialect of the SNAP bank.

Nothing of the product is used here, so that the two cannot share a mistake.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import parse_qsl, urlencode

import httpx

from tests.fakes.payload import dynamic_qris
from tests.fakes.provider import FakeProvider
from tests.fakes.server import Reply, Request
from tests.fakes.snap import Dialect, FakeSnap

WIB = timezone(timedelta(hours=7))
ACTIONS = {"registration": "charge", "inquiry": "status", "cancel": "cancel"}
PAID, REFUNDED, UNPAID, PROCESSING, EXPIRED, FAILED = "0", "2", "3", "4", "5", "6"
_WORDS = {PAID: "PAID", REFUNDED: "REFUND", UNPAID: "UNPAID", PROCESSING: "PROCESSING", EXPIRED: "EXPIRED"}
_DEFAULT_VALIDITY_S = 300
# Mandatory, and the code for one that is missing.
_MANDATORY = {
    "amt": "9007",
    "currency": "9013",
    "referenceNo": "9014",
    "goodsNm": "9015",
    "billingNm": "9016",
    "billingPhone": "9017",
    "billingEmail": "9018",
    "dbProcessUrl": "9020",
    "cartData": "9022",
    "billingCity": "9025",
    "billingState": "9026",
    "billingPostCd": "9027",
    "billingCountry": "9028",
}
SNAP = Dialect(
    base="/nicepay",
    qr_path="/api/v1.0/qr",
    unsigned="/nicepay",
    needed=("partnerReferenceNo", "amount", "merchantId", "storeId"),
    needed_info=(
        *("goodsNm", "billingNm", "billingPhone", "billingEmail", "billingCity", "billingState", "billingPostCd"),
        *("billingCountry", "dbProcessUrl", "userIP", "cartData", "mitraCd"),
    ),
    needed_refund_info=("cancelType",),
    refund_id_name="referenceNo",
    cancels=False,
    notify_scheme="rsa_clientid",
)


def snap_nicepay(imid: str = "TESTMID001", client_secret: str = "test-nicepay-secret-0001") -> FakeSnap:
    """NICEPAY as accounts with SNAP keys see it: the iMid is client and merchant."""
    return FakeSnap(SNAP, client_id=imid, client_secret=client_secret, merchant_id=imid)


@dataclass(slots=True)
class Order:
    """One line of the book."""

    reference: str
    amount: int
    trx_id: str
    created_at: datetime
    expires_at: datetime
    notify_url: str
    goods: str
    status: str = UNPAID
    paid_at: datetime | None = None
    refunded: int = 0

    @property
    def changed_at(self) -> datetime:
        return self.paid_at or self.created_at


@dataclass(frozen=True, slots=True)
class Notification:
    """One notification waiting to be sent."""

    url: str
    body: dict[str, str]


class FakeNicepay(FakeProvider[Notification]):
    """As `FakeProvider`; `notify_url` counts instead of what an order says. Scripts name the actions `charge`, `status`
    and `cancel`."""

    intervals_s = (60, 60)

    def __init__(self, imid: str = "TESTMID001", merchant_key: str = "test-merchant-key-0001") -> None:
        super().__init__()
        self.imid = imid
        self.merchant_key = merchant_key
        self.book: dict[str, Order] = {}
        self.finds_by_reference = False  # whether an inquiry may leave out the tXid

    @property
    def url(self) -> str:
        """What to set as `base_url`."""
        return f"{super().url}/nicepay"

    # What happens at NICEPAY's side

    def pay(self, reference: str) -> None:
        """The payer pays, whatever state the QR is in: real money is not stopped by a status."""
        order = self.book[reference]
        order.paid_at = self.now
        self.change(reference, PAID)

    def change(self, reference: str, status: str) -> None:
        """Any other change of status (a digit); money and its reversal are notified, nothing else is."""
        order = self.book[reference]
        order.status = status
        if status in (PAID, REFUNDED):
            self.outbox.append(Notification(self.notify_url or order.notify_url, self.notification(order)))

    def refund(self, reference: str, amount: int) -> None:
        """Give money back."""
        self.book[reference].refunded += amount
        self.change(reference, REFUNDED)

    # Notifications

    async def post(self, client: httpx.AsyncClient, waiting: Notification) -> httpx.Response:
        """Send one notification as a form."""
        headers = {"User-Agent": "Jakarta Commons-HttpClient/3.1", "Content-Type": "application/x-www-form-urlencoded"}
        return await client.post(waiting.url, content=urlencode(waiting.body), headers=headers)

    def notification(self, order: Order, **changes: str) -> dict[str, str]:
        """What a notification about the present state looks like. `changes` are lies: the token, over id and amount, is
        not made anew."""
        return {
            "tXid": order.trx_id,
            "merchantToken": self.token(self.imid, order.trx_id, str(order.amount)),
            "referenceNo": order.reference,
            "payMethod": "08",
            "amt": str(order.amount),
            "transDt": _day(order.changed_at),
            "transTm": _time(order.changed_at),
            "currency": "IDR",
            "goodsNm": order.goods,
            "billingNm": "Budi Santoso",
            "matchCl": "1",
            "status": "1" if order.status == REFUNDED else "0",
            "mitraCd": "QSHP",
            "shopId": "NICEPAY",
            "paymentTrxSn": "000000000001",
            "userId": "",
            **changes,
        }

    def token(self, *parts: str) -> str:
        """SHA-256 over the parts and the merchant key, hex."""
        return hashlib.sha256("".join([*parts, self.merchant_key]).encode()).hexdigest()

    # The API

    def action(self, request: Request) -> str:
        """The name a script uses for this request."""
        prefix, _, verb = request.path.rpartition("/")
        return ACTIONS.get(verb, "unknown") if prefix == "/nicepay/direct/v2" else "unknown"

    def work(self, request: Request, action: str) -> Reply:
        """Do what is asked and say so."""
        try:
            body = _members(request)
        except ValueError:
            return _error("9001", "Failed to register your order. Please check your HTTP Message.")
        match action:
            case "charge":
                return self._charge(body)
            case "status":
                return self._status(body)
            case "cancel":
                return self._cancel(body)
        return Reply(404, b"<html>Not Found</html>", {"Content-Type": "text/html"})

    def _refused(self, body: dict[str, str], signed: str) -> Reply | None:
        if body.get("iMid") != self.imid:
            return _error("9011", "Invalid MID, Merchant is not registered.")
        expected = self.token(body.get("timeStamp", ""), self.imid, body.get(signed, ""), body.get("amt", ""))
        if body.get("merchantToken") != expected:
            return _error("9010", "Invalid Merchant Token.")
        if len(body.get("timeStamp", "")) != 14:
            return _error("9031", "Date/Time check.")
        return None

    def _charge(self, body: dict[str, str]) -> Reply:
        refusal = self._refused(body, "referenceNo") or _invalid(body)
        if refusal is not None:
            return refusal
        if body["referenceNo"] in self.book:
            return _error("9009", "Reference Number already exist. Please generate unique [referenceNo].")
        expires_at = _moment(body) or self.now + timedelta(seconds=_DEFAULT_VALIDITY_S)
        if not 295 <= (expires_at - self.now).total_seconds() <= 1205:
            return _error("9031", "Date/Time check.")
        order = self._entered(body, expires_at)
        self.book[order.reference] = order
        return Reply.json(200, self._registered(order))

    def _entered(self, body: dict[str, str], expires_at: datetime) -> Order:
        stamp = _day(self.now) + _time(self.now)
        return Order(
            reference=body["referenceNo"],
            amount=int(body["amt"]),
            trx_id=f"{self.imid}08{stamp}{len(self.book) + 1:04d}",
            created_at=self.now,
            expires_at=expires_at,
            notify_url=body["dbProcessUrl"],
            goods=body["goodsNm"],
        )

    def _registered(self, order: Order) -> dict[str, Any]:
        return {
            **self._facts(order),
            "resultMsg": "SUCCESS",
            "transDt": _day(order.created_at),
            "transTm": _time(order.created_at),
            "paymentExpDt": _day(order.expires_at),
            "paymentExpTm": _time(order.expires_at),
            "qrContent": self.payload(order),
            "qrUrl": f"https://example.invalid/qr/{order.trx_id}",
        }

    def _status(self, body: dict[str, str]) -> Reply:
        refusal = self._refused(body, "referenceNo")
        if refusal is not None:
            return refusal
        order = self._found(body)
        if order is None:
            return _error("9501", "Invalid transaction number.")
        answer = {
            **self._facts(order),
            "resultMsg": _WORDS.get(order.status, "FAILED"),
            "iMid": self.imid,
            "cancelAmt": str(order.refunded) if order.refunded else None,
            "reqDt": _day(order.created_at),
            "reqTm": _time(order.created_at),
            "transDt": _day(order.changed_at),
            "transTm": _time(order.changed_at),
            "depositDt": None,
            "depositTm": None,
            "status": order.status,
        }
        return Reply.json(200, answer)

    def _cancel(self, body: dict[str, str]) -> Reply:
        refusal = self._refused(body, "tXid")
        if refusal is not None:
            return refusal
        order = self._found(body)
        if order is None:
            return _error("9501", "Invalid transaction number.")
        if order.status in (UNPAID, PROCESSING):
            order.status = EXPIRED
            return Reply.json(200, self._cancelled(order, body["amt"]))
        return self._give_back(order, body)

    def _give_back(self, order: Order, body: dict[str, str]) -> Reply:
        amount = int(body["amt"])
        if order.status not in (PAID, REFUNDED):
            return _error("9314", "This transaction cannot be cancelled.")
        if body.get("cancelType") not in ("1", "2"):
            return _error("9301", "Invalid cancel type.")
        if order.refunded == order.amount:
            return _error("9315", "Already cancelled.")
        if amount > order.amount - order.refunded or (body["cancelType"] == "1" and amount != order.amount):
            return _error("9319", "Cancel amount is larger than the original.")
        self.refund(order.reference, amount)
        return Reply.json(200, self._cancelled(order, body["amt"]))

    def _cancelled(self, order: Order, amount: str) -> dict[str, Any]:
        return {
            "resultCd": "0000",
            "resultMsg": "SUCCESS",
            "tXid": order.trx_id,
            "canceltXid": f"{self.imid}08{_day(self.now)}{_time(self.now)}9001",
            "referenceNo": order.reference,
            "transDt": _day(self.now),
            "transTm": _time(self.now),
            "amt": amount,
        }

    def _facts(self, order: Order) -> dict[str, Any]:
        return {
            "resultCd": "0000",
            "tXid": order.trx_id,
            "referenceNo": order.reference,
            "payMethod": "08",
            "amt": str(order.amount),
            "currency": "IDR",
            "goodsNm": order.goods,
            "billingNm": "Budi Santoso",
            "mitraCd": "QSHP",
        }

    def _found(self, body: dict[str, str]) -> Order | None:
        order = self.book.get(body.get("referenceNo", ""))
        if order is None:
            return None
        wanted = body.get("tXid") or (order.trx_id if self.finds_by_reference else "")
        return order if order.trx_id == wanted else None

    def payload(self, order: Order) -> str:
        """A synthetic dynamic QRIS for the order."""
        return dynamic_qris(
            acquirer=[("00", "COM.EXAMPLE.WWW"), ("01", "936009990000000001"), ("02", "1"), ("03", "UMI")],
            amount=f"{order.amount}.00",
            name="Warung Contoh",
            place=("JAKARTA", "10110"),
            more=[("05", order.trx_id[-20:]), ("07", "A01")],
        )

    def settle_due(self) -> None:
        """What is due expires."""
        for order in self.book.values():
            if order.status == UNPAID and order.expires_at <= self.now:
                order.status = EXPIRED


def _members(request: Request) -> dict[str, str]:
    """The request's members as text, JSON or form; a JSON number is hashed as its digits."""
    if "json" in request.headers.get("content-type", "").lower():
        return {name: "" if value is None else str(value) for name, value in request.json().items()}
    return dict(parse_qsl(request.body.decode(), keep_blank_values=True))


def _invalid(body: dict[str, str]) -> Reply | None:
    missing = next((code for name, code in _MANDATORY.items() if not body.get(name)), None)
    if missing is not None:
        return _error(missing, "Undefined. Please check your request parameter.")
    if not body["amt"].isdigit():
        return _error("9008", "Invalid Request Amount. Amount should only number and do not includes decimal.")
    if len(body["referenceNo"]) > 40:
        return _error("9109", "Reference Number Maximum Length Exceed.")
    if (body.get("payMethod"), body.get("mitraCd")) != ("08", "QSHP"):
        return _error("9012", "This Payment method is currently not activated.")
    return _wrong_cart(body)


def _wrong_cart(body: dict[str, str]) -> Reply | None:
    try:
        items = json.loads(body["cartData"])["item"]
        total = sum(int(item["goods_amt"]) * int(item["goods_quantity"]) for item in items)
    except (ValueError, KeyError, TypeError):
        return _error("9022", "Invalid Cart Data. Make sure you send valid JSON format.")
    return None if total == int(body["amt"]) else _error("9023", "Amount is different with Cart Data total amount.")


def _moment(body: dict[str, str]) -> datetime | None:
    text = body.get("paymentExpDt", "") + body.get("paymentExpTm", "")
    return datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=WIB) if text else None


def _error(code: str, message: str) -> Reply:
    return Reply.json(200, {"resultCd": code, "resultMsg": message})


def _day(moment: datetime) -> str:
    return moment.astimezone(WIB).strftime("%Y%m%d")


def _time(moment: datetime) -> str:
    return moment.astimezone(WIB).strftime("%H%M%S")
