"""Every setting, and what follows from them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from qrisd.config.problems import ProviderProblems
from qrisd.config.providers import LOOPBACK, provider_problems, providers_on
from qrisd.config.sections import (
    CallbackSettings,
    MdrSettings,
    OutletSettings,
    PaymentSettings,
    PosSettings,
    RateLimitSettings,
    ReconcileSettings,
    RefundSettings,
    RoutingSettings,
    SettlementSettings,
)
from qrisd.config.values import TABLES, Directory, HttpUrl, ZoneName
from qrisd.domain.business_day import Zones
from qrisd.domain.callback_url import CallbackPolicy
from qrisd.providers.base import ProviderSettings
from qrisd.providers.simulator import SimulatorSettings
from qrisd.providers.static import StaticSettings
from qrisd.reports.presets import DOCUMENTED
from qrisd.reports.settings import layouts_for
from qrisd.reports.sources import Reports

ENV_PREFIX: Final = "QRISD_"


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
    data_dir: Directory = Field(Path("data"), description="Where the database, the keys and the backups lie.")
    host: str = Field("127.0.0.1", min_length=1, description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    base_url: HttpUrl | None = Field(None, description="How the outside reaches us; http://HOST:PORT when unset.")
    currency: Literal["IDR"] = Field("IDR", description="QRIS pays rupiah only.")
    timezone: ZoneName = Field("Asia/Jakarta", description="The merchant's business day.")
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
    outlets: Annotated[dict[str, OutletSettings], TABLES] = Field(
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
        problems = provider_problems(tables, info.data)
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
        return providers_on(self.providers, self.environment)
