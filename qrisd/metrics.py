"""What is counted, for Prometheus."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from qrisd.domain.callback import Callback, CallbackStatus, Try
from qrisd.jobs.scheduler import Record
from qrisd.services.circuits import State
from qrisd.services.observing import Recorded

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST


class Metrics:
    """One registry of our own, so that two servers in one process do not mix."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Histogram(
            "qrisd_request_seconds",
            "Time to answer HTTP requests",
            ["method", "route", "status"],
            registry=self.registry,
            buckets=(0.005, 0.025, 0.1, 0.5, 2.5, 10),
        )
        self._request_children: dict[tuple[str, str, int], Histogram] = {}
        self._changes = Counter(
            "qrisd_payment_changes_total", "Changes of payments", ["change", "provider"], registry=self.registry
        )
        self._exceptions = Counter(
            "qrisd_payment_exceptions_total", "Payments that wait for a person", ["exception"], registry=self.registry
        )
        self._refused = Counter(
            "qrisd_observations_refused_total",
            "Answers that contradict what was asked",
            ["problem"],
            registry=self.registry,
        )
        self._webhooks = Counter(
            "qrisd_webhooks_total", "Webhooks received", ["provider", "outcome"], registry=self.registry
        )
        self._calls = Counter(
            "qrisd_provider_calls_total", "Calls to providers", ["provider", "verb", "outcome"], registry=self.registry
        )
        self._callbacks = Counter(
            "qrisd_callbacks_total", "Tries to reach merchants' servers", ["outcome"], registry=self.registry
        )
        self._callbacks_waiting = Gauge(
            "qrisd_callbacks_waiting", "Callbacks that will be tried, now or later", registry=self.registry
        )
        self._callback_endpoints_off = Gauge(
            "qrisd_callback_endpoints_off", "Receivers of callbacks that are switched off", registry=self.registry
        )
        self._exceptions_open = Gauge(
            "qrisd_reconciliation_exceptions_open",
            "Differences found by reconciling that wait for a person",
            registry=self.registry,
        )
        self._last_day = Gauge(
            "qrisd_reconciliation_last_day_timestamp_seconds",
            "Midnight UTC of the newest business day that was reconciled as a whole; 0 for none",
            registry=self.registry,
        )
        self._log_held = Gauge(
            "qrisd_log_held_seconds",
            "How long somebody who reads has kept the write-ahead log from being emptied",
            registry=self.registry,
        )
        self._circuit_closed = Gauge(
            "qrisd_provider_circuit_closed", "1 while a provider answers", ["provider"], registry=self.registry
        )
        self._job_runs = Gauge("qrisd_job_runs", "Runs of a job", ["job"], registry=self.registry)
        self._job_failures = Gauge("qrisd_job_failures", "Failed runs of a job", ["job"], registry=self.registry)
        self._job_success = Gauge(
            "qrisd_job_last_success_timestamp_seconds", "When a job last succeeded", ["job"], registry=self.registry
        )

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        key = (method, route, status)
        child = self._request_children.get(key)
        if child is None:
            child = self._request_children[key] = self._requests.labels(*key)
        child.observe(seconds)

    def changed(self, recorded: Recorded) -> None:
        if recorded.change is None:
            return
        self._changes.labels(recorded.change.log, recorded.attempt.provider).inc()
        if "payment.exception" in recorded.change.events:
            self._exceptions.labels(recorded.payment.exception).inc()
        if recorded.problem is not None:
            self._refused.labels(recorded.problem.split(":")[0]).inc()

    def webhook(self, provider: str, outcome: str) -> None:
        self._webhooks.labels(provider, outcome).inc()

    def provider_call(self, provider: str, verb: str, outcome: str) -> None:
        self._calls.labels(provider, verb, outcome).inc()

    def callback(self, callback: Callback, tried: Try) -> None:
        dead = callback.status is CallbackStatus.DEAD
        self._callbacks.labels("delivered" if tried.succeeded else "given_up" if dead else "failed").inc()

    def callbacks_now(self, waiting: int, endpoints_off: int) -> None:
        self._callbacks_waiting.set(waiting)
        self._callback_endpoints_off.set(endpoints_off)

    def reconciliations_now(self, exceptions_open: int, last_day: date | None) -> None:
        self._exceptions_open.set(exceptions_open)
        midnight = 0.0 if last_day is None else datetime.combine(last_day, time.min, UTC).timestamp()
        self._last_day.set(midnight)

    def log_held(self, seconds: float) -> None:
        self._log_held.set(seconds)

    def text(self, jobs: Mapping[str, Record], circuits: Mapping[str, State]) -> bytes:
        """The exposition format, with how the jobs and the providers' circuits stand now."""
        for provider, state in circuits.items():
            self._circuit_closed.labels(provider).set(state == "closed")
        for name, record in jobs.items():
            self._job_runs.labels(name).set(record.runs)
            self._job_failures.labels(name).set(record.failures)
            self._job_success.labels(name).set(record.last_success or 0)
        return generate_latest(self.registry)
