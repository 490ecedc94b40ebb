"""NICEPAY's dialect of SNAP BI.

What it does its own way: `/nicepay` is in every address but in no signature; the goods and the buyer are described in
`additionalInfo`, the cart as JSON inside a string; a QR lives 5 to 20 minutes and cannot be cancelled; "canceled" is
also what it calls an expired QR; its notifications are signed without their body.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

from qrisd.domain.payment import Attempt, Status
from qrisd.providers.base import Charge, RefundOrder
from qrisd.providers.http import ProviderHttp
from qrisd.providers.nicepay.settings import (
    MAX_EXPIRES_IN,
    MIN_EXPIRES_IN,
    NOTIFY_WHERE,
    NicepaySettings,
    base_url,
    end_of,
    order_facts,
    plain,
)
from qrisd.providers.snap.calls import SnapCalls
from qrisd.providers.snap.keys import read_private_key, read_public_key
from qrisd.providers.snap.notify import Notifications
from qrisd.providers.snap.profile import Account, Profile
from qrisd.providers.snap.qr import Snap, make_snap
from qrisd.providers.snap.signing import NotifyScheme, timestamp

# Of QRIS only; NICEPAY documents no other code.
_STATUS: Final = {
    "00": Status.PAID,
    "03": Status.PENDING,
    "04": Status.REFUNDED,
    "05": Status.CANCELLED,
    "06": Status.FAILED,
}


def nicepay_snap(
    name: str,
    settings: NicepaySettings,
    http: ProviderHttp,
    clock: Callable[[], datetime],
    notify_url: str | None,
) -> Snap:
    """The adapter for an account with SNAP keys. Raises SettingsError when a key file cannot be used."""
    profile = nicepay_profile(settings, clock, notify_url)
    account = _account(name, settings)
    calls = SnapCalls(name, profile, account, http, clock, settings.timeout)
    base_path = urlsplit(notify_url or "").path.removesuffix(f"/webhooks/{name}")
    return make_snap(calls, Notifications(name, profile, account, base_path), clock, notify_url)


def nicepay_profile(settings: NicepaySettings, clock: Callable[[], datetime], notify_url: str | None) -> Profile:
    """How NICEPAY speaks SNAP, for this account."""

    def charge_extra(charge: Charge) -> Mapping[str, Any]:
        facts = order_facts(settings, charge, notify_url)
        return {
            "storeId": settings.store_id,
            "validityPeriod": timestamp(end_of(charge, clock())),
            "additionalInfo": {**facts, "callBackUrl": facts["dbProcessUrl"]},
        }

    def refund_extra(attempt: Attempt, order: RefundOrder, _: Mapping[str, Any]) -> Mapping[str, Any]:
        whole = order.amount == (attempt.amount_paid or attempt.amount)
        return {"externalStoreId": settings.store_id, "additionalInfo": {"cancelType": "1" if whole else "2"}}

    return Profile(
        label="NICEPAY",
        base_url=base_url(settings),
        qr_path="/api/v1.0/qr",
        signed_path_strip="/nicepay",
        query_service_code=settings.query_service_code,
        charge_extra=charge_extra,
        query_extra={"externalStoreId": settings.store_id, "additionalInfo": {}},
        refund_extra=refund_extra,
        statuses=_STATUS,
        refund=True,
        partial_refund=True,
        min_expires_in=MIN_EXPIRES_IN,
        max_expires_in=MAX_EXPIRES_IN,
        notify_schemes=(NotifyScheme.RSA_CLIENTID,),
        notify_is_believed=False,
        notify_where=NOTIFY_WHERE,
    )


def _account(name: str, settings: NicepaySettings) -> Account:
    """The iMid is client, partner and merchant in one."""
    imid = settings.imid or ""
    return Account(
        client_id=imid,
        client_secret=plain(settings.client_secret),
        private_key=read_private_key(f"providers.{name}.private_key_file", settings.private_key_file),
        provider_key=read_public_key(f"providers.{name}.provider_public_key_file", settings.provider_public_key_file),
        partner_id=imid,
        channel_id=settings.channel_id or f"{imid}01",
        merchant_id=imid,
    )
