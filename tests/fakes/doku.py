"""A DOKU of our own on loopback: the SNAP bank in DOKU's dialect, and DOKU's own notifications besides SNAP's."""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import b64encode
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode, urlsplit
from uuid import uuid4

import httpx

from tests.fakes.snap import Dialect, FakeSnap, QrCode

DIALECT = Dialect(
    token_path="/authorization/v1/access-token/b2b",
    qr_path="/snap-adapter/b2b/v1.0/qr",
    expires_in=900,
    one_token_only=True,
    answers_number_amounts=True,
    needed=("partnerReferenceNo", "amount", "merchantId", "terminalId"),
    needed_info=("postalCode", "feeType"),
    needed_refund_info=("approvalCode",),
    acquirer="COM.DOKU.WWW",
)
FORM = {"Content-Type": "application/x-www-form-urlencoded; charset=UTF-8"}
_STATUS = {"00": "SUCCESS", "03": "PENDING", "04": "REFUNDED", "05": "EXPIRED", "06": "FAILED"}


class FakeDoku(FakeSnap):
    """As `FakeSnap`. `form` is how it notifies: "snap", "jokul" (its own API) or "unsigned" (old QRIS accounts)."""

    def __init__(self, dialect: Dialect = DIALECT, *, form: str = "snap") -> None:
        super().__init__(
            dialect,
            client_id="BRN-0000-1700000000000",
            client_secret="SK-test-0000000000000000",
            merchant_id="47435",
        )
        self.form = form

    def change(self, reference: str, status: str) -> None:
        """Any other change of status, and its notification."""
        qr = self.book[reference]
        qr.status = status
        bodies = {"snap": self.notification, "jokul": self.jokul, "unsigned": self.unsigned}
        self.outbox.append(bodies[self.form](qr))

    def jokul(self, qr: QrCode) -> dict[str, Any]:
        """What DOKU's own API says of the present state."""
        return {
            "service": {"id": "QRIS"},
            "acquirer": {"id": "DOKU"},
            "channel": {"id": "QRIS"},
            "order": {"invoice_number": qr.reference, "amount": qr.paid_amount or qr.amount},
            "transaction": {
                "status": _STATUS.get(qr.status, "UNHEARD"),
                "date": f"{(qr.paid_at or self.now).astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
                "original_request_id": "0b5c9c1e-0000-4000-8000-000000000001",
            },
            "emoney_payment": {"account_id": "9360000000000000001", "approval_code": qr.approval_code},
        }

    def unsigned(self, qr: QrCode) -> dict[str, Any]:
        """What old QRIS accounts are told."""
        return {
            "ACQUIRER": "DOKU",
            "INVOICE": qr.reference,
            "AMOUNT": f"{qr.amount}.00",
            "TXNSTATUS": "S" if qr.status == "00" else "F",
            "CUSTOMERNAME": "BUDI",
            "WORDS": "0" * 40,
        }

    def jokul_headers(self, path: str, body: bytes, secret: str | None = None) -> dict[str, str]:
        """What comes with a notification of its own API; `body` is taken as it is."""
        request_id, sent_at = str(uuid4()), f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        digest = b64encode(hashlib.sha256(body).digest()).decode()
        text = (
            f"Client-Id:{self.client_id}\nRequest-Id:{request_id}\nRequest-Timestamp:{sent_at}\n"
            f"Request-Target:{path}\nDigest:{digest}"
        )
        mac = hmac.new((secret or self.client_secret).encode(), text.encode(), hashlib.sha256)
        return {
            "Content-Type": "application/json",
            "Client-Id": self.client_id,
            "Request-Id": request_id,
            "Request-Timestamp": sent_at,
            "Signature": f"HMACSHA256={b64encode(mac.digest()).decode()}",
        }

    async def post(self, client: httpx.AsyncClient, waiting: dict[str, Any]) -> httpx.Response:
        """Send one notification in the form this account gets."""
        assert self.notify_url is not None
        if self.form == "snap":
            return await super().post(client, waiting)
        if self.form == "unsigned":
            return await client.post(self.notify_url, content=urlencode(waiting), headers=FORM)
        raw = json.dumps(waiting).encode()
        headers = self.jokul_headers(urlsplit(self.notify_url).path, raw)
        return await client.post(self.notify_url, content=raw, headers=headers)
