"""Settings: flags over environment over `.env` over `qrisd.toml` over defaults; read once, checked all at once."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from tomllib import TOMLDecodeError
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from dotenv import dotenv_values
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from qrisd.domain.errors import SettingsError
from qrisd.providers.base import ProviderSettings
from qrisd.providers.registry import SETTINGS
from qrisd.providers.simulator import SimulatorSettings

ENV_PREFIX: Final = "QRISD_"
DEFAULT_FILE: Final = Path("qrisd.toml")
UNKNOWN_SETTING: Final = "there is no such setting; see docs/configuration.md, or remove it"
LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError("is no time zone; use a name like Asia/Jakarta, Asia/Makassar or Asia/Jayapura") from None
    return name


def _http_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise ValueError("is no web address; use something like https://pay.example.id")
    return url.rstrip("/")


def _rate(text: str) -> str:
    from limits import parse

    try:
        parse(text)
    except ValueError:
        raise ValueError('is no rate; use something like "6000/minute" or "50/second"') from None
    return text


class Section(BaseModel):
    """A table of the settings; unknown names in it are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class PaymentSettings(Section):
    """`[payment]`"""

    expires_in: int = Field(900, ge=60, le=604_800, description="Seconds a QR lives when the request does not say.")
    max_amount: int = Field(10_000_000, ge=1, le=10**12, description="Largest amount of one payment, in rupiah.")


class RoutingSettings(Section):
    """`[routing]`"""

    order: tuple[str, ...] = Field((), description="Providers to try, first to last; default_provider when empty.")


