"""A NICEPAY of our own on loopback: V2 direct with its own book, and SNAP as a dialect of the SNAP bank.

Nothing of the product is used here, so that the two cannot share a mistake.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from urllib.parse import parse_qsl, urlencode

import httpx

from tests.fakes.script import NO_EFFECT, Script
from tests.fakes.server import LoopbackServer, Reply, Request
from tests.fakes.snap import Dialect, FakeSnap
from tests.fakes.wire import spoiled

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
_RETRIES = 3
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


class FakeNicepay:
    """Start it, point the adapter's `base_url` at `url`, and be the bank: `pay()`, `advance()`, `deliver()`.

    Scripts name the actions `charge`, `status` and `cancel`."""

    def __init__(self, imid: str = "TESTMID001", merchant_key: str = "test-merchant-key-0001") -> None:
        self.imid = imid
        self.merchant_key = merchant_key
        self.script = Script()
        self.book: dict[str, Order] = {}
        self.calls: list[Request] = []
        self.outbox: deque[Notification] = deque()
        self.notify_url: str | None = None  # instead of what an order says
        self.finds_by_reference = False  # whether an inquiry may leave out the tXid
        self._offset = timedelta(0)
        self._server = LoopbackServer(self._handle)

    @property
    def url(self) -> str:
        """What to set as `base_url`."""
        return f"{self._server.url}/nicepay"

    @property
    def now(self) -> datetime:
        """The fake's own clock."""
        return datetime.now(UTC) + self._offset

    async def start(self) -> None:
        """Begin to listen."""
        await self._server.start()

    async def stop(self) -> None:
        """Drop every connection and stop."""
        await self._server.stop()

    # What happens at NICEPAY's side

    def advance(self, seconds: float) -> None:
        """Move the fake's clock; what is due expires."""
        self._offset += timedelta(seconds=seconds)
        self._expire_due()

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

    async def deliver(self, *, copies: int = 1, shuffle_seed: int | None = None, time_scale: float = 0.0) -> list[int]:
        """Send everything in the outbox; `time_scale` 1 keeps a minute between tries. Returns every status that came
        back, in order."""
        waiting = [notification for notification in self.outbox for _ in range(copies)]
        self.outbox.clear()
        if shuffle_seed is not None:
            random.Random(shuffle_seed).shuffle(waiting)
        async with httpx.AsyncClient(trust_env=False, timeout=15) as client:
            return [status for each in waiting for status in await _deliver(client, each, time_scale)]

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

    async def _handle(self, request: Request) -> Reply:
        self.calls.append(request)
        self._expire_due()
        step = self.script.take(_action(request))
        await asyncio.sleep(step.delay_s)
        if step.reply is not None or step.fault in NO_EFFECT:
            return spoiled(step.reply or Reply(), step.fault, step.seconds)
        reply = self._work(request)
        if step.fields:
            body = {**json.loads(reply.body), **step.fields}
            reply = Reply.json(reply.status, {name: value for name, value in body.items() if value is not None})
        return spoiled(reply, step.fault, step.seconds)

    def _work(self, request: Request) -> Reply:
        try:
            body = _members(request)
        except ValueError:
            return _error("9001", "Failed to register your order. Please check your HTTP Message.")
        match _action(request):
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
        fields = [
            ("00", "01"),
            ("01", "12"),
            ("26", _tlv([("00", "COM.EXAMPLE.WWW"), ("01", "936009990000000001"), ("02", "1"), ("03", "UMI")])),
            ("51", _tlv([("00", "ID.CO.QRIS.WWW"), ("02", "ID1020000000001"), ("03", "UMI")])),
            ("52", "5812"),
            ("53", "360"),
            ("54", f"{order.amount}.00"),
            ("58", "ID"),
            ("59", "Warung Contoh"),
            ("60", "JAKARTA"),
            ("61", "10110"),
            ("62", _tlv([("05", order.trx_id[-20:]), ("07", "A01")])),
        ]
        unsigned = _tlv(fields) + "6304"
        return f"{unsigned}{_crc16(unsigned.encode()):04X}"

    def _expire_due(self) -> None:
        for order in self.book.values():
            if order.status == UNPAID and order.expires_at <= self.now:
                order.status = EXPIRED


async def _deliver(client: httpx.AsyncClient, notification: Notification, time_scale: float) -> list[int]:
    """Form-encoded, again until the answer is 2xx."""
    statuses: list[int] = []
    headers = {"User-Agent": "Jakarta Commons-HttpClient/3.1", "Content-Type": "application/x-www-form-urlencoded"}
    while len(statuses) < _RETRIES and (not statuses or statuses[-1] // 100 != 2):
        await asyncio.sleep(60 * time_scale if statuses else 0)
        try:
            answer = await client.post(notification.url, content=urlencode(notification.body), headers=headers)
            statuses.append(answer.status_code)
        except httpx.HTTPError:
            statuses.append(0)
    return statuses


def _action(request: Request) -> str:
    """The name a script uses for this request."""
    prefix, _, verb = request.path.rpartition("/")
    return ACTIONS.get(verb, "unknown") if prefix == "/nicepay/direct/v2" else "unknown"


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


def _tlv(fields: list[tuple[str, str]]) -> str:
    return "".join(f"{tag}{len(value):02d}{value}" for tag, value in fields)


def _crc16(data: bytes) -> int:
    """CRC-16/CCITT-FALSE."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc
