"""`type = "nicepay"`: NICEPAY by either of its two APIs, which are the same account with different keys."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from qrisd.providers.http import ProviderHttp
from qrisd.providers.nicepay.settings import NicepaySettings
from qrisd.providers.nicepay.snap import nicepay_snap
from qrisd.providers.nicepay.v2 import NicepayV2
from qrisd.providers.snap.qr import Snap

__all__ = ["NicepaySettings", "make_nicepay"]


def make_nicepay(
    name: str,
    settings: NicepaySettings,
    http: ProviderHttp,
    clock: Callable[[], datetime],
    notify_url: str | None,
) -> NicepayV2 | Snap:
    """The adapter for `[providers.NAME]`; `notify_url` is where NICEPAY shall notify, None when nobody outside reaches
    us. Raises SettingsError when a key file cannot be used."""
    if settings.api == "v2":
        return NicepayV2(name, settings, http, clock, notify_url)
    return nicepay_snap(name, settings, http, clock, notify_url)
