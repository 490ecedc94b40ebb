"""Settings: which source wins, what text from the environment becomes, and how every broken start is told."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from qrisd.config import Settings, load
from qrisd.domain.errors import SettingsError
from qrisd.providers.midtrans.account import MidtransSettings
from tests.support.server import LiveServer

SECRET = "s3cret-that-nobody-may-see"


def problems(toml: str = "", env: Mapping[str, str] | None = None, dotenv: str = "") -> dict[str, str]:
    """The listing of a broken start: setting -> what to do."""
    Path("qrisd.toml").write_text(toml)
    Path(".env").write_text(dotenv)
    os.environ.update(env or {})
    with pytest.raises(SettingsError) as caught:
        load()
    head, *lines = str(caught.value).splitlines()
    assert head == "The settings cannot be used:"
    assert SECRET not in str(caught.value)
    return dict(line.strip().split(": ", 1) for line in lines)


@pytest.fixture(autouse=True)
def _environment_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", dict(os.environ))


def midtrans(settings: Settings) -> MidtransSettings:
    found = settings.provider_settings()["midtrans"]
    assert isinstance(found, MidtransSettings)
    return found


def test_flags_win_over_environment_over_dotenv_over_toml_over_defaults() -> None:
    seen = [load().port]
    Path("qrisd.toml").write_text("port = 8001")
    seen.append(load().port)
    Path(".env").write_text("QRISD_PORT=8002")
    seen.append(load().port)
    os.environ["QRISD_PORT"] = "8003"
    seen.append(load().port)
    seen.append(load(flags={"port": 8004}).port)
    assert seen == [8000, 8001, 8002, 8003, 8004]


def test_a_flag_that_was_not_given_does_not_win() -> None:
    Path("qrisd.toml").write_text("port = 8001")
    assert load(flags={"port": None}).port == 8001


def test_sources_are_merged_setting_by_setting_inside_a_table() -> None:
    Path("qrisd.toml").write_text("[payment]\nexpires_in = 60\nmax_amount = 5000\n[providers.midtrans]\ntimeout = 3")
    Path(".env").write_text("QRISD_PROVIDERS__MIDTRANS__SERVER_KEY=k")
    os.environ["QRISD_PAYMENT__EXPIRES_IN"] = "120"
    settings = load()
    assert (settings.payment.expires_in, settings.payment.max_amount) == (120, 5000)
    assert midtrans(settings).timeout == 3


def test_another_toml_can_be_named(tmp_path: Path) -> None:
    Path("qrisd.toml").write_text("port = 8001")
    (tmp_path / "other.toml").write_text("port = 8002")
    assert load(tmp_path / "other.toml").port == 8002


@pytest.mark.parametrize("key", ["SB-Mid-server-abc", "12345", "1e5", "true", "null", '{"a": 1}', "[1]"])
def test_a_secret_from_the_environment_stays_the_text_it_is(key: str) -> None:
    os.environ["QRISD_PROVIDERS__MIDTRANS__SERVER_KEY"] = key
    found = midtrans(load()).server_key
    assert found is not None
    assert found.get_secret_value() == key


@pytest.mark.parametrize("order", ["midtrans,simulator", " midtrans , simulator", '["midtrans", "simulator"]'])
def test_a_list_in_the_environment_has_commas_or_is_json(order: str) -> None:
    os.environ |= {"QRISD_PROVIDERS__MIDTRANS__SERVER_KEY": "k", "QRISD_ROUTING__ORDER": order}
    assert load().routing.order == ("midtrans", "simulator")


def test_a_number_in_the_environment_becomes_one() -> None:
    os.environ |= {
        "QRISD_PROVIDERS__MIDTRANS__SERVER_KEY": "k",
        "QRISD_PROVIDERS__MIDTRANS__TIMEOUT": "2.5",
        "QRISD_PROVIDERS__SIMULATOR__SIGNATURE_VERSION": "1",
    }
    assert midtrans(load()).timeout == 2.5
    assert load().signature_version == 1


def test_a_provider_may_have_another_name_than_its_type() -> None:
    Path("qrisd.toml").write_text('[providers.second-shop]\ntype = "midtrans"\nserver_key = "k"')
    assert isinstance(load().provider_settings()["second-shop"], MidtransSettings)


def test_a_provider_without_credentials_is_off() -> None:
    Path("qrisd.toml").write_text("[providers.midtrans]\ntimeout = 3")
    assert list(load().provider_settings()) == ["simulator"]


def test_live_turns_the_simulator_off() -> None:
    Path("qrisd.toml").write_text(
        'environment = "live"\ndefault_provider = "midtrans"\n[providers.midtrans]\nserver_key = "k"\n'
        '[providers.simulator]\nmerchant_name = "TOKO"\n[providers.other]\ntype = "simulator"'
    )
    assert list(load().provider_settings()) == ["midtrans"]


def test_where_there_is_an_order_the_default_provider_need_not_be_on() -> None:
    Path("qrisd.toml").write_text(
        'environment = "live"\n[routing]\norder = ["midtrans"]\n[providers.midtrans]\nserver_key = "k"'
    )
    assert load().routing.order == ("midtrans",)


BROKEN = {
    "unknown at the top": ("prot = 8001", {"prot": "there is no such setting"}),
    "unknown in a section": ("[payment]\nexpires = 60", {"payment.expires": "there is no such setting"}),
    "unknown in a provider": (
        "[providers.midtrans]\nserver_kei = 1",
        {"providers.midtrans.server_kei": "there is no such setting"},
    ),
    "unknown table": ("[provider.midtrans]\nserver_key = 1", {"provider": "there is no such setting"}),
    "bad address": ('base_url = "pay.example.id"', {"base_url": "is no web address"}),
    "address with a query": ('base_url = "https://pay.example.id/?a=b"', {"base_url": "is no web address"}),
    "provider's bad address": (
        '[providers.midtrans]\nbase_url = "https://[::1"',
        {"providers.midtrans.base_url": "is no web address"},
    ),
    "provider without TLS": (
        '[providers.midtrans]\nbase_url = "http://api.example.id"',
        {"providers.midtrans.base_url": "use https://"},
    ),
    "provider without TLS in live": (
        'environment = "live"\n[providers.midtrans]\nserver_key = "k"\nbase_url = "http://127.0.0.1:1"',
        {"providers.midtrans.base_url": "must be https:// in live"},
    ),
    "weak secret key": ('secret_key = "short"', {"secret_key": "at least 32 characters"}),
    "weak webhook secret": (
        '[providers.simulator]\nwebhook_secret = "short"',
        {"providers.simulator.webhook_secret": "at least 16 characters"},
    ),
    "port out of range": ("port = 65536", {"port": "less than or equal to 65535"}),
    "port that is no number": ('port = "http"', {"port": "must be a whole number"}),
    "time zone": ('timezone = "WIB"', {"timezone": "use a name like Asia/Jakarta"}),
    "currency": ('currency = "USD"', {"currency": "must be 'IDR'"}),
    "environment": ('environment = "prod"', {"environment": "must be 'test' or 'live'"}),
    "empty data_dir": ('data_dir = ""', {"data_dir": "is empty"}),
    "default provider that is off": (
        'default_provider = "midtrans"',
        {"default_provider": "midtrans is not a provider that is on (simulator)"},
    ),
    "simulator in live": ('environment = "live"', {"default_provider": "the simulator is off in live"}),
    "order with one that is off": (
        '[routing]\norder = ["simulator", "midtrans"]',
        {"routing.order": "midtrans is not a provider that is on"},
    ),
    "unknown type": ('[providers.bank]\ntype = "bank"', {"providers.bank.type": "the types are simulator, midtrans"}),
    "type that is no text": ("[providers.bank]\ntype = [1]", {"providers.bank.type": "there is no provider type"}),
    "name for a provider": ('[providers."My Bank"]\ntype = "midtrans"', {"providers.My Bank": "is no name"}),
    "name of the generic webhook": ('[providers.qris]\ntype = "midtrans"', {"providers.qris": "is no name"}),
    "rate": ('[rate_limit]\nper_key = "many"', {"rate_limit.per_key": "is no rate"}),
    "rate of nothing": ('[rate_limit]\nfailed_auth = "0/minute"', {"rate_limit.failed_auth": "is no rate"}),
    "time of day": ('[reconcile]\nat = "25:00"', {"reconcile.at": 'use something like "02:00"'}),
    "value for a table": ("payment = 900", {"payment": "is a table, not a value"}),
    "value for a provider": ('[providers]\nmidtrans = "key"', {"providers.midtrans": "is a table, not a value"}),
    "broken TOML": ("port = = 1", {"qrisd.toml": "cannot be read as TOML"}),
}


@pytest.mark.parametrize(("toml", "wanted"), BROKEN.values(), ids=BROKEN)
def test_a_broken_start_names_the_setting_and_what_to_do(toml: str, wanted: dict[str, str]) -> None:
    found = problems(toml)
    assert found.keys() == wanted.keys()
    assert all(text in found[name] for name, text in wanted.items())


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("QRISD_PROT", "1", {"QRISD_PROT": "there is no such setting"}),
        ("qrisd_prot", "1", {"qrisd_prot": "there is no such setting"}),
        ("QRISD_PAYMENT", "900", {"payment": "is a table, not a value"}),
        ("QRISD_PROVIDERS", SECRET, {"providers": "is a table, not a value"}),
        ("QRISD_PROVIDERS__MIDTRANS", SECRET, {"providers.midtrans": "is a table, not a value"}),
        ("QRISD_PROVIDERS__MIDTRANS__KEY", SECRET, {"providers.midtrans.key": "there is no such setting"}),
        ("QRISD_ROUTING__ORDER", "[simulator", {"routing.order": "is no list"}),
        ("QRISD_PORT", "", {"port": "must be a whole number"}),
    ],
)
@pytest.mark.parametrize("in_file", [False, True])
def test_a_broken_variable_is_named(name: str, value: str, wanted: dict[str, str], in_file: bool) -> None:
    found = problems(dotenv=f"{name}={value}") if in_file else problems(env={name: value})
    assert found.keys() == wanted.keys()
    assert all(text in found[key] for key, text in wanted.items())


def test_every_problem_is_in_one_listing() -> None:
    toml = (
        'prot = 1\nport = "x"\nbase_url = "x"\ndefault_provider = "x"\n[payment]\nexpires_in = 1\n[rate_limit]\n'
        f'per_key = "x"\n[providers.midtrans]\nserver_kei = "{SECRET}"\n[providers.bank]\nclient_secret = "{SECRET}"\n'
        f'[providers.simulator]\nwebhook_secret = ["{SECRET}"]'
    )
    found = problems(toml, {"QRISD_SECRET_KEY": SECRET, "QRISD_FOO": SECRET}, "QRISD_BAR=1")
    assert set(found) == {
        *("prot", "QRISD_FOO", "QRISD_BAR", "port", "base_url", "secret_key", "payment.expires_in"),
        *("rate_limit.per_key", "providers.midtrans.server_kei", "providers.bank.type"),
        "providers.simulator.webhook_secret",
    }


def test_a_provider_that_is_off_is_named_beside_other_problems() -> None:
    assert set(problems('port = "x"\ndefault_provider = "midtrans"')) == {"port", "default_provider"}


def test_both_unreadable_files_are_named() -> None:
    assert set(problems("port = = 1", dotenv="QRISD_PORT 'x")) == {"qrisd.toml", ".env"}


def test_a_dotenv_that_is_no_text_is_named() -> None:
    Path(".env").write_bytes(b"QRISD_PORT=\xff")
    with pytest.raises(SettingsError, match=r"\.env: is no UTF-8 text"):
        load()


@pytest.mark.parametrize("name", ["missing.toml", "."])
def test_a_named_file_must_be_there(name: str) -> None:
    with pytest.raises(SettingsError, match=r"there is no such file|cannot be read"):
        load(Path(name))


@pytest.mark.parametrize(
    ("name", "value", "advice"),
    [
        ("QRISD_POS__PAPER_MM", "70", "pos.paper_mm: must be 58 or 80"),
        ("QRISD_POS__PRINTER", "192.168.1.50", "pos.printer: is no printer; use its address and port"),
        ("QRISD_POS__PRINTER", "http://192.168.1.50:9100", "pos.printer: is no printer"),
    ],
)
def test_a_printer_and_its_paper_are_judged_at_the_start(name: str, value: str, advice: str) -> None:
    os.environ |= {"QRISD_POS__PAPER_MM": "80", "QRISD_POS__PRINTER": "192.168.1.50:9100"}
    assert (load().pos.paper_mm, load().pos.printer) == (80, "192.168.1.50:9100")
    os.environ[name] = value
    with pytest.raises(SettingsError, match=advice):
        load()


def test_secrets_are_not_shown_when_settings_are_printed() -> None:
    os.environ |= {"QRISD_SECRET_KEY": SECRET * 2, "QRISD_PROVIDERS__MIDTRANS__SERVER_KEY": SECRET}
    settings = load()
    assert SECRET not in repr(settings.provider_settings())
    assert SECRET not in repr(settings)


def test_a_broken_start_exits_1_with_the_listing_on_stderr(tmp_path: Path) -> None:
    done = LiveServer(tmp_path / "data", {"QRISD_PORT": "x", "QRISD_PROT": SECRET}).run("serve")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[0] == "qrisd: The settings cannot be used:"
    assert {line.split(":")[0].strip() for line in done.stderr.splitlines()[1:]} == {"QRISD_PROT", "port"}
    assert SECRET not in done.stderr
    assert not (tmp_path / "data").exists()
