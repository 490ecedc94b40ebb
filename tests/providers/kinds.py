"""The provider kinds that whole-product and contract tests run over: each with its fake and its settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.fakes.doku import FakeDoku
from tests.fakes.midtrans import FakeMidtrans
from tests.fakes.nicepay import FakeNicepay, snap_nicepay
from tests.fakes.snap import FakeSnap
from tests.fakes.xendit import FakeXendit
from tests.providers.snap_bank import key_files

MIDTRANS_KEY = "SB-Mid-server-EXAMPLEKEY1234567890ab"
SNAP_NICEPAY = ("TESTMID001", "test-nicepay-secret-0001")
XENDIT_KEY, XENDIT_TOKEN = "xnd_development_test0001", "callback-token-0001"


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """How a provider says things: its statuses, and answers that are lies; no `wrong_amount` where the amount stands
    beside the payment, which its fake then makes of another one. `proof` is where a notification's proof stands, a
    header or a member of the body; `told_status` is the member that names the status in a notification, `refund_call`
    what its fake calls a refund."""

    expired: str
    cancelled: str
    unknown: dict[str, Any]
    wrong_amount: dict[str, Any] | None
    wrong_reference: dict[str, Any]
    proof: str
    told_status: str
    refund_call: str = "refund"


@dataclass(frozen=True, slots=True)
class Kind:
    """One provider: how its table is named, its fake, its table besides `base_url`, and its words."""

    name: str
    fake: Callable[[], Any]
    table: Callable[[Any, Path], dict[str, Any]]
    words: Words


def _midtrans(fake: Any, folder: Path) -> dict[str, Any]:
    return {"server_key": MIDTRANS_KEY}


def _xendit(api: str) -> Callable[[Any, Path], dict[str, Any]]:
    return lambda fake, folder: {"secret_key": XENDIT_KEY, "webhook_token": XENDIT_TOKEN, "api": api}


def _bank(fake: Any, folder: Path) -> dict[str, Any]:
    return {
        "type": "snap",
        "client_id": fake.client_id,
        "client_secret": fake.client_secret,
        "merchant_id": fake.merchant_id,
        **_keys(folder),
    }


def _doku(fake: Any, folder: Path) -> dict[str, Any]:
    return {
        "client_id": fake.client_id,
        "secret_key": fake.client_secret,
        "merchant_id": fake.merchant_id,
        "terminal_id": "A01",
        "postal_code": "12190",
        **_keys(folder),
    }


def _nicepay_snap(fake: Any, folder: Path) -> dict[str, Any]:
    return {"imid": SNAP_NICEPAY[0], "client_secret": SNAP_NICEPAY[1], **_keys(folder)}


def _nicepay_v2(fake: Any, folder: Path) -> dict[str, Any]:
    return {"api": "v2", "imid": fake.imid, "merchant_key": fake.merchant_key}


def _keys(folder: Path) -> dict[str, str]:
    return {name: str(path) for name, path in key_files(folder).items()}


MIDTRANS = Words(
    expired="expire",
    cancelled="cancel",
    unknown={"transaction_status": "weird"},
    wrong_amount={"gross_amount": "14000.00"},
    wrong_reference={"order_id": "SOMEBODY-ELSES"},
    proof="signature_key",
    told_status="transaction_status",
)
XENDIT_V3 = Words(
    expired="EXPIRED",
    cancelled="CANCELED",
    unknown={"status": "MELTED"},
    wrong_amount=None,
    wrong_reference={"reference_id": "SOMEBODY-ELSES"},
    proof="x-callback-token",
    told_status="status",
)
XENDIT_QR = replace(XENDIT_V3, expired="INACTIVE", cancelled="INACTIVE")
SNAP = Words(
    expired="05",
    cancelled="05",
    unknown={"latestTransactionStatus": "99", "transactionStatusDesc": "weird"},
    wrong_amount={"amount": {"value": "14000.00", "currency": "IDR"}},
    wrong_reference={"originalPartnerReferenceNo": "SOMEBODY-ELSES"},
    proof="x-signature",
    told_status="latestTransactionStatus",
)
NICEPAY_V2 = Words(
    expired="5",
    cancelled="5",
    unknown={"status": "9"},
    wrong_amount={"amt": "14000"},
    wrong_reference={"referenceNo": "SOMEBODY-ELSES"},
    proof="merchantToken",
    told_status="status",
    refund_call="cancel",
)

KINDS = {
    "midtrans": Kind("midtrans", lambda: FakeMidtrans(MIDTRANS_KEY), _midtrans, MIDTRANS),
    "xendit-v3": Kind("xendit", lambda: FakeXendit(XENDIT_KEY, XENDIT_TOKEN), _xendit("payment_requests"), XENDIT_V3),
    "xendit-qr": Kind("xendit", lambda: FakeXendit(XENDIT_KEY, XENDIT_TOKEN), _xendit("qr_codes"), XENDIT_QR),
    "snap-bank": Kind("bri", FakeSnap, _bank, SNAP),
    "doku": Kind("doku", FakeDoku, _doku, SNAP),
    "nicepay-snap": Kind(
        "nicepay", lambda: snap_nicepay("TESTMID001", "test-nicepay-secret-0001"), _nicepay_snap, SNAP
    ),
    "nicepay-v2": Kind("nicepay", FakeNicepay, _nicepay_v2, NICEPAY_V2),
}
# A bank closes QRs and gives money back where its profile says so; the one here has the plainest profile.
CANCELLING = ("midtrans", "xendit-v3", "nicepay-v2")
REFUNDING = ("midtrans", "xendit-v3", "doku", "nicepay-snap", "nicepay-v2")
# Xendit's QR codes do not say what was given back of a payment.
TELLING_OF_REFUNDS = tuple(kind for kind in KINDS if kind != "xendit-qr")
