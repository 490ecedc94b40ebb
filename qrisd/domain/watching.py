"""When an attempt is looked at again, and when looking may stop.

An attempt nobody is sure about is asked for with growing pauses; a live QR is asked for often at first, because that is
when people pay; a QR that outlives our own expiry stays watched until the provider ends it. Nothing is decided by age
alone: only the provider's answer decides.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from qrisd.domain.payment import Attempt, Status

# Seconds between lookups while we do not know whether the provider has the charge at all.
UNKNOWN_DELAYS_S: Final = (1, 3, 5, 10, 20, 30)
# (age of the attempt up to, seconds between lookups) while its QR is live.
LIVE_DELAYS_S: Final = ((120, 3), (600, 10), (3600, 30))
SLOW_DELAY_S: Final = 300

# A provider may show a charge only some time after it took it. Before this, "no such charge" settles nothing.
ABSENCE_GRACE_S: Final = 60
# A charge the provider has not named in this many answers does not exist there.
ABSENCES_NEEDED: Final = 2


def next_check_at(
    attempt: Attempt, *, polled: bool, now: datetime, closes_at: datetime | None = None
) -> datetime | None:
    """When `attempt` must be looked at next; None when there is nothing left to learn by looking.

    `polled` False: the provider tells by itself, so a live QR is looked at only when its time is up. `closes_at` is
    when our own clock closes its payment, which may be earlier than the QR's end at the provider."""
    if attempt.status is Status.CREATED:
        delay_s: float = UNKNOWN_DELAYS_S[min(attempt.checks, len(UNKNOWN_DELAYS_S) - 1)]
        return now + timedelta(seconds=delay_s)
    if attempt.status is not Status.PENDING:
        return None
    if attempt.expires_at <= now:
        return now + timedelta(seconds=_overdue_delay_s(attempt, now))
    ends = [end for end in (attempt.expires_at, closes_at) if end is not None and end > now]
    return min([*ends, now + timedelta(seconds=_live_delay_s(attempt, now))]) if polled else min(ends)


def asked_in_vain(attempt: Attempt, now: datetime) -> datetime:
    """When `attempt` is asked about again after no answer came: soon while it is young, at least twice a minute."""
    age_s = (now - attempt.created_at).total_seconds()
    return now + timedelta(seconds=min(max(age_s / 3, UNKNOWN_DELAYS_S[0]), UNKNOWN_DELAYS_S[-1]))


def _live_delay_s(attempt: Attempt, now: datetime) -> float:
    age_s = (now - attempt.created_at).total_seconds()
    return next((delay_s for limit_s, delay_s in LIVE_DELAYS_S if age_s < limit_s), SLOW_DELAY_S)


def _overdue_delay_s(attempt: Attempt, now: datetime) -> float:
    """A provider may end a QR some minutes after its time; it is asked soon at first, then seldom."""
    overdue_s = (now - attempt.expires_at).total_seconds()
    return 5 if overdue_s < 60 else 60 if overdue_s < 3600 else SLOW_DELAY_S


def never_arrived(attempt: Attempt, now: datetime) -> bool:
    """True when the provider, which has just said once more that it has no such charge, may be taken at its word.
    `attempt.checks` counts its answers before this one; questions that were never answered are not among them."""
    old_enough = now - attempt.created_at >= timedelta(seconds=ABSENCE_GRACE_S)
    return attempt.status is Status.CREATED and old_enough and attempt.checks + 1 >= ABSENCES_NEEDED
