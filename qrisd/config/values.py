"""Single values as a file or the environment has them; what is wrong with one says what to write instead."""

from __future__ import annotations

import json
import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, PlainValidator, SecretStr

from qrisd.domain.callback_signature import secret_key
from qrisd.net.printer import address_of

INDONESIAN_ZONES: Final = {"WIB": "Asia/Jakarta", "WITA": "Asia/Makassar", "WIT": "Asia/Jayapura"}


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError("is no time zone; use a name like Asia/Jakarta, Asia/Makassar or Asia/Jayapura") from None
    return name


def _outlet_zone(name: str) -> str:
    return _zone(INDONESIAN_ZONES.get(name.upper(), name))


def http_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise ValueError("is no web address; use something like https://pay.example.id")
    return url.rstrip("/")


def _rate(text: str) -> str:
    from limits import parse

    try:
        usable = parse(text).amount > 0
    except ValueError:
        usable = False
    if not usable:
        raise ValueError('is no rate; use something like "6000/minute" or "50/second"')
    return text


def _names(value: Any) -> Any:
    """A list in an environment variable: "midtrans, simulator" or ["midtrans", "simulator"]."""
    if not isinstance(value, str):
        return value
    if not value.lstrip().startswith("["):
        return [name.strip() for name in value.split(",") if name.strip()]
    try:
        return json.loads(value)
    except ValueError:
        raise ValueError('is no list; use something like "midtrans, simulator"') from None


def _tables(value: Any) -> Any:
    """Tables in an environment variable, as JSON."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise ValueError("is no table; set one value of it, or give JSON") from None


def _list_of_tables(value: Any) -> Any:
    return () if value == "" else _tables(value)


def _path_not_empty(value: Any) -> Any:
    if value == "":
        raise ValueError('is empty; name a directory, or "." for this one')
    return value


def _time_of_day(text: str) -> str:
    if not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", text):
        raise ValueError('is no time of day; use something like "02:00"')
    return text


def _callback_secret(secret: SecretStr) -> SecretStr:
    secret_key(secret.get_secret_value())
    return secret


def _whole_number(value: Any) -> Any:
    """Digits from the environment as the number they are; all else as it is."""
    return int(value) if isinstance(value, str) and value.isdecimal() else value


def _printer(text: str) -> str:
    try:
        address_of(text)
    except ValueError:
        raise ValueError("is no printer; use its address and port, like 192.168.1.50:9100") from None
    return text


def _network(value: Any) -> IPv4Network | IPv6Network:
    try:
        return ip_network(value)
    except ValueError:
        raise ValueError(f"{value} is no network; use something like 192.168.1.0/24") from None


ZoneName = Annotated[str, AfterValidator(_zone)]
OutletZone = Annotated[str, AfterValidator(_outlet_zone)]
HttpUrl = Annotated[str, AfterValidator(http_url)]
RateLimit = Annotated[str, AfterValidator(_rate)]
TimeOfDay = Annotated[str, AfterValidator(_time_of_day)]
Printer = Annotated[str, AfterValidator(_printer)]
Directory = Annotated[Path, BeforeValidator(_path_not_empty)]
Network = Annotated[IPv4Network | IPv6Network, PlainValidator(_network)]
CallbackSecret = Annotated[SecretStr, AfterValidator(_callback_secret)]

# Of values that are more than text, the text that the environment has for them.
A_LIST: Final = BeforeValidator(_names)
TABLES: Final = BeforeValidator(_tables)
LIST_OF_TABLES: Final = BeforeValidator(_list_of_tables)
A_NUMBER: Final = BeforeValidator(_whole_number)
