"""What the tests of SNAP banks share: an adapter on the fake bank, charges and attempts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from qrisd.domain.payment import Attempt, Status
from qrisd.providers.base import Charge
from qrisd.providers.http import ProviderHttp
from qrisd.providers.snap.bank import SnapSettings, snap_bank
from qrisd.providers.snap.qr import Snap
from tests.fakes.snap import FakeSnap, private_pem, public_pem
from tests.support import payments as sample

REFERENCE = "7Q2M0K8R5T1V9X3Z6B4C"
NOTIFY_PATH = "/webhooks/bri"
NOTIFY_URL = f"https://shop.example{NOTIFY_PATH}"
Headers = Mapping[str, str]


def now() -> datetime:
    return datetime.now(UTC)


def key_files(directory: Path) -> dict[str, Path]:
    """The merchant's key and the bank's public one, as settings."""
    merchant, bank = directory / "merchant.pem", directory / "bank.pem"
    merchant.write_bytes(private_pem("merchant"))
    bank.write_bytes(public_pem("bank"))
    return {"private_key_file": merchant, "provider_public_key_file": bank}


def adapter(
    fake: FakeSnap,
    http: ProviderHttp,
    directory: Path,
    clock: Callable[[], datetime] = now,
    base_path: str = "",
    **changes: Any,
) -> Snap:
    """The adapter for the fake, which cancels and refunds unless `changes` say otherwise."""
    values = {
        "type": "snap",
        "base_url": fake.url,
        "timeout": 5.0,
        "client_id": fake.client_id,
        "client_secret": SecretStr(fake.client_secret),
        "merchant_id": fake.merchant_id,
        "terminal_id": "T01",
        "notify_scheme": fake.dialect.notify_scheme,
        "cancel": True,
        "refund": True,
        **key_files(directory),
        **changes,
    }
    return snap_bank("bri", SnapSettings(**values), http, clock, base_path, NOTIFY_URL)


def charge(**changes: Any) -> Charge:
    values: dict[str, Any] = {"reference": REFERENCE, "amount": 10_000, "expires_in": 900}
    return Charge(**{**values, "expires_at": now() + timedelta(seconds=900), **changes})


def attempt(**changes: Any) -> Attempt:
    """A live QR's attempt; one whose answer was lost is `lost_attempt`."""
    values = {"reference": REFERENCE, "amount": 10_000, "expires_at": now() + timedelta(seconds=900)}
    return sample.attempt(provider="bri", **{**values, **changes})


def lost_attempt(**changes: Any) -> Attempt:
    return attempt(status=Status.CREATED, qris_payload=None, **changes)


def lowered(headers: Headers) -> dict[str, str]:
    """As our server hands them on."""
    return {name.lower(): value for name, value in headers.items()}
