"""What every test may ask for: an installation in a temporary directory, in this process or as the real command."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support.clock import FakeClock
from tests.support.installation import Installation
from tests.support.server import LiveServer


@pytest.fixture(autouse=True)
def _quiet_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings of the developer's own may leak in: not from the environment, .env or qrisd.toml."""
    import os

    for name in list(os.environ):
        if name.startswith("QRISD_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def shop(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Installation]:
    """A running installation with the simulator, in this process, on a clock the test sets."""
    async with Installation(tmp_path / "data", clock).running() as running:
        yield running


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LiveServer]:
    """`qrisd serve` as a process of its own, on real time."""
    with LiveServer(tmp_path / "data") as running:
        yield running
