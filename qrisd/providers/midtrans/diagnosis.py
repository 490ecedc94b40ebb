"""What can be said about a Midtrans account without charging anybody."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final
from uuid import uuid4

from qrisd.domain.errors import ProviderError
from qrisd.providers.diagnosis import Line, activation_line, clock_line, webhook_line
from qrisd.providers.midtrans.account import MidtransAccount

_LABEL: Final = "Midtrans"
_WHERE: Final = "dashboard, Settings, Payment, Notification URL; every charge carries it too"


async def diagnose(account: MidtransAccount, notify_url: str | None) -> list[Line]:
    """(fine, one line saying what is so and what to do). Asks about an order that does not exist."""
    if not account.settings.configured:
        return [(False, f"providers.{account.name}.server_key is not set: copy the Server Key from the dashboard.")]
    return [*await _account_lines(account), webhook_line(_LABEL, notify_url, _WHERE)]


async def _account_lines(account: MidtransAccount) -> list[Line]:
    where = f"{account.settings.environment}, {account.base_url}"
    try:
        reply = await account.status(f"QRISD-DIAGNOSE-{uuid4().hex[:16]}", account.settings.timeout)
    except ProviderError as error:
        return [(False, f"{where}: {error}")]
    clock = clock_line(_LABEL, reply.answer, datetime.now(UTC))
    if not reply.is_absent:
        return [(False, f"{where}: {account.rejected(reply)}"), clock]
    return [(True, f"Midtrans ({where}) accepts the server key."), activation_line(_LABEL, "402"), clock]
