"""What the tests of the pages share."""

from __future__ import annotations

from functools import partial

import argon2
import pytest


@pytest.fixture(autouse=True)
def _quick_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashes of the real kind at a small price; what they cost is tested with the service."""
    quick = partial(argon2.PasswordHasher, time_cost=1, memory_cost=64, parallelism=1)
    monkeypatch.setattr(argon2, "PasswordHasher", quick)
