"""What every provider's diagnosis says in the same words: the clocks, QRIS on the account, where webhooks go."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from qrisd.providers.http import Answer

# Signatures are refused beyond a few minutes, and an expiry is off by as much as the clock.
_MAX_SKEW_S: Final = 60
Line = tuple[bool, str]


def clock_line(label: str, answer: Answer, now: datetime) -> Line:
    """`now`, this computer's time, against the Date header (RFC 9110) of an answer received just now."""
    there = _moment(answer.headers.get("date", ""))
    if there is None:
        return (True, f"{label} names no time in its answer, so this computer's clock was not compared with it.")
    skew_s = (now - there).total_seconds()
    if abs(skew_s) <= _MAX_SKEW_S:
        return (True, f"This computer's clock agrees with {label}'s.")
    way = "ahead of" if skew_s > 0 else "behind"
    return (False, f"This computer's clock is {abs(skew_s):.0f} s {way} {label}'s: switch on time synchronisation.")


def activation_line(label: str, refusal: str) -> Line:
    """For providers that tell only when charged whether QRIS is active; `refusal` is their code when it is not."""
    return (
        True,
        f"{label} tells only when a QR is made whether QRIS is active on the account: make one; if it is refused with "
        f"{refusal}, ask {label} to activate QRIS.",
    )


def webhook_line(label: str, notify_url: str | None, where: str) -> Line:
    """`notify_url` is None when our address is not public; `where` is the place there, such as its dashboard's page."""
    if notify_url is None:
        return (
            True,
            f"No public base_url is set, so {label} cannot notify qrisd: payments are found by asking it, which works. "
            f"To be notified, set base_url to your public https address; `qrisd doctor` then says what to paste where.",
        )
    return (True, f"Paste the webhook address {notify_url} at {label}: {where}.")


def _moment(text: str) -> datetime | None:
    try:
        read = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return read if read.tzinfo else read.replace(tzinfo=UTC)
