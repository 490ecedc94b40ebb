"""What can be said about a Xendit account without charging anybody."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final
from uuid import uuid4

from qrisd.domain.errors import ProviderError, ProviderRejected
from qrisd.providers.diagnosis import Line, activation_line, clock_line, webhook_line
from qrisd.providers.xendit.account import NOT_FOUND, XenditAccount, plain

_LABEL: Final = "Xendit"
_WEBHOOK_EVENTS: Final = {
    "payment_requests": "payment succeeded, payment failed, payment request expired and refund",
    "qr_codes": "QR code paid",
}


async def diagnose(account: XenditAccount, probe: str, version: str, notify_url: str | None) -> list[Line]:
    """(fine, one line saying what is so and what to do). `probe` begins an address under which nothing is found."""
    if not account.settings.configured:
        return [(False, f"providers.{account.name}.secret_key is not set: copy it from the dashboard, API Keys.")]
    lines = await _key_lines(account, probe, version)
    if lines[0][0]:
        lines += [activation_line(_LABEL, "INVALID_MERCHANT_SETTINGS"), await _transactions_line(account)]
    return [*lines, *_webhook_lines(account, notify_url)]


async def _key_lines(account: XenditAccount, probe: str, version: str) -> list[Line]:
    where = f"{account.settings.environment}, {account.base_url}"
    try:
        answer, error = await account.probe(f"{probe}{uuid4()}", version=version)
    except ProviderError as lost:
        return [(False, f"{where}: {lost}")]
    clock = clock_line(_LABEL, answer, datetime.now(UTC))
    if error is None:
        return [(False, f"{where} does not answer as Xendit does: check base_url."), clock]
    if isinstance(error, ProviderRejected) and error.provider_code == NOT_FOUND:
        return [(True, f"Xendit ({where}) accepts the secret key."), clock]
    return [(False, f"{where}: {error}"), clock]


async def _transactions_line(account: XenditAccount) -> Line:
    """Without this right a lost answer cannot be looked up, nor money that came after a QR was closed."""
    try:
        await account.get("/transactions", {"limit": "1"})
    except ProviderError as error:
        return (False, f"The list of transactions cannot be read: {error}")
    return (True, "The secret key may read the list of transactions.")


def _webhook_lines(account: XenditAccount, notify_url: str | None) -> list[Line]:
    events = _WEBHOOK_EVENTS[account.settings.api]
    lines = [webhook_line(_LABEL, notify_url, f"dashboard, Settings, Webhooks, for {events}")]
    if not plain(account.settings.webhook_token):
        text = (
            f"providers.{account.name}.webhook_token is not set, so every webhook is refused and payments are found by "
            "asking. Copy the verification token from the dashboard (Settings, Webhooks)."
        )
        lines.append((False, text))
    return lines
