"""The bench of the contract suite, once for every kind of provider."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from qrisd.providers.http import ProviderHttp
from tests.fakes.server import LoopbackServer
from tests.providers.bench import Bench, made
from tests.providers.kinds import KINDS, Kind


@pytest.fixture(params=list(KINDS))
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    kind: Kind = KINDS[request.param]
    fake, http = kind.fake(), ProviderHttp()
    await fake.start()
    bench = Bench(kind, fake, made(kind, fake, http, tmp_path, fake.url), http, tmp_path)
    us = LoopbackServer(bench.catch)
    await us.start()
    bench.notify_url = f"{us.url}/webhooks/{kind.name}"
    yield bench
    await us.stop()
    await http.aclose()
    await fake.stop()
