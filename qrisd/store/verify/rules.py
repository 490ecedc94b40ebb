"""What a rule about the stored rows is, and the states that several speak of."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from qrisd.domain.payment import MOVES
from qrisd.domain.times import to_text
from qrisd.store.db import Connection

OVERDUE_AFTER: Final = timedelta(hours=1)

MONEY: Final = "('PAID', 'PARTIALLY_REFUNDED', 'REFUNDED')"


@dataclass(frozen=True, slots=True)
class Rule:
    """What must hold, and the query for who breaks it: one column, the offender as a person can look it up. `:moves` is
    the table of moves, `:overdue` the moment before which nothing may still be waiting. A rule that needs `overdue` is
    a warning: it asks for a person, it proves no wrong."""

    name: str
    says: str
    sql: str

    @property
    def is_warning(self) -> bool:
        return ":overdue" in self.sql

    def offenders(self, conn: Connection, now: datetime | None) -> Iterator[str]:
        moves = [f"{start}>{finish}" for start, after in MOVES.items() for finish in after]
        overdue = None if now is None else to_text(now - OVERDUE_AFTER)
        for row in conn.execute(self.sql, {"moves": json.dumps(moves), "overdue": overdue}):
            yield row[0]


@dataclass(frozen=True, slots=True)
class Check:
    """What must hold and cannot be said in one query: `find` answers who breaks it."""

    name: str
    says: str
    find: Callable[[Connection], Iterator[str]]

    @property
    def is_warning(self) -> bool:
        return False

    def offenders(self, conn: Connection, _: datetime | None) -> Iterator[str]:
        return self.find(conn)
