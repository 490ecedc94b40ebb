"""ID: the same request again, in every way it can come again."""

from __future__ import annotations

import asyncio
from contextlib import closing
from typing import Any

import httpx
import pytest

from qrisd.services import api_keys
from qrisd.store.db import connect
from tests.faults.history import database_violations
from tests.support.installation import Installation
from tests.support.simulated import charges

ORDER = {"order_id": "INV-1", "amount": 15_000}
KEY = {"Idempotency-Key": "k-1"}


async def _create(
    shop: Installation, order: dict[str, Any] = ORDER, headers: dict[str, str] | None = KEY
) -> httpx.Response:
    return await shop.client.post("/payments", json=order, headers=headers)
