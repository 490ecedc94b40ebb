"""strace as a fault injector: it makes a chosen system call of a running process fail, or kills the process there."""

from __future__ import annotations

import os
import signal
import subprocess
from types import TracebackType


class Injection:
    """While the block lasts, every thread of `pid` suffers `what`, in strace's words: `fdatasync:signal=KILL:when=2`,
    `pwrite64:error=ENOSPC`. Calls are counted from the moment of attaching, per thread."""

    def __init__(self, pid: int, *what: str) -> None:
        injections = [argument for one in what for argument in ("-e", f"inject={one}")]
        names = ",".join(one.split(":")[0] for one in what)
        self._command = ["strace", "-f", "-e", f"trace={names}", *injections, "-o", os.devnull, "-p", str(pid)]

    def __enter__(self) -> Injection:
        self._strace = subprocess.Popen(self._command, stderr=subprocess.PIPE, text=True)
        assert self._strace.stderr is not None
        said = self._strace.stderr.readline()
        assert "attached" in said, said
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._strace.send_signal(signal.SIGINT)
        try:
            self._strace.communicate(timeout=1)
        except subprocess.TimeoutExpired:  # it may wait for ever for threads that died with their process
            self._strace.kill()
            self._strace.communicate()
