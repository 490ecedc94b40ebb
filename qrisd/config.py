"""Settings: flags over environment over `.env` over `qrisd.toml` over defaults; read once, checked all at once."""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from datetime import date
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from tomllib import TOMLDecodeError
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from dotenv import dotenv_values
from dotenv.parser import parse_stream
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from qrisd.domain.business_day import Zones
from qrisd.domain.callback_signature import secret_key
from qrisd.domain.callback_url import CallbackPolicy
from qrisd.domain.errors import SettingsError
from qrisd.domain.mdr import WHOLE, Criteria, Mdr, Rate, Rounding, Terms
from qrisd.domain.receipt import PaperMm
from qrisd.net.printer import address_of
from qrisd.providers.base import ProviderSettings
from qrisd.providers.registry import SETTINGS
from qrisd.providers.simulator import SimulatorSettings
from qrisd.providers.static import StaticSettings
from qrisd.reports.presets import DOCUMENTED
from qrisd.reports.settings import LayoutSettings, layouts_for
from qrisd.reports.sources import Reports

ENV_PREFIX: Final = "QRISD_"
DEFAULT_FILE: Final = Path("qrisd.toml")
DOTENV: Final = Path(".env")
UNKNOWN_SETTING: Final = "there is no such setting; see docs/configuration.md, or remove it"
LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
# A provider's name stands in its webhooks' address and in the names of environment variables.
PROVIDER_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,31}")
GENERIC_WEBHOOK: Final = "qris"
INDONESIAN_ZONES: Final = {"WIB": "Asia/Jakarta", "WITA": "Asia/Makassar", "WIT": "Asia/Jayapura"}


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError("is no time zone; use a name like Asia/Jakarta, Asia/Makassar or Asia/Jayapura") from None
    return name


def _outlet_zone(name: str) -> str:
    return _zone(INDONESIAN_ZONES.get(name.upper(), name))


def _http_url(url: str) -> str:
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


Network = Annotated[IPv4Network | IPv6Network, PlainValidator(_network)]
CallbackSecret = Annotated[SecretStr, AfterValidator(_callback_secret)]


class Section(BaseModel):
    """A table of the settings; unknown names in it are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class PaymentSettings(Section):
    """`[payment]`"""

    expires_in: int = Field(900, ge=60, le=604_800, description="Seconds a QR lives when the request does not say.")
    max_amount: int = Field(10_000_000, ge=1, le=10**12, description="Largest amount of one payment, in rupiah.")


class RoutingSettings(Section):
    """`[routing]`"""

    order: Annotated[tuple[str, ...], BeforeValidator(_names)] = Field(
        (), description="Providers to try, first to last; default_provider when empty."
    )


class ReconcileSettings(Section):
    """`[reconcile]`"""

    at: Annotated[str, AfterValidator(_time_of_day)] = Field("02:00", description="Time of day of the nightly run.")
    settles_after_days: int = Field(
        3, ge=0, le=60, description="Days after a payment until it must have been paid out."
    )
    calls_per_second: int = Field(
        25, ge=1, le=1000, description="Questions a second that one provider is asked while a day is reconciled."
    )


class SettlementSettings(Section):
    """`[settlements]`"""

    layouts: Annotated[dict[str, LayoutSettings], BeforeValidator(_tables)] = Field(
        default_factory=dict, description="Reports that no preset knows, one table each."
    )


class RateSettings(Section):
    """`[[mdr.rates]]`: a rate over Bank Indonesia's."""

    since: date = Field(description="The first day it holds.")
    criteria: Annotated[tuple[Criteria, ...], BeforeValidator(_names)] = Field(
        min_length=1, description="Whom it is for: " + ", ".join(Criteria) + "."
    )
    basis_points: int = Field(ge=0, le=WHOLE, description="Hundredths of a percent of the whole amount.")
    free_up_to: int = Field(0, ge=0, description="Rupiah up to which, itself included, nothing is kept.")
    provider: str | None = Field(None, description="Only for this provider.")


