"""A receipt printer in the shop's network: it takes bytes on a TCP port and says nothing."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import Final
from urllib.parse import urlsplit

from qrisd.domain.errors import QrisdError

CONNECT_WITHIN_S: Final = 3.0
PRINT_WITHIN_S: Final = 10.0


class PrinterSilent(QrisdError):
    """No printer answers at the address: nothing was printed."""


class PrinterStopped(QrisdError):
    """The printer took a part of the receipt, or we do not know how much: look at the paper."""


def address_of(text: str) -> tuple[str, int]:
    """Host and port of "192.168.1.50:9100" or "[fd00::50]:9100". Raises ValueError for anything else."""
    parts = urlsplit(f"//{text}")
    if not parts.hostname or not parts.port or parts.netloc != text or "@" in text:
        raise ValueError("not a host and a port")
    return parts.hostname, parts.port


class Printer:
    """`async with await printer.connect() as job: await job.send(...)`. `address` is "HOST:PORT"."""

    def __init__(
        self, address: str, *, connect_within_s: float = CONNECT_WITHIN_S, print_within_s: float = PRINT_WITHIN_S
    ) -> None:
        self.address = address
        self._host, self._port = address_of(address)
        self._connect_within_s = connect_within_s
        self._print_within_s = print_within_s

    async def connect(self) -> Job:
        """A connection over which one receipt can be sent. Raises PrinterSilent."""
        try:
            async with asyncio.timeout(self._connect_within_s):
                _, writer = await asyncio.open_connection(self._host, self._port)
        except (OSError, TimeoutError) as error:
            raise PrinterSilent(f"The printer at {self.address} does not answer.") from error
        return Job(writer, self.address, self._print_within_s)


class Job:
    """One receipt on its way; leave it by `async with`, which hangs up."""

    def __init__(self, writer: asyncio.StreamWriter, address: str, within_s: float) -> None:
        self._writer = writer
        self._address = address
        self._within_s = within_s

    async def __aenter__(self) -> Job:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()

    async def send(self, receipt: bytes) -> None:
        """Send it and wait until the printer has taken every byte. Raises PrinterStopped."""
        try:
            async with asyncio.timeout(self._within_s):
                self._writer.write(receipt)
                await self._writer.drain()
                self._writer.close()
                await self._writer.wait_closed()
        except (OSError, TimeoutError) as error:
            with suppress(OSError):
                self._writer.transport.abort()
            raise PrinterStopped(f"The printer at {self._address} stopped while printing.") from error
