"""A SNAP BI bank of our own on loopback: token, generate, query, cancel, refund and signed notifications, with its own
book, in whatever `Dialect` it is told to speak, and misbehaving on demand.

Nothing of the product is used here, so that the two cannot share a mistake.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import httpx
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from tests.fakes.payload import dynamic_qris
from tests.fakes.provider import FakeProvider
from tests.fakes.server import Reply, Request

Json = dict[str, Any]
WIB = timezone(timedelta(hours=7))
_SERVICE = {"token": "73", "charge": "47", "status": "51", "cancel": "77", "refund": "78"}
_LEAF = {
    "qr-mpm-generate": "charge",
    "qr-mpm-query": "status",
    "qr-mpm-cancel": "cancel",
    "qr-mpm-refund": "refund",
}
_WORDS = {"00": "Success", "03": "Pending", "04": "Refunded", "05": "Canceled", "06": "Failed"}


@cache
def key(owner: str) -> rsa.RSAPrivateKey:
    """A throw-away key per owner, made once in a test run."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def private_pem(owner: str) -> bytes:
    return key(owner).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def public_pem(owner: str) -> bytes:
    return key(owner).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """What this bank does its own way. `base` stands before everything and is part of `url`; `unsigned` is what it
    leaves off the front of a path when it checks a signature."""

    base: str = ""
    token_path: str = "/v1.0/access-token/b2b"
    qr_path: str = "/v1.0/qr"
    unsigned: str = ""
    expires_in: Any = "900"
    one_token_only: bool = False
    minifies: bool = True
    answers_number_amounts: bool = False
    expired_status: str = "05"
    shows_expired_as_missing: bool = False
    refund_id_name: str = "refundNo"
    needed: tuple[str, ...] = ("partnerReferenceNo", "amount", "merchantId")
    needed_info: tuple[str, ...] = ()
    needed_refund_info: tuple[str, ...] = ()
    cancels: bool = True
    refunds: bool = True
    notify_scheme: str = "hmac_token"
    # The path it signs for a notification; the address's own when None.
    notify_signs: str | None = None
    acquirer: str = "COM.EXAMPLE.WWW"


@dataclass(slots=True)
class QrCode:
    """One line of the book."""

    reference: str
    amount: int
    created_at: datetime
    expires_at: datetime
    request: Json
    status: str = "03"
    paid_at: datetime | None = None
    paid_amount: int = 0
    refunds: dict[str, Json] = field(default_factory=dict)
    id: str = field(default_factory=lambda: f"REF-{secrets.token_hex(8).upper()}")
    rrn: str = field(default_factory=lambda: f"{secrets.randbelow(10**12):012d}")
    approval_code: str = field(default_factory=lambda: f"A{secrets.randbelow(10**5):05d}")

    @property
    def refunded(self) -> int:
        """Rupiah given back so far."""
        return sum(each["amount"] for each in self.refunds.values())


class _Refused(Exception):
    def __init__(self, status: int, case: str, message: str) -> None:
        super().__init__(message)
        self.status, self.case, self.message = status, case, message