class TermsSettings(Section):
    """`[mdr.providers.NAME]`"""

    vat_basis_points: int = Field(0, ge=0, le=WHOLE, description="VAT on top of the fee, in hundredths of a percent.")
    rounding: Rounding = Field("up", description="What becomes of a fraction of a rupiah: up, half_up or down.")


class MdrSettings(Section):
    """`[mdr]`: the fee that is expected of a payment."""

    criteria: Criteria | None = Field(None, description="What the merchant is, where the QRIS does not say it.")
    rates: Annotated[tuple[RateSettings, ...], BeforeValidator(_list_of_tables)] = Field(
        (), description="Rates that hold instead of Bank Indonesia's."
    )
    providers: Annotated[dict[str, TermsSettings], BeforeValidator(_tables)] = Field(
        default_factory=dict, description="What a provider adds to the fee, and how it rounds, by name."
    )

    @property
    def table(self) -> Mdr:
        """The rates in force."""
        return Mdr(
            own_rates=[Rate(**rate.model_dump()) for rate in self.rates],
            terms={name: Terms(**one.model_dump()) for name, one in self.providers.items()},
            criteria=self.criteria,
        )


class RefundSettings(Section):
    """`[refunds]`"""

    approval_above: int = Field(
        0,
        ge=0,
        le=10**12,
        description="Rupiah of one payment that may go back without approval; 0: every refund needs it.",
    )
    approval_expires_in: int = Field(
        86_400, ge=60, le=2_592_000, description="Seconds a refund waits for approval before it ends."
    )


class OutletSettings(Section):
    """`[outlets.NAME]`"""

    timezone: Annotated[str, AfterValidator(_outlet_zone)] = Field(
        description="The outlet's own business day: WIB, WITA, WIT, or the name of a time zone."
    )


class CallbackSettings(Section):
    """`[callbacks]`"""

    secret: CallbackSecret | None = Field(None, description="Signs callbacks, whsec_...; made in data_dir when unset.")
    old_secret: CallbackSecret | None = Field(
        None, description="Signs beside secret while your receivers change over to the new one."
    )
    allow_networks: Annotated[tuple[Network, ...], BeforeValidator(_names)] = Field(
        (), description="Private networks callbacks may go to, such as 192.168.1.0/24; none when empty."
    )
    allow_loopback: bool = Field(False, description="Callbacks to this machine itself, for development; test only.")

    @property
    def secrets(self) -> tuple[str, ...]:
        """The secrets given here, newest first."""
        return tuple(one.get_secret_value() for one in (self.secret, self.old_secret) if one is not None)

    @model_validator(mode="after")
    def _new_before_old(self) -> CallbackSettings:
        if self.old_secret is not None and self.secret is None:
            raise ValueError("old_secret signs beside secret: set callbacks.secret to the new one too")
        return self


class RateLimitSettings(Section):
    """`[rate_limit]`"""

    per_key: Annotated[str, AfterValidator(_rate)] = Field("6000/minute", description="Requests one API key may make.")
    failed_auth: Annotated[str, AfterValidator(_rate)] = Field(
        "60/minute", description="Requests with a wrong API key one address may make."
    )


