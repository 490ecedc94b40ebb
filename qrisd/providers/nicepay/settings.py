"""A NICEPAY account's settings, and what every order tells NICEPAY about the goods and the buyer."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from qrisd.providers.base import Charge, ProviderSettings

BASE_URL: Final = {"sandbox": "https://dev.nicepay.co.id/nicepay", "production": "https://www.nicepay.co.id/nicepay"}
WIB: Final = timezone(timedelta(hours=7))
# A QR lives this long at NICEPAY, no less and no more.
MIN_EXPIRES_IN: Final = 300
MAX_EXPIRES_IN: Final = 1200
# Where NICEPAY is told our address.
NOTIFY_WHERE: Final = "the form it opens the account with; every order carries it too"
# The end of a QR is sent as a moment: some of the shortest time passes on the way.
_SHORTEST: Final = timedelta(seconds=MIN_EXPIRES_IN + 10)
# NICEPAY wants an address for notifications in every order; this one belongs to nobody and leads nowhere.
_NOWHERE: Final = "https://qrisd.invalid/webhooks/nicepay"


class NicepayBilling(BaseModel):
    """The buyer NICEPAY wants named in every order. A walk-in customer is not asked: give the shop's own data."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    name: str = Field("Customer", min_length=1, max_length=30)
    phone: str = Field("0210000000", min_length=1, max_length=15)
    email: str = Field("customer@qrisd.invalid", min_length=1, max_length=40)
    city: str = Field("Jakarta", min_length=1, max_length=50)
    state: str = Field("Jakarta", min_length=1, max_length=50)
    postcode: str = Field("10110", min_length=1, max_length=10)
    country: str = Field("Indonesia", min_length=1, max_length=10)


class NicepaySettings(ProviderSettings):
    """`[providers.nicepay]`."""

    api: Literal["snap", "v2"] = Field("snap", description="`snap`, or `v2` (direct) for accounts with a merchant key.")
    imid: str | None = Field(None, description="The merchant id (iMid); it is SNAP's client key too.")
    merchant_key: SecretStr | None = Field(None, description="V2: the merchant key. It is not the client secret.")
    client_secret: SecretStr | None = Field(None, description="SNAP: the client secret. It is not the merchant key.")
    private_key_file: Path | None = Field(None, description="SNAP: your RSA key; NICEPAY has its public half.")
    provider_public_key_file: Path | None = Field(
        None, description="SNAP: NICEPAY's key for notifications, which it sends by e-mail; without it all are refused."
    )
    channel_id: str | None = Field(None, description="SNAP: the CHANNEL-ID; the iMid followed by 01 when left out.")
    query_service_code: Literal["47", "51"] = Field("47", description="SNAP: the serviceCode of a status query.")
    store_id: str = Field("NICEPAY", max_length=32, description="The shop id NICEPAY gave you.")
    mitra_code: str = Field("QSHP", description="Who issues the QRIS: `QSHP` is ShopeePay.")
    billing: NicepayBilling = Field(default_factory=NicepayBilling, description="The buyer named in every order.")

    @property
    def configured(self) -> bool:
        if self.api == "v2":
            return bool(self.imid and plain(self.merchant_key))
        return bool(self.imid and plain(self.client_secret) and self.private_key_file)


def plain(secret: SecretStr | None) -> str:
    """The secret's text without surrounding space; "" for none."""
    return secret.get_secret_value().strip() if secret else ""


def base_url(settings: NicepaySettings) -> str:
    """Where the account is served, without a final slash."""
    return (settings.base_url or BASE_URL[settings.environment]).rstrip("/")


def end_of(charge: Charge, now: datetime) -> datetime:
    """When the QR shall end: as asked, but never so soon that NICEPAY refuses it."""
    return max(charge.expires_at, now + _SHORTEST)


def order_facts(settings: NicepaySettings, charge: Charge, notify_url: str | None) -> dict[str, Any]:
    """The members that describe goods and buyer, the same in both of NICEPAY's APIs. Text we choose holds neither
    spaces nor quotes: the cart is JSON inside a string, and signed."""
    goods = f"Order-{charge.reference}"
    billing = settings.billing
    return {
        "goodsNm": goods,
        "billingNm": billing.name,
        "billingPhone": billing.phone,
        "billingEmail": billing.email,
        "billingCity": billing.city,
        "billingState": billing.state,
        "billingPostCd": billing.postcode,
        "billingCountry": billing.country,
        "dbProcessUrl": notify_url or _NOWHERE,
        "userIP": "127.0.0.1",
        "cartData": _cart(goods, charge.amount),
        "mitraCd": settings.mitra_code,
    }


def _cart(goods: str, amount: int) -> str:
    """One line whose price is the amount: another sum is refused (9023)."""
    item = {"goods_id": "1", "goods_name": goods, "goods_amt": str(amount), "goods_quantity": "1"}
    return json.dumps({"count": "1", "item": [item]}, separators=(",", ":"))
