"""A sample payment and its attempt, made without a shop. A test names the facts it relies on; the rest is filled in."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from qrisd.domain.payment import Attempt, Payment, Status

NOW: Final = datetime(2026, 1, 15, 3, 0, tzinfo=UTC)
_ENDS: Final = NOW + timedelta(seconds=900)


def payment(**facts: Any) -> Payment:
    """15,000 rupiah that wait for a payer: made at NOW, open for 15 minutes. TypeError for a field it does not have."""
    waiting = Payment(
        id="p-1",
        order_id="INV-1",
        amount=15_000,
        amount_due=15_000,
        currency="IDR",
        status=Status.PENDING,
        exception=None,
        amount_paid=0,
        amount_refunded=0,
        provider="simulator",
        provider_trx_id=None,
        provider_ref_no=None,
        qris_payload="00020101",
        expires_in=900,
        expires_at=_ENDS,
        paid_at=None,
        attempt=1,
        outlet="main",
        description=None,
        customer=None,
        callback_url=None,
        metadata={},
        signature_version=2,
        sequence=1,
        version=1,
        request_hash="h",
        created_at=NOW,
        updated_at=NOW,
    )
    return replace(waiting, **facts)


def attempt(**facts: Any) -> Attempt:
    """The live QR of that payment, without a number of the provider's. TypeError for a field it does not have."""
    live = Attempt(
        id="a-1",
        payment_id="p-1",
        number=1,
        provider="simulator",
        reference="7Q2M0K8R5T1V9X3Z6B4C",
        amount=15_000,
        status=Status.PENDING,
        provider_trx_id=None,
        provider_ref_no=None,
        qris_payload="00020101",
        amount_paid=0,
        amount_refunded=0,
        error=None,
        expires_at=_ENDS,
        checks=0,
        next_check_at=None,
        version=1,
        created_at=NOW,
        updated_at=NOW,
    )
    return replace(live, **facts)