class PosSettings(Section):
    """`[pos]`: the till; the limits count for each cashier."""

    create_limit: Annotated[str, AfterValidator(_rate)] = Field("10/minute", description="QRs one cashier may make.")
    check_limit: Annotated[str, AfterValidator(_rate)] = Field(
        "30/minute", description="Times one cashier may have the provider asked."
    )
    cancel_limit: Annotated[str, AfterValidator(_rate)] = Field(
        "5/minute", description="Payments one cashier may cancel."
    )
    test_connection_limit: Annotated[str, AfterValidator(_rate)] = Field(
        "3/minute", description="Times one cashier may test the connection."
    )
    paper_mm: Annotated[PaperMm, BeforeValidator(_whole_number)] = Field(
        58, description="Width of the receipt paper in millimetres: 58 or 80."
    )
    printer: Annotated[str, AfterValidator(_printer)] | None = Field(
        None, description="The receipt printer in the shop's network, HOST:PORT; only browsers print when unset."
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
        enable_decoding=False,  # text from the environment stays text: a secret may look like a number or like JSON
        extra="ignore",  # what is unknown at the top is named by load()
        frozen=True,
        hide_input_in_errors=True,
        validate_default=True,
    )

    environment: Literal["test", "live"] = Field(
        "test", description="live takes real money and turns the simulator off."
    )
    data_dir: Annotated[Path, BeforeValidator(_path_not_empty)] = Field(
        Path("data"), description="Where the database, the keys and the backups lie."
    )
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
    callbacks: CallbackSettings = CallbackSettings()
    refunds: RefundSettings = RefundSettings()
    reconcile: ReconcileSettings = ReconcileSettings()
    settlements: SettlementSettings = SettlementSettings()
    mdr: MdrSettings = MdrSettings()
    outlets: Annotated[dict[str, OutletSettings], BeforeValidator(_tables)] = Field(
        default_factory=dict, description="Outlets whose business day is not the merchant's, by name."
    )
    rate_limit: RateLimitSettings = RateLimitSettings()
    pos: PosSettings = PosSettings()
    providers: dict[str, dict[str, Any]] = Field(
        default_factory=dict, repr=False, description="One table per provider; its secrets are still plain text here."
    )

    @field_validator("callbacks")
    @classmethod
    def _check_callbacks(cls, callbacks: CallbackSettings, info: ValidationInfo) -> CallbackSettings:
        if callbacks.allow_loopback and info.data.get("environment") == "live":
            raise ValueError("allow_loopback is for development: in live it must be false")
        return callbacks

    @field_validator("providers")
    @classmethod
    def _check_providers(cls, tables: dict[str, dict[str, Any]], info: ValidationInfo) -> dict[str, dict[str, Any]]:
        """Judged as a field, so that it is in the same listing as what is wrong elsewhere."""
        problems = _provider_problems(tables, info.data)
        if problems:
            raise ProviderProblems(problems)
        return tables

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
    def zones(self) -> Zones:
        """Where whose business day begins."""
        own = {name: ZoneInfo(outlet.timezone) for name, outlet in self.outlets.items()}
        return Zones(ZoneInfo(self.timezone), own)

    @property
    def reports(self) -> Reports:
        """The settlement reports that can be imported: of every provider named here, and of those whose reports are
        documented."""
        described, on = self.settlements.layouts, self.provider_settings()
        names = [*on, *self.providers, *(one.provider for one in described.values()), *DOCUMENTED]
        kinds = {name: {name, self.providers.get(name, {}).get("type") or name} for name in names}
        unique = [name for name, one in on.items() if isinstance(one, StaticSettings) and one.unique_amount]
        return Reports(
            layouts={name: layouts_for(described, name, kinds[name]) for name in kinds},
            by_amount=frozenset(unique),
            zone=ZoneInfo(self.timezone),
        )

    @property
    def callback_policy(self) -> CallbackPolicy:
        """Where callbacks may go."""
        public = urlsplit(self.address)
        port = public.port or {"http": 80, "https": 443}[public.scheme]
        return CallbackPolicy(
            is_live=self.environment == "live",
            own=frozenset({(public.hostname or "", port), (self.host, self.port)}),
            allowed=self.callbacks.allow_networks,
            allows_loopback=self.callbacks.allow_loopback,
        )

    @property
    def signature_version(self) -> int:
        """How the generic webhook is signed."""
        simulator = self.provider_settings().get("simulator")
        return simulator.signature_version if isinstance(simulator, SimulatorSettings) else 2

    def provider_settings(self) -> dict[str, ProviderSettings]:
        """The providers that are on, by name: those with credentials, and outside `live` the simulator."""
        return _providers_on(self.providers, self.environment)


def _providers_on(tables: Mapping[str, Mapping[str, Any]], environment: str) -> dict[str, ProviderSettings]:
    if environment == "test":
        tables = {"simulator": {}, **tables}
    wanted = {name: one for name, table in tables.items() if (one := _read_provider(name, table)).configured}
    if environment == "live":
        wanted = {name: one for name, one in wanted.items() if not isinstance(one, SimulatorSettings)}
    return wanted


