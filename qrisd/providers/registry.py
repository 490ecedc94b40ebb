"""Which provider types there are, and how each is made from its settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from qrisd.providers.base import Provider, ProviderSettings
from qrisd.providers.doku import DokuSettings, doku
from qrisd.providers.http import ProviderHttp
from qrisd.providers.midtrans.account import MidtransSettings
from qrisd.providers.midtrans.qris import Midtrans
from qrisd.providers.nicepay import NicepaySettings, make_nicepay
from qrisd.providers.simulator import Simulator, SimulatorSettings
from qrisd.providers.snap.bank import SnapSettings, snap_bank
from qrisd.providers.static import Static, StaticSettings
from qrisd.providers.xendit.account import XenditSettings
from qrisd.providers.xendit.payment_requests import XenditPaymentRequests
from qrisd.providers.xendit.qr_codes import XenditQrCodes

SETTINGS: Final[Mapping[str, type[ProviderSettings]]] = {
    "simulator": SimulatorSettings,
    "midtrans": MidtransSettings,
    "xendit": XenditSettings,
    "snap": SnapSettings,
    "doku": DokuSettings,
    "nicepay": NicepaySettings,
    "static": StaticSettings,
}


@dataclass(frozen=True, slots=True)
class Toolbox:
    """What adapters are given. `notify_url(name)` is where that provider's webhooks reach us, None when our address
    is not public; `base_path` is the path our address has, "" mostly."""

    http: ProviderHttp
    clock: Callable[[], datetime]
    simulator_secret: str
    notify_url: Callable[[str], str | None]
    base_path: str


def make(name: str, settings: ProviderSettings, tools: Toolbox) -> Provider:
    """The adapter for `[providers.NAME]`."""
    match settings:
        case SimulatorSettings():
            secret = settings.webhook_secret
            return Simulator(
                name, settings, secret.get_secret_value() if secret else tools.simulator_secret, tools.clock
            )
        case MidtransSettings():
            return Midtrans(name, settings, tools.http, tools.notify_url(name))
        case XenditSettings(api="qr_codes"):
            return XenditQrCodes(name, settings, tools.http, tools.notify_url(name))
        case XenditSettings():
            return XenditPaymentRequests(name, settings, tools.http, tools.clock, tools.notify_url(name))
        case SnapSettings():
            return snap_bank(name, settings, tools.http, tools.clock, tools.base_path, tools.notify_url(name))
        case DokuSettings():
            return doku(name, settings, tools.http, tools.clock, tools.base_path, tools.notify_url(name))
        case NicepaySettings():
            return make_nicepay(name, settings, tools.http, tools.clock, tools.notify_url(name))
        case StaticSettings():
            return Static(name, settings, tools.clock)
    raise TypeError(f"no adapter takes {type(settings).__name__}")
