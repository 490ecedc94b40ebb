"""What the fault tests share: a book of what the provider was asked for, and the check at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from qrisd.domain.payment import Observation
from qrisd.providers.base import Charge
from qrisd.providers.simulator import Simulator
from qrisd.store.db import connect
from tests.faults.history import database_violations
from tests.support.installation import Installation


@pytest.fixture
def charged(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The provider's own book: the reference of every charge it was asked for."""
    book: list[str] = []
    create_qr = Simulator.create_qr

    async def noted(self: Simulator, charge: Charge) -> Observation:
        book.append(charge.reference)
        return await create_qr(self, charge)

    monkeypatch.setattr(Simulator, "create_qr", noted)
    return book


@pytest.fixture
def check_everything(shop: Installation) -> Iterator[Callable[[], None]]:
    """Checks every invariant of the shop's database, whenever called and once more at the end of the test."""

    def check() -> None:
        with closing(connect(shop.data_dir.database, read_only=True)) as conn:
            assert database_violations(conn) == []

    yield check
    check()
