"""How payments look to whoever asks for them: one rendering of each, however many ask."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from pydantic_core import to_json

from qrisd.domain.payment import Payment
from qrisd.schemas import payment_resource

CAPACITY: Final = 1000


@dataclass(frozen=True, slots=True)
class Rendering:
    """One version of a payment: its JSON and its ETag, without the quotes."""

    version: int
    json: bytes
    tag: str


class Rendered:
    """The latest renderings, by payment id. `base_url` has no final slash."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url
        self._made: OrderedDict[str, Rendering] = OrderedDict()

    def of(self, payment: Payment) -> Rendering:
        """The payment as it is shown in this version."""
        made = self._made.get(payment.id)
        if made is None or made.version != payment.version:
            made = Rendering(payment.version, to_json(payment_resource(payment, self._base_url)), _tag(payment))
            self._made[payment.id] = made
            if len(self._made) > CAPACITY:
                self._made.popitem(last=False)
        return made


def _tag(payment: Payment) -> str:
    return f"{payment.status}-{payment.sequence}-{int(payment.updated_at.timestamp() * 1000)}"