class FakeSnap(FakeProvider[Json]):
    """As `FakeProvider`, in its `dialect`. The merchant signs with `key("merchant")`, the bank with `key("bank")`."""

    def __init__(
        self,
        dialect: Dialect | None = None,
        *,
        client_id: str = "TEST-CLIENT-0001",
        client_secret: str = "test-client-secret-0001",
        merchant_id: str = "MCH0001",
    ) -> None:
        super().__init__()
        self.dialect = dialect or Dialect()
        self.client_id = client_id
        self.client_secret = client_secret
        self.merchant_id = merchant_id
        self.book: dict[str, QrCode] = {}
        self.tokens: dict[str, datetime] = {}
        self._external_ids: set[str] = set()

    @property
    def url(self) -> str:
        """What to set as `base_url`."""
        return super().url + self.dialect.base

    # What happens at the bank's side

    def settle_due(self) -> None:
        """What is due expires, silently, as it does at banks."""
        for qr in self.book.values():
            if qr.status == "03" and qr.expires_at <= self.now:
                qr.status = self.dialect.expired_status

    def pay(self, reference: str, amount: int | None = None) -> None:
        """The payer pays, whatever state the QR is in."""
        qr = self.book[reference]
        qr.paid_at = self.now
        qr.paid_amount = qr.amount if amount is None else amount
        self.change(reference, "00")

    def change(self, reference: str, status: str) -> None:
        """Any other change of status, and its notification."""
        self.book[reference].status = status
        self.outbox.append(self.notification(self.book[reference]))

    def refund(self, reference: str, amount: int, number: str = "refund-1") -> Json:
        """Give money back; the status says so once all of it went."""
        qr = self.book[reference]
        entry = {"amount": amount, "id": f"R_{secrets.token_hex(6)}", "at": _wib(self.now)}
        qr.refunds[number] = entry
        if qr.refunded >= qr.paid_amount:
            self.change(reference, "04")
        return entry

    # Notifications

    def notification(self, qr: QrCode) -> Json:
        """What a notification about the present state looks like."""
        info = {"rrn": qr.rrn, "customerName": "BUDI"} if qr.paid_at else {}
        return {
            "originalReferenceNo": qr.id,
            "originalPartnerReferenceNo": qr.reference,
            "latestTransactionStatus": qr.status,
            "transactionStatusDesc": _WORDS.get(qr.status, "Unknown"),
            "amount": self._money(qr.paid_amount or qr.amount),
            "additionalInfo": info,
        }

    async def post(self, client: httpx.AsyncClient, waiting: Json) -> httpx.Response:
        """Send one notification, signed, with a token of the merchant's where the dialect wants one."""
        assert self.notify_url is not None
        token = ""
        if self.dialect.notify_scheme == "hmac_token":
            asked = await client.post(
                f"{self.notify_url}/v1.0/access-token/b2b",
                headers=self.token_headers(),
                json={"grantType": "client_credentials"},
            )
            if asked.status_code != 200:
                return asked
            token = asked.json()["accessToken"]
        raw = json.dumps(waiting).encode()
        path = self.dialect.notify_signs or urlsplit(self.notify_url).path
        return await client.post(self.notify_url, headers=self.notify_headers(path, raw, token), content=raw)

    def token_headers(self, *, sent_at: str | None = None, signer: str = "bank") -> dict[str, str]:
        """What comes with the bank's request for a token of the merchant's."""
        when = sent_at or _wib(self.now)
        signature = _rsa(signer, f"{self.client_id}|{when}")
        return {"X-CLIENT-KEY": self.client_id, "X-TIMESTAMP": when, "X-SIGNATURE": signature}

    def notify_headers(
        self, path: str, body: bytes, token: str = "", *, sent_at: str | None = None, signer: str = "bank"
    ) -> dict[str, str]:
        """What comes with a notification, by the dialect's scheme; `body`'s white space counts."""
        when = sent_at or _wib(self.now)
        digest = hashlib.sha256(body).hexdigest()
        texts = {
            "hmac_token": f"POST:{path}:{token}:{digest}:{when}",
            "hmac_notoken": f"POST:{path}:{digest}:{when}",
            "hmac_emptytoken": f"POST:{path}::{digest}:{when}",
            "rsa_body": f"POST:{path}:{digest}:{when}",
            "rsa_clientid": f"{self.client_id}|{when}",
        }
        text = texts[self.dialect.notify_scheme]
        is_rsa = self.dialect.notify_scheme.startswith("rsa")
        signature = _rsa(signer, text) if is_rsa else _hmac(self.client_secret, text)
        bearer = {"Authorization": f"Bearer {token}"} if token else {}
        return {
            "Content-Type": "application/json",
            "X-CLIENT-KEY": self.client_id,
            "X-PARTNER-ID": self.client_id,
            "X-EXTERNAL-ID": f"{secrets.randbelow(10**20):020d}",
            "CHANNEL-ID": "95221",
            "X-TIMESTAMP": when,
            "X-SIGNATURE": signature,
            **bearer,
        }

    # The API

    def work(self, request: Request, action: str) -> Reply:
        """Do what is asked and say so, members without a value left out."""
        code = _SERVICE.get(action, "00")
        try:
            status, body = 200, self._done(request, action)
        except _Refused as refused:
            status = refused.status
            body = {"responseCode": f"{status}{code}{refused.case}", "responseMessage": refused.message}
        else:
            body = {"responseCode": f"200{code}00", "responseMessage": "Successful", **body}
        return Reply.json(status, {name: value for name, value in body.items() if value is not None})

    def action(self, request: Request) -> str:
        """The name a script uses for this request."""
        if request.path == self.dialect.base + self.dialect.token_path:
            return "token"
        front, _, leaf = request.path.rpartition("/")
        return _LEAF.get(leaf, "unknown") if front == self.dialect.base + self.dialect.qr_path else "unknown"

    def _done(self, request: Request, action: str) -> Json:
        if action == "token":
            return self._token(request)
        if action == "unknown":
            raise _Refused(404, "00", "Not Found")
        self._authorise(request)
        body = _object(request)
        match action:
            case "charge":
                return self._charge(body)
            case "status":
                return self._status(body)
            case "cancel" if self.dialect.cancels:
                return self._cancel(body)
            case "refund" if self.dialect.refunds:
                return self._refund(body)
        raise _Refused(403, "01", "Feature Not Allowed")

    def _token(self, request: Request) -> Json:
        body = _object(request)
        if "client_credentials" not in (body.get("grantType"), body.get("grant_type")):
            raise _Refused(400, "02", "Invalid Mandatory Field grantType")
        text = f"{request.headers.get('x-client-key')}|{request.headers.get('x-timestamp')}"
        client = request.headers.get("x-client-key") == self.client_id
        if not client or not _rsa_verified("merchant", request.headers.get("x-signature", ""), text):
            raise _Refused(401, "00", "Unauthorized. Invalid Signature")
        if self.dialect.one_token_only:
            self.tokens.clear()
        token = secrets.token_urlsafe(600)
        self.tokens[token] = self.now + timedelta(seconds=int(self.dialect.expires_in))
        return {"accessToken": token, "tokenType": "Bearer", "expiresIn": self.dialect.expires_in, "additionalInfo": ""}

    def _authorise(self, request: Request) -> None:
        headers = request.headers
        for name in ("x-timestamp", "x-signature", "x-partner-id", "x-external-id", "channel-id"):
            if not headers.get(name):
                raise _Refused(400, "02", f"Invalid Mandatory Field {name.upper()}")
        token = headers.get("authorization", "").removeprefix("Bearer ")
        if self.tokens.get(token, self.now) <= self.now:
            raise _Refused(401, "01", "Access Token Invalid (B2B)")
        path = request.path.removeprefix(self.dialect.unsigned)
        bodies = {request.body, _minified(request.body)} if self.dialect.minifies else {request.body}
        digests = [hashlib.sha256(body).hexdigest() for body in bodies]
        texts = [f"{request.method}:{path}:{token}:{digest}:{headers['x-timestamp']}" for digest in digests]
        if headers["x-signature"] not in [_hmac(self.client_secret, text) for text in texts]:
            raise _Refused(401, "00", "Unauthorized. Signature Not Match")
        if headers["x-external-id"] in self._external_ids:
            raise _Refused(409, "00", "Conflict")
        self._external_ids.add(headers["x-external-id"])

    def _charge(self, body: Json) -> Json:
        for name in self.dialect.needed:
            if not body.get(name):
                raise _Refused(400, "02", f"Invalid Mandatory Field {name}")
        info = body.get("additionalInfo") or {}
        for name in self.dialect.needed_info:
            if not info.get(name):
                raise _Refused(400, "02", f"Invalid Mandatory Field additionalInfo.{name}")
        if body["merchantId"] != self.merchant_id:
            raise _Refused(404, "08", "Invalid Merchant")
        if body["partnerReferenceNo"] in self.book:
            raise _Refused(409, "01", "Duplicate partnerReferenceNo")
        qr = QrCode(
            reference=body["partnerReferenceNo"],
            amount=_rupiah(body["amount"]),
            created_at=self.now,
            expires_at=self._validity(body),
            request=body,
        )
        self.book[qr.reference] = qr
        return {
            "referenceNo": qr.id,
            "partnerReferenceNo": qr.reference,
            "qrContent": self.payload(qr),
            "terminalId": body.get("terminalId"),
            "additionalInfo": {},
        }

    def _validity(self, body: Json) -> datetime:
        text = body.get("validityPeriod")
        if not text:
            return self.now + timedelta(minutes=15)
        try:
            ends = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S%z")
        except ValueError:
            raise _Refused(400, "01", "Invalid Field Format validityPeriod") from None
        if ends <= self.now:
            raise _Refused(400, "01", "Invalid Field Format validityPeriod")
        return ends

    def _status(self, body: Json) -> Json:
        if not body.get("serviceCode"):
            raise _Refused(400, "02", "Invalid Mandatory Field serviceCode")
        qr = self._find(body)
        if self.dialect.shows_expired_as_missing and qr.status == self.dialect.expired_status:
            raise _Refused(404, "01", "Transaction Not Found")
        info: Json = {}
        if qr.paid_at is not None:
            info = {"rrn": qr.rrn, "approvalCode": qr.approval_code, "customerName": "BUDI", "issuerId": "93600999"}
        return {
            "originalReferenceNo": qr.id,
            "originalPartnerReferenceNo": qr.reference,
            "serviceCode": body["serviceCode"],
            "latestTransactionStatus": qr.status,
            "transactionStatusDesc": _WORDS.get(qr.status, "Unknown"),
            "paidTime": _wib(qr.paid_at) if qr.paid_at else None,
            "amount": self._money(qr.paid_amount or qr.amount),
            "additionalInfo": info,
        }

    def _cancel(self, body: Json) -> Json:
        qr = self._find(body)
        if not body.get("reason"):
            raise _Refused(400, "02", "Invalid Mandatory Field reason")
        if qr.status == "05" and qr.expires_at <= self.now:
            raise _Refused(403, "00", "Transaction Expired")
        if qr.status != "03":
            raise _Refused(403, "15", "Transaction Not Permitted")
        self.change(qr.reference, "05")
        return {
            "originalReferenceNo": qr.id,
            "originalPartnerReferenceNo": qr.reference,
            "cancelTime": _wib(self.now),
            "transactionDate": _wib(qr.created_at),
        }

    def _refund(self, body: Json) -> Json:
        qr = self._find(body)
        number = body.get("partnerRefundNo")
        info = body.get("additionalInfo") or {}
        if not number or not body.get("reason") or any(not info.get(name) for name in self.dialect.needed_refund_info):
            raise _Refused(400, "02", "Invalid Mandatory Field")
        if number in qr.refunds:
            raise _Refused(409, "01", "Duplicate partnerRefundNo")
        amount = _rupiah(body["refundAmount"])
        if qr.status != "00" or not 0 < amount <= qr.paid_amount - qr.refunded:
            raise _Refused(403, "15", "Transaction Not Permitted")
        entry = self.refund(qr.reference, amount, number)
        return {
            "originalReferenceNo": qr.id,
            "originalPartnerReferenceNo": qr.reference,
            self.dialect.refund_id_name: entry["id"],
            "partnerRefundNo": number,
            "refundAmount": self._money(amount),
            "refundTime": entry["at"],
        }

    def _find(self, body: Json) -> QrCode:
        if body.get("merchantId") not in (None, self.merchant_id):
            raise _Refused(404, "08", "Invalid Merchant")
        qr = self.book.get(body.get("originalPartnerReferenceNo", ""))
        if qr is None or body.get("originalReferenceNo") not in (None, qr.id):
            raise _Refused(404, "01", "Transaction Not Found")
        return qr

    def _money(self, amount: int) -> Json:
        return {"value": amount if self.dialect.answers_number_amounts else f"{amount}.00", "currency": "IDR"}

    def payload(self, qr: QrCode) -> str:
        """A synthetic dynamic QRIS for the entry."""
        return dynamic_qris(
            acquirer=[
                ("00", self.dialect.acquirer),
                ("01", "936009990000000001"),
                ("02", "100000000001"),
                ("03", "UMI"),
            ],
            amount=f"{qr.amount}.00",
            name="WARUNG CONTOH",
            place=("JAKARTA", "12190"),
            more=[("05", qr.reference), ("07", "T01")],
        )


