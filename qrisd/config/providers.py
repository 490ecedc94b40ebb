"""The tables of the providers: which are on, and what is wrong with them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from pydantic import ValidationError

from qrisd.config.problems import problems_of
from qrisd.config.values import http_url
from qrisd.providers.base import ProviderSettings
from qrisd.providers.registry import SETTINGS
from qrisd.providers.simulator import SimulatorSettings

LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
# A provider's name stands in its webhooks' address and in the names of environment variables.
PROVIDER_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,31}")
GENERIC_WEBHOOK: Final = "qris"


def providers_on(tables: Mapping[str, Mapping[str, Any]], environment: str) -> dict[str, ProviderSettings]:
    if environment == "test":
        tables = {"simulator": {}, **tables}
    wanted = {name: one for name, table in tables.items() if (one := _read_provider(name, table)).configured}
    if environment == "live":
        wanted = {name: one for name, one in wanted.items() if not isinstance(one, SimulatorSettings)}
    return wanted


def _read_provider(name: str, table: Mapping[str, Any]) -> ProviderSettings:
    return SETTINGS[table.get("type") or name].model_validate(dict(table))


def provider_problems(tables: Mapping[str, Mapping[str, Any]], others: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What is wrong with `tables`, and with the providers that the `others`, the settings that are right, name."""
    environment = others.get("environment", "test")
    problems = [problem for name, table in tables.items() for problem in _table_problems(name, table, environment)]
    if problems or "environment" not in others:
        return problems
    on = providers_on(tables, environment)
    return [(setting, _how_to_use(name, on, environment)) for setting, name in _named(others) if name not in on]


def _named(others: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """(setting, the provider it names); where there is an order, the default is not asked for."""
    order = others["routing"].order if "routing" in others else ()
    for name in order:
        yield "routing.order", name
    if not order and "default_provider" in others:
        yield "default_provider", others["default_provider"]


def _how_to_use(name: str, on: Iterable[str], environment: str) -> str:
    if name == "simulator" and environment == "live":
        return "the simulator is off in live. Name a provider that takes real money, and configure it under providers"
    known = ", ".join(on) or "none yet"
    return f"{name} is not a provider that is on ({known}). Set its credentials under providers.{name}"


def _table_problems(name: str, table: Mapping[str, Any], environment: str) -> list[tuple[str, str]]:
    if not PROVIDER_NAME.fullmatch(name) or name == GENERIC_WEBHOOK:
        return [(f"providers.{name}", 'is no name for a provider; use small letters, digits, _ and -, and not "qris"')]
    kind = table.get("type") or name
    if not isinstance(kind, str) or kind not in SETTINGS:
        return [(f"providers.{name}.type", f"there is no provider type {kind!r}; the types are {', '.join(SETTINGS)}")]
    try:
        read = _read_provider(name, table)
    except ValidationError as error:
        return [(f"providers.{name}.{where}", text) for where, text in problems_of(error)]
    return [(f"providers.{name}.base_url", text) for text in _address_problems(read, environment)]


def _address_problems(read: ProviderSettings, environment: str) -> list[str]:
    if read.base_url is None:
        return []
    try:
        parts = urlsplit(http_url(read.base_url))
    except ValueError:
        return ["is no web address; use something like https://api.provider.example"]
    if parts.scheme == "http" and environment == "live":
        return ["must be https:// in live: keys and money must not travel in the clear"]
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        return ["may be http:// only for an address on this machine; use https://"]
    return []
