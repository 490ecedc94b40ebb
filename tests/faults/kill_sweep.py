"""Kill the real server at the Nth disk call of one charge and its webhook, for every N, and make both good afterwards.

python -m tests.faults.kill_sweep
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx

from qrisd.providers.simulator import sign
from qrisd.store.db import connect
from tests.faults.history import database_violations
from tests.faults.injection import Injection
from tests.support.server import LiveServer

# Writes to the write-ahead log, syncs of it, and what is written besides: log lines and answers on their way out.
CALLS: Final = ("pwrite64", "fdatasync", "write")


@dataclass(slots=True)
class Sweep:
    """One server, and a fresh order for every point at which it is killed."""

    server: LiveServer

    def run(self, call: str, stride: int = 1) -> int:
        """Kill at every `stride`th `call` until a charge and its webhook pass unharmed; how often it was killed."""
        for number in range(1, 1000, stride):
            order = {"order_id": f"{call}-{number}", "amount": 15_000}
            with Injection(self._pid(), f"{call}:signal=KILL:when={number}"):
                answered = [answer.status_code for answer in self._charge_and_pay(order)]
            if answered == [201, 200] and self._lives():
                return (number - 1) // stride
            self.server.kill()
            self.server.start()
            self._make_good(order)
        raise AssertionError("a charge makes more than a thousand disk calls")

    def _pid(self) -> int:
        assert self.server.process is not None
        return self.server.process.pid

    def _lives(self) -> bool:
        time.sleep(0.05)
        return self.server.process is not None and self.server.process.poll() is None

    def _charge_and_pay(self, order: dict[str, Any]) -> Iterator[httpx.Response]:
        """The answers that came, until the server died."""
        with self.server.client() as client:
            try:
                yield client.post("/payments", json=order, headers={"Idempotency-Key": str(order["order_id"])})
                yield self._pay(client, order)
            except httpx.TransportError:
                return

    def _make_good(self, order: dict[str, Any]) -> None:
        """Resend both, as merchants and providers do: there is one charge and one credit."""
        with self.server.client() as client:
            answers = [
                client.post("/payments", json=order, headers={"Idempotency-Key": str(order["order_id"])})
                for _ in range(2)
            ]
            assert [answer.status_code for answer in answers] == [201, 201], answers[0].text
            assert answers[1].headers["Idempotent-Replayed"] == "true"
            assert self._pay(client, order).status_code == 200
            payment = client.get(f"/payments/{answers[0].json()['id']}").json()
        assert (payment["status"], payment["amount_paid"], payment["exception"]) == ("PAID", 15_000, None)
        with closing(connect(self.server.data_dir / "qrisd.db", read_only=True)) as conn:
            assert database_violations(conn) == []
            attempts = conn.execute("SELECT count(*) FROM attempts WHERE payment_id = ?", (payment["id"],)).fetchone()
            assert attempts[0] == 1

    def _pay(self, client: httpx.Client, order: dict[str, Any]) -> httpx.Response:
        """The one event about this order; its id never changes."""
        event = {"event_id": f"evt-{order['order_id']}", "status": "PAID", "currency": "IDR", **order}
        body, timestamp = json.dumps(event).encode(), str(int(time.time()))
        secret = (self.server.data_dir / "simulator.secret").read_text().strip().encode()
        headers = {"X-Timestamp": timestamp, "X-Signature": sign(secret, body, timestamp)}
        return client.post("/webhooks/qris", content=body, headers=headers)


def main() -> None:
    with tempfile.TemporaryDirectory() as root, LiveServer(Path(root) / "data") as server:
        for call in CALLS:
            print(f"{call}: killed {Sweep(server).run(call)} times, nothing lost, nothing doubled", flush=True)


if __name__ == "__main__":
    main()