def _read_provider(name: str, table: Mapping[str, Any]) -> ProviderSettings:
    return SETTINGS[table.get("type") or name].model_validate(dict(table))


def _provider_problems(tables: Mapping[str, Mapping[str, Any]], others: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What is wrong with `tables`, and with the providers that the `others`, the settings that are right, name."""
    environment = others.get("environment", "test")
    problems = [problem for name, table in tables.items() for problem in _table_problems(name, table, environment)]
    if problems or "environment" not in others:
        return problems
    on = _providers_on(tables, environment)
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
        return [(f"providers.{name}.{where}", text) for where, text in _problems_of(error)]
    return [(f"providers.{name}.base_url", text) for text in _address_problems(read, environment)]


def _address_problems(read: ProviderSettings, environment: str) -> list[str]:
    if read.base_url is None:
        return []
    try:
        parts = urlsplit(_http_url(read.base_url))
    except ValueError:
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
    unreadable = _toml_problems(file, required=config is not None) + _dotenv_problems()
    if unreadable:
        raise SettingsError(_listing(unreadable))

    class Loaded(Settings):
        model_config = SettingsConfigDict(toml_file=file, env_file=DOTENV)

    problems = _unknown_names(file)
    try:
        settings = Loaded(**{key: value for key, value in (flags or {}).items() if value is not None})
    except ValidationError as error:
        problems += _problems_of(error)
    if problems:
        raise SettingsError(_listing(problems))
    return settings


def _toml_problems(file: Path, *, required: bool) -> list[tuple[str, str]]:
    try:
        tomllib.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        return [(str(file), "there is no such file; give --config the path of a toml file")] if required else []
    except (TOMLDecodeError, UnicodeDecodeError) as error:
        return [(str(file), f"cannot be read as TOML: {error}")]
    except OSError as error:
        return [(str(file), f"cannot be read: {error.strerror}")]
    return []


def _dotenv_problems() -> list[tuple[str, str]]:
    try:
        with DOTENV.open(encoding="utf-8") as file:
            return [
                (str(DOTENV), f"line {one.original.line} cannot be read; write NAME=value, or NAME='value' with quotes")
                for one in parse_stream(file)
                if one.error
            ]
    except FileNotFoundError:
        return []
    except UnicodeDecodeError:
        return [(str(DOTENV), "is no UTF-8 text; save it as UTF-8")]
    except OSError as error:
        return [(str(DOTENV), f"cannot be read: {error.strerror}")]


def _unknown_names(file: Path) -> list[tuple[str, str]]:
    """Names like QRISD_PROT, or tables like [provider], which would otherwise be passed over in silence."""
    known = set(Settings.model_fields)
    tables = tomllib.loads(file.read_text("utf-8")) if file.exists() else {}
    in_dotenv = dotenv_values(DOTENV, interpolate=False)
    variables = [name for name in dict.fromkeys([*os.environ, *in_dotenv]) if name.upper().startswith(ENV_PREFIX)]
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
            found.append((".".join(map(str, item["loc"])), _advice(item["type"], item["msg"], item.get("ctx", {}))))
    return found


def _advice(kind: str, message: str, limits: Mapping[str, Any]) -> str:
    if kind == "extra_forbidden":
        return UNKNOWN_SETTING
    if kind in ("dict_type", "model_type"):
        return "is a table, not a value; see docs/configuration.md"
    if kind in ("too_short", "string_too_short"):
        return f"is too short; give at least {limits['min_length']} characters"
    if kind in ("too_long", "string_too_long"):
        return f"is too long; give at most {limits['max_length']} characters"
    if kind in ("int_parsing", "int_type", "int_from_float"):
        return "must be a whole number"
    return message.removeprefix("Value error, ").replace("Input should be", "must be")


def _listing(problems: list[tuple[str, str]]) -> str:
    lines = [f"  {name}: {text}" for name, text in problems]
    return "The settings cannot be used:\n" + "\n".join(lines)
