"""Settings: flags over environment over `.env` over `qrisd.toml` over defaults; read once, checked all at once."""

from qrisd.config.loading import DEFAULT_FILE, load
from qrisd.config.settings import ENV_PREFIX, Settings

__all__ = ["DEFAULT_FILE", "ENV_PREFIX", "Settings", "load"]
