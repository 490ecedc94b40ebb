"""`qrisd serve` as users run it: a process, an address, a key from its first lines."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO

import httpx

READY_WITHIN_S = 20.0


class LiveServer:
    """Start, stop and kill the real command on one data directory; its log goes to `serve.log` beside that."""

    def __init__(self, data_dir: Path, env: Mapping[str, str] | None = None, port: int = 0) -> None:
        self.data_dir = data_dir
        self.log = data_dir.parent / "serve.log"
        self.url = ""
        self.key = ""
        self.greeting = ""
        self._env = dict(env or {})
        self._port = port
        self.process: subprocess.Popen[str] | None = None

    def __enter__(self) -> LiveServer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def start(self) -> None:
        """Start it and wait until it is ready. The key of the first start is kept over restarts."""
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "qrisd", "serve", "--port", str(self._port)],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, **self._env, "QRISD_DATA_DIR": str(self.data_dir), "PYTHONUNBUFFERED": "1"},
                cwd=self.data_dir.parent,
            )
        assert self.process.stdout is not None
        self._read_greeting(self.process.stdout)
        self._port = int(self.url.rsplit(":", 1)[1])  # the same address after a restart

    def _read_greeting(self, out: IO[str]) -> None:
        os.set_blocking(out.fileno(), False)
        said, deadline = "", time.monotonic() + READY_WITHIN_S
        while time.monotonic() < deadline:
            said += _read_now(out)
            ready = re.search(r"ready at (http://\S+)", said)
            if ready and "\n" in said[ready.end() :]:
                self.url = ready.group(1)
                key = re.search(r"qrisd_(?:test|live)_[\w-]+", said)
                self.key = key.group(0) if key else self.key
                self.greeting = said
                if self.key:
                    return
            if self.process is not None and self.process.poll() is not None:
                break
            time.sleep(0.02)
        raise AssertionError(f"qrisd serve did not become ready:\n{said}\n{self.log.read_text()[-2000:]}")

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {self.key}"}, timeout=30)

    def kill(self) -> None:
        """SIGKILL, as a power cut would."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._close_pipe()

    def terminate(self, within_s: float = 15.0) -> int:
        """SIGTERM; returns the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(within_s)
        self._close_pipe()
        return code

    def _close_pipe(self) -> None:
        if self.process is not None and self.process.stdout is not None:
            self.process.stdout.close()

    def run(self, *arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
        """Run another qrisd command on the same installation, with this on its stdin."""
        return subprocess.run(
            [sys.executable, "-m", "qrisd", *arguments],
            input=typed,
            capture_output=True,
            text=True,
            env={**os.environ, **self._env, "QRISD_DATA_DIR": str(self.data_dir)},
            cwd=self.data_dir.parent,
            timeout=60,
            check=False,
        )


def _read_now(out: IO[str]) -> str:
    """What has been printed so far; never waits."""
    try:
        return os.read(out.fileno(), 65536).decode()
    except BlockingIOError:
        return ""
