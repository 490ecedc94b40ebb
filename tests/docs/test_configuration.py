"""Every setting and every command is in the documentation, the sample files load, and links lead somewhere."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from pydantic import BaseModel

from qrisd.cli import app
from qrisd.config import ENV_PREFIX, Settings, load
from qrisd.providers.base import ProviderSettings
from qrisd.providers.registry import SETTINGS

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
CONFIGURATION = (ROOT / "docs/configuration.md").read_text()
COMMANDS = (ROOT / "docs/commands.md").read_text()
TOML = (ROOT / "qrisd.toml").read_text()
DOTENV = (ROOT / ".env.example").read_text()
SETTING_LINE = re.compile(r"^#(?=\S)", re.MULTILINE)  # prose has a space after its "#"


def defaults_of(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, Any]]:
    """(dotted name, default) of every setting in `model`; tables of settings are walked, the providers left out."""
    for name, field in model.model_fields.items():
        default = field.get_default(call_default_factory=True)
        if isinstance(default, BaseModel):
            yield from defaults_of(type(default), f"{prefix}{name}.")
        elif prefix + name != "providers":
            yield prefix + name, default


def own_defaults_of(provider: str) -> Iterator[tuple[str, Any]]:
    """What a provider's table has beside what all have, or has with another default."""
    common = dict(defaults_of(ProviderSettings, ""))
    for name, default in defaults_of(SETTINGS[provider], ""):
        if name not in common or common[name] != default:
            yield f"providers.{provider}.{name}", default


MAIN = list(defaults_of(Settings, ""))
OWN = [setting for provider in SETTINGS for setting in own_defaults_of(provider)]
COMMON = list(defaults_of(ProviderSettings, "providers.NAME."))


def literal(default: Any) -> str:
    """As toml writes it."""
    return json.dumps(str(default) if isinstance(default, Path) else default)


def variable(name: str) -> str:
    return ENV_PREFIX + name.upper().replace(".", "__")


@pytest.mark.parametrize(("name", "default"), MAIN + COMMON + OWN)
def test_a_setting_has_its_row_with_the_true_default(name: str, default: Any) -> None:
    shown = "unset" if default is None else f"`{literal(default)}`"
    assert f"\n| `{name}` | {shown} | `{variable(name)}` | " in CONFIGURATION


def test_the_rows_are_settings_that_exist() -> None:
    rows = re.findall(r"^\| `([a-zA-Z_.]+)` \| .* \| `QRISD_", CONFIGURATION, re.MULTILINE)
    assert sorted(rows) == sorted(name for name, _ in MAIN + COMMON + OWN)


def test_every_provider_type_is_named_where_types_are() -> None:
    row = next(line for line in CONFIGURATION.splitlines() if line.startswith("| `providers.NAME.type`"))
    assert all(f"`{provider}`" in row for provider in SETTINGS)


def sample() -> dict[str, dict[str, tuple[str, str]]]:
    """table -> setting -> (the explanation above it, the value) of qrisd.toml."""
    found: dict[str, dict[str, tuple[str, str]]] = {"": {}}
    table, above = "", ""
    for line in TOML.splitlines():
        if line.startswith("#["):
            table = line[2:-1]
            found[table] = {}
        elif SETTING_LINE.match(line):
            name, _, value = line[1:].partition(" = ")
            found[table][name] = (above, value)
        above = line
    return found


@pytest.mark.parametrize(
    ("name", "default"), MAIN + OWN + [(name.replace("NAME", "midtrans"), default) for name, default in COMMON]
)
def test_a_setting_is_in_the_sample_with_the_true_default(name: str, default: Any) -> None:
    table, _, key = name.rpartition(".")
    explanation, value = sample()[table][key]
    assert explanation.startswith("# ")
    assert "No default" in explanation if default is None else value == literal(default)


@pytest.mark.parametrize(("name", "default"), MAIN)
def test_a_setting_is_in_the_sample_of_the_environment_with_the_true_default(name: str, default: Any) -> None:
    found = re.search(rf"^(# .*)\n#{variable(name)}=(.*)$", DOTENV, re.MULTILINE)
    assert found is not None
    shown = ",".join(default) if isinstance(default, tuple) else str(default)
    assert "No default" in found[1] if default is None else found[2] == shown


@pytest.mark.parametrize("whole", [False, True])
def test_the_sample_of_settings_loads(tmp_path: Path, whole: bool) -> None:
    text = SETTING_LINE.sub("", TOML) if whole else TOML
    (tmp_path / "qrisd.toml").write_text(text)
    assert bool(tomllib.loads(text)) is whole
    assert ("midtrans" in load().provider_settings()) is whole


@pytest.mark.parametrize("whole", [False, True])
def test_the_sample_of_the_environment_loads(tmp_path: Path, whole: bool) -> None:
    (tmp_path / ".env").write_text(SETTING_LINE.sub("", DOTENV) if whole else DOTENV)
    assert ("midtrans" in load().provider_settings()) is whole


def commands(command: Any, name: str) -> Iterator[tuple[str, set[str]]]:
    """(command, its long options) of everything below `command`."""
    for part, child in getattr(command, "commands", {}).items():
        yield from commands(child, f"{name} {part}")
    if not hasattr(command, "commands"):
        yield name, {option for one in command.params for option in one.opts if option.startswith("--")}


@pytest.mark.parametrize(("name", "options"), list(commands(typer.main.get_command(app), "qrisd")))
def test_a_command_has_its_section_with_every_option(name: str, options: set[str]) -> None:
    found = re.search(rf"^##+ `{name}`\n(.*?)(?=^##|\Z)", COMMANDS, re.MULTILINE | re.DOTALL)
    assert found is not None
    assert options - {"--help"} == set(re.findall(r"`(--[a-z-]+)`", found[1]))


def anchors(page: Path) -> set[str]:
    """The headings of a page, as links name them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)", text):
        linked = (page.parent / target).resolve() if target else page
        assert linked.is_file(), target
        assert not anchor or anchor in anchors(linked), f"{target}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_page_can_be_reached_from_the_readme_or_the_index(page: Path) -> None:
    starts = [ROOT / "README.md", ROOT / "docs/index.md"]
    linked = {
        (start.parent / target).resolve()
        for start in starts
        for target in re.findall(r"\]\(([\w./-]+)", start.read_text())
    }
    assert page in {*starts, *linked}
