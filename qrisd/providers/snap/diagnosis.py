"""What can be said about an account at a SNAP bank without charging anybody."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from qrisd.domain.errors import ProviderError
from qrisd.providers.http import Answer
from qrisd.providers.snap.calls import SnapCalls
from qrisd.providers.snap.profile import TOKEN_PATH
from qrisd.providers.snap.signing import NotifyScheme
from qrisd.providers.snap.wire import is_absent

_MAX_SKEW_S: Final = 60
Line = tuple[bool, str]


async def diagnose(calls: SnapCalls, notify_path: str) -> list[Line]:
    """(fine, one line saying what is so and what to do). `notify_path` is the path notifications reach us at."""
    try:
        answer = await calls.check_token()
    except ProviderError as error:
        return [(False, f"{calls.profile.base_url}: {error}"), *_notify_lines(calls, notify_path)]
    label, where = calls.profile.label, calls.profile.base_url
    lines = [(True, f"{label} ({where}) accepts the client id and the key in private_key_file.")]
    return [*lines, *_clock_line(label, answer), await _service_line(calls), *_notify_lines(calls, notify_path)]


async def _service_line(calls: SnapCalls) -> Line:
    """A query for nothing: the answer shows whether the secret, the paths and the merchant id are right."""
    nothing = {"originalPartnerReferenceNo": f"QRISDDIAGNOSE{secrets.token_hex(3).upper()}"}
    try:
        reply = await calls.query(nothing, calls.deadline())
    except ProviderError as error:
        return (False, f"Asking for a QR that does not exist failed: {error}")
    if reply.is_success or is_absent(reply.message, reply.case):
        return (True, f"{calls.profile.label} accepts the secret, the signed path and merchant_id.")
    return (False, f"Asking for a QR that does not exist failed: {calls.error(reply)}")


def _notify_lines(calls: SnapCalls, notify_path: str) -> list[Line]:
    address = f"https://YOUR-HOST{notify_path}"
    where = f" ({calls.profile.notify_where})" if calls.profile.notify_where else ""
    lines = [(True, f"Give {calls.profile.label} the notification address {address}{where}.")]
    schemes = calls.profile.notify_schemes
    if NotifyScheme.HMAC_TOKEN in schemes:
        lines.append((True, f"Its token address is {address}{TOKEN_PATH}."))
    needs_key = NotifyScheme.HMAC_TOKEN in schemes or any(scheme.is_rsa for scheme in schemes)
    if needs_key and calls.account.provider_key is None:
        text = "provider_public_key_file is not set, so notifications are refused and payments are found by asking."
        lines.append((False, text))
    return lines


def _clock_line(label: str, answer: Answer) -> list[Line]:
    try:
        skew_s = (datetime.now(UTC) - parsedate_to_datetime(answer.headers.get("date", ""))).total_seconds()
    except (ValueError, TypeError):
        return []
    if abs(skew_s) <= _MAX_SKEW_S:
        return [(True, f"This computer's clock agrees with {label}'s.")]
    way = "ahead of" if skew_s > 0 else "behind"
    return [(False, f"This computer's clock is {abs(skew_s):.0f} s {way} {label}'s: switch on time synchronisation.")]
