"""The provider kinds that whole-product and contract tests run over: each with its fake and its settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.fakes.doku import FakeDoku
from tests.fakes.midtrans import FakeMidtrans
from tests.fakes.nicepay import FakeNicepay, snap_nicepay
from tests.fakes.snap import FakeSnap
from tests.fakes.xendit import FakeXendit
from tests.providers.snap_bank import key_files

MIDTRANS_KEY = "SB-Mid-server-EXAMPLEKEY1234567890ab"
XENDIT_KEY, XENDIT_TOKEN = "xnd_development_test0001", "callback-token-0001"


@dataclass(frozen=True, slots=True)
class Kind:
    """One provider: how its table is named, its fake, and its table besides `base_url`."""

    name: str
    fake: Callable[[], Any]
    table: Callable[[Any, Path], dict[str, Any]]


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
    return {"imid": "TESTMID001", "client_secret": "test-nicepay-secret-0001", **_keys(folder)}


def _nicepay_v2(fake: Any, folder: Path) -> dict[str, Any]:
    return {"api": "v2", "imid": fake.imid, "merchant_key": fake.merchant_key}


def _keys(folder: Path) -> dict[str, str]:
    return {name: str(path) for name, path in key_files(folder).items()}


KINDS = {
    "midtrans": Kind("midtrans", lambda: FakeMidtrans(MIDTRANS_KEY), _midtrans),
    "xendit-v3": Kind("xendit", lambda: FakeXendit(XENDIT_KEY, XENDIT_TOKEN), _xendit("payment_requests")),
    "xendit-qr": Kind("xendit", lambda: FakeXendit(XENDIT_KEY, XENDIT_TOKEN), _xendit("qr_codes")),
    "snap-bank": Kind("bri", FakeSnap, _bank),
    "doku": Kind("doku", FakeDoku, _doku),
    "nicepay-snap": Kind("nicepay", lambda: snap_nicepay("TESTMID001", "test-nicepay-secret-0001"), _nicepay_snap),
    "nicepay-v2": Kind("nicepay", FakeNicepay, _nicepay_v2),
}
