"""Liveness, readiness, metrics: for whoever runs the server."""

from __future__ import annotations

import sqlite3
from datetime import date

from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

from qrisd.domain.errors import QrisdError
from qrisd.jobs.scheduler import Scheduler
from qrisd.metrics import CONTENT_TYPE, Metrics
from qrisd.services.circuits import Circuits
from qrisd.services.health import Health
from qrisd.services.long_readers import LongReaders
from qrisd.store import callback_endpoints, callbacks, findings, reconciliations
from qrisd.store.db import Connection, Database


class HealthApi:
    def __init__(
        self,
        health: Health,
        readers: LongReaders,
        scheduler: Scheduler,
        circuits: Circuits,
        metrics: Metrics,
        db: Database,
    ) -> None:
        self._health = health
        self._readers = readers
        self._scheduler = scheduler
        self._circuits = circuits
        self._metrics = metrics
        self._db = db

    async def live(self, request: Request) -> Response:
        return Response(to_json({"status": "ok"}), media_type="application/json")

    async def ready(self, request: Request) -> Response:
        problems = await self._health.problems()
        jobs = {
            name: {"runs": record.runs, "failures": record.failures, "failing": record.failures_in_a_row > 0}
            for name, record in self._scheduler.records.items()
        }
        body = {
            "status": "not ready" if problems else "ready",
            "problems": problems,
            "jobs": jobs,
            "providers": self._circuits.states(),
        }
        return Response(to_json(body), 503 if problems else 200, media_type="application/json")

    async def metrics(self, request: Request) -> Response:
        await self._count_stored()
        self._metrics.log_held(self._readers.held_s)
        return Response(
            self._metrics.text(self._scheduler.records, self._circuits.states()), headers={"Content-Type": CONTENT_TYPE}
        )

    async def _count_stored(self) -> None:
        """A database that cannot be read leaves them as they were: the other metrics say what is wrong."""
        try:
            self._metrics.callbacks_now(*await self._db.read(_callbacks_now))
            self._metrics.reconciliations_now(*await self._db.read(_reconciliations_now))
        except (QrisdError, sqlite3.Error):
            return


def _callbacks_now(conn: Connection) -> tuple[int, int]:
    return callbacks.count_waiting(conn), len(callback_endpoints.switched_off(conn))


def _reconciliations_now(conn: Connection) -> tuple[int, date | None]:
    return findings.count_open(conn), reconciliations.last_day_done(conn)