def _object(request: Request) -> Json:
    try:
        body = request.json()
    except ValueError:
        raise _Refused(400, "00", "Bad Request") from None
    if not isinstance(body, dict):
        raise _Refused(400, "00", "Bad Request")
    return body


def _rupiah(amount: Any) -> int:
    if not isinstance(amount, Mapping) or amount.get("currency") != "IDR":
        raise _Refused(400, "01", "Invalid Field Format amount")
    whole, _, fraction = str(amount.get("value", "")).partition(".")
    if not whole.isdigit() or fraction not in ("", "00"):
        raise _Refused(400, "01", "Invalid Field Format amount.value")
    return int(whole)


def _hmac(secret: str, text: str) -> str:
    return b64encode(hmac.new(secret.encode(), text.encode(), hashlib.sha512).digest()).decode()


def _rsa(owner: str, text: str) -> str:
    return b64encode(key(owner).sign(text.encode(), padding.PKCS1v15(), SHA256())).decode()


def _rsa_verified(owner: str, signature: str, text: str) -> bool:
    try:
        key(owner).public_key().verify(b64decode(signature, validate=True), text.encode(), padding.PKCS1v15(), SHA256())
    except (InvalidSignature, Base64Error):
        return False
    return True


def _minified(body: bytes) -> bytes:
    """Compact JSON as Python writes it; enough for the clients that come here."""
    try:
        return json.dumps(json.loads(body), separators=(",", ":")).encode()
    except ValueError:
        return body


def _wib(moment: datetime) -> str:
    return moment.astimezone(WIB).isoformat(timespec="seconds")