class ReconcileSettings(Section):
    """`[reconcile]`"""

    at: str = Field("02:00", pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$", description="Time of day of the nightly run.")


class RateLimitSettings(Section):
    """`[rate_limit]`"""

    per_key: Annotated[str, AfterValidator(_rate)] = Field("6000/minute", description="Requests one API key may make.")
    failed_auth: Annotated[str, AfterValidator(_rate)] = Field(
        "60/minute", description="Requests with a wrong API key one address may make."
    )


class ProviderProblems(ValueError):
    """What is wrong in the `providers` tables: (setting, what to do)."""

    def __init__(self, problems: list[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{name}: {text}" for name, text in problems))
        self.problems = problems


class Settings(BaseSettings):
    """Everything that can be set. `load()` makes one."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        env_nested_delimiter="__",
        extra="ignore",  # what is unknown at the top is named by load()
        frozen=True,
        hide_input_in_errors=True,
        validate_default=True,
    )

    environment: Literal["test", "live"] = Field(
        "test", description="live takes real money and turns the simulator off."
    )
    data_dir: Path = Field(Path("data"), description="Where the database, the keys and the backups lie.")
    host: str = Field("127.0.0.1", min_length=1, description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    base_url: Annotated[str, AfterValidator(_http_url)] | None = Field(
        None, description="How the outside reaches us; http://HOST:PORT when unset."
    )
    currency: Literal["IDR"] = Field("IDR", description="QRIS pays rupiah only.")
    timezone: Annotated[str, AfterValidator(_zone)] = Field("Asia/Jakarta", description="The merchant's business day.")
    default_provider: str = Field("simulator", description="The provider used when a request names none.")
    secret_key: SecretStr | None = Field(
        None, min_length=32, description="Protects what is stored encrypted; made in data_dir when unset."
    )
    payment: PaymentSettings = PaymentSettings()
    routing: RoutingSettings = RoutingSettings()
    reconcile: ReconcileSettings = ReconcileSettings()
    rate_limit: RateLimitSettings = RateLimitSettings()
    providers: dict[str, dict[str, Any]] = Field(default_factory=dict, description="One table per provider.")

    @model_validator(mode="after")
    def _check_providers(self) -> Settings:
        problems = list(_provider_problems(self))
        if problems:
            raise ProviderProblems(problems)
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, dotenv_settings, TomlConfigSettingsSource(settings_cls)

    @property
    def public_base_url(self) -> str | None:
        """base_url when providers on the internet can reach it, else None."""
        host = urlsplit(self.base_url or "").hostname
        return self.base_url if host and host not in LOOPBACK and "." in host else None

    @property
    def address(self) -> str:
        """How we name ourselves in links: base_url, or the address we listen on."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host
        return self.base_url or f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def signature_version(self) -> int:
        """How the generic webhook is signed."""
        simulator = self.provider_settings().get("simulator")
        return simulator.signature_version if isinstance(simulator, SimulatorSettings) else 2

    def provider_settings(self) -> dict[str, ProviderSettings]:
        """The providers that are on, by name: those with credentials, and outside `live` the simulator."""
        tables = dict(self.providers)
        if self.environment == "test":
            tables = {"simulator": {}, **tables}
        read = {name: _read_provider(name, table) for name, table in tables.items()}
        wanted = {name: one for name, one in read.items() if one.configured}
        if self.environment == "live":
            wanted = {name: one for name, one in wanted.items() if not isinstance(one, SimulatorSettings)}
        return wanted


def _read_provider(name: str, table: Mapping[str, Any]) -> ProviderSettings:
    return SETTINGS[table.get("type") or name].model_validate(dict(table))


def _provider_problems(settings: Settings) -> list[tuple[str, str]]:
    problems: list[tuple[str, str]] = []
    for name, table in settings.providers.items():
        problems += _table_problems(name, table, settings.environment)
    if problems:
        return problems
    on = settings.provider_settings()
    for setting, name in [("default_provider", settings.default_provider)] + [
        ("routing.order", name) for name in settings.routing.order
    ]:
        if name not in on:
            known = ", ".join(on) or "none yet"
            problems.append(
                (setting, f"{name} is not a provider that is on ({known}). Configure it under providers.{name}")
            )
    return problems


def _table_problems(name: str, table: Mapping[str, Any], environment: str) -> list[tuple[str, str]]:
    kind = table.get("type") or name
    if kind not in SETTINGS:
        return [(f"providers.{name}.type", f"there is no provider type {kind!r}; the types are {', '.join(SETTINGS)}")]
    try:
        read = _read_provider(name, table)
    except ValidationError as error:
        return [(f"providers.{name}.{where}", text) for where, text in _problems_of(error)]
    return [(f"providers.{name}.base_url", text) for text in _address_problems(read, environment)]


def _address_problems(read: ProviderSettings, environment: str) -> list[str]:
    if read.base_url is None:
        return []
    parts = urlsplit(read.base_url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return ["is no web address; use something like https://api.provider.example"]
    if parts.scheme == "http" and environment == "live":
        return ["must be https:// in live: keys and money must not travel in the clear"]
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        return ["may be http:// only for an address on this machine; use https://"]
    return []


def load(config: Path | None = None, flags: Mapping[str, Any] | None = None) -> Settings:
    """Read the settings. `config` names another toml than ./qrisd.toml; `flags` are the command line's.

    Raises SettingsError listing every problem and what to do about each."""
    file = config or DEFAULT_FILE

    class Loaded(Settings):
        model_config = SettingsConfigDict(toml_file=file, env_file=".env")

    problems = _file_problems(file, required=config is not None) or _unknown_names(file)
    try:
        settings = Loaded(**{key: value for key, value in (flags or {}).items() if value is not None})
    except ValidationError as error:
        problems += _problems_of(error)
    except (TOMLDecodeError, UnicodeDecodeError):
        pass  # already in the listing
    if problems:
        raise SettingsError(_listing(problems))
    return settings


def _file_problems(file: Path, *, required: bool) -> list[tuple[str, str]]:
    try:
        tomllib.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        return [(str(file), "there is no such file; give --config the path of a toml file")] if required else []
    except (TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        return [(str(file), f"cannot be read as TOML: {error}")]
    return []


def _unknown_names(file: Path) -> list[tuple[str, str]]:
    """Names like QRISD_PROT, or tables like [provider], which would otherwise be passed over in silence."""
    known = set(Settings.model_fields)
    tables = tomllib.loads(file.read_text("utf-8")) if file.exists() else {}
    variables = [
        name for name in dict.fromkeys([*os.environ, *dotenv_values(".env")]) if name.upper().startswith(ENV_PREFIX)
    ]
    wrong = [name for name in tables if name not in known]
    wrong += [name for name in variables if name[len(ENV_PREFIX) :].split("__")[0].lower() not in known]
    return [(name, UNKNOWN_SETTING) for name in wrong]


def _problems_of(error: ValidationError) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for item in error.errors(include_input=False, include_url=False):
        cause = item.get("ctx", {}).get("error")
        if isinstance(cause, ProviderProblems):
            found += cause.problems
        else:
            found.append((".".join(map(str, item["loc"])), _advice(item["type"], item["msg"])))
    return found


def _advice(kind: str, message: str) -> str:
    if kind == "extra_forbidden":
        return UNKNOWN_SETTING
    return message.removeprefix("Value error, ")


def _listing(problems: list[tuple[str, str]]) -> str:
    lines = [f"  {name}: {text}" for name, text in problems]
    return "The settings cannot be used:\n" + "\n".join(lines)
