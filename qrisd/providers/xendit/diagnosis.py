"""What can be said about a Xendit account without charging anybody."""

from __future__ import annotations

from typing import Final
from uuid import uuid4

from qrisd.domain.errors import ProviderError, ProviderRejected
from qrisd.providers.xendit.account import NOT_FOUND, XenditAccount, plain

_WEBHOOK_EVENTS: Final = {
    "payment_requests": "payment succeeded, payment failed, payment request expired and refund",
    "qr_codes": "QR code paid",
}
Line = tuple[bool, str]


async def diagnose(account: XenditAccount, probe: str, version: str) -> list[Line]:
    """(fine, one line saying what is so and what to do). `probe` begins an address under which nothing is found."""
    if not account.settings.configured:
        return [(False, f"providers.{account.name}.secret_key is not set: copy it from the dashboard, API Keys.")]
    key = await _key_line(account, probe, version)
    more = [await _transactions_line(account)] if key[0] else []
    return [key, *more, _webhook_line(account)]


async def _key_line(account: XenditAccount, probe: str, version: str) -> Line:
    where = f"{account.settings.environment}, {account.base_url}"
    try:
        await account.get(f"{probe}{uuid4()}", version=version)
    except ProviderRejected as error:
        if error.provider_code == NOT_FOUND:
            return (True, f"Xendit ({where}) accepts the secret key.")
        return (False, f"{where}: {error}")
    except ProviderError as error:
        return (False, f"{where}: {error}")
    return (False, f"{where} does not answer as Xendit does: check base_url.")


async def _transactions_line(account: XenditAccount) -> Line:
    """Without this right a lost answer cannot be looked up, nor money that came after a QR was closed."""
    try:
        await account.get("/transactions", {"limit": "1"})
    except ProviderError as error:
        return (False, f"The list of transactions cannot be read: {error}")
    return (True, "The secret key may read the list of transactions.")


def _webhook_line(account: XenditAccount) -> Line:
    address = f"https://YOUR-ADDRESS/webhooks/{account.name}"
    if not plain(account.settings.webhook_token):
        return (
            False,
            f"providers.{account.name}.webhook_token is not set, so every webhook is refused and payments are found by "
            "asking. Copy the verification token from the dashboard (Settings, Webhooks).",
        )
    events = _WEBHOOK_EVENTS[account.settings.api]
    return (True, f"Paste {address} in the dashboard (Settings, Webhooks) for: {events}.")
