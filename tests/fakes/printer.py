"""A receipt printer: takes bytes on a TCP port of this machine; can be told to take none, or to hang up midway."""

from __future__ import annotations

import socket
import threading
from types import TracebackType
from typing import Literal

Behaviour = Literal["prints", "reads nothing", "hangs up"]


class FakePrinter:
    """`with FakePrinter() as printer:`; what was printed is in `papers`, one each connection."""

    def __init__(self, behaviour: Behaviour = "prints") -> None:
        self._behaviour = behaviour
        self._papers: list[bytes] = []
        self._printed = threading.Condition()
        self._socket = socket.create_server(("127.0.0.1", 0))
        if behaviour == "reads nothing":
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._held: list[socket.socket] = []

    def __enter__(self) -> FakePrinter:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for one in self._held:
            one.close()
        self._thread.join(5)

    def papers(self, count: int, within_s: float = 5.0) -> list[bytes]:
        """What was printed, once there are `count` papers."""
        with self._printed:
            self._printed.wait_for(lambda: len(self._papers) >= count, within_s)
            return list(self._papers)

    def _work(self) -> None:
        while True:
            try:
                job, _ = self._socket.accept()
            except OSError:
                return
            self._take(job)

    def _take(self, job: socket.socket) -> None:
        if self._behaviour == "reads nothing":
            self._held.append(job)
            return
        if self._behaviour == "hangs up":
            job.recv(1)
            job.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
            job.close()
            return
        with job, self._printed:
            self._papers.append(b"".join(iter(lambda: job.recv(4096), b"")))
            self._printed.notify_all()
