"""Reading the settings: from the command line, the environment, `.env` and `qrisd.toml`."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from tomllib import TOMLDecodeError
from typing import Any, Final

from dotenv import dotenv_values
from dotenv.parser import parse_stream
from pydantic import ValidationError
from pydantic_settings import SettingsConfigDict

from qrisd.config.problems import UNKNOWN_SETTING, listing, problems_of
from qrisd.config.settings import ENV_PREFIX, Settings
from qrisd.domain.errors import SettingsError

DEFAULT_FILE: Final = Path("qrisd.toml")
DOTENV: Final = Path(".env")


def load(config: Path | None = None, flags: Mapping[str, Any] | None = None) -> Settings:
    """Read the settings. `config` names another toml than ./qrisd.toml; `flags` are the command line's.

    Raises SettingsError listing every problem and what to do about each."""
    file = config or DEFAULT_FILE
    unreadable = _toml_problems(file, required=config is not None) + _dotenv_problems()
    if unreadable:
        raise SettingsError(listing(unreadable))

    class Loaded(Settings):
        model_config = SettingsConfigDict(toml_file=file, env_file=DOTENV)

    problems = _unknown_names(file)
    try:
        settings = Loaded(**{key: value for key, value in (flags or {}).items() if value is not None})
    except ValidationError as error:
        problems += problems_of(error)
    if problems:
        raise SettingsError(listing(problems))
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
