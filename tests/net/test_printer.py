"""Sending a receipt to a printer in the shop's network, and noticing that it is not there."""

from __future__ import annotations

import socket

import pytest

from qrisd.net.printer import Printer, PrinterSilent, PrinterStopped, address_of
from tests.fakes.printer import FakePrinter

MORE_THAN_ANY_BUFFER = b"x" * 50_000_000


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.168.1.50:9100", ("192.168.1.50", 9100)),
        ("printer.lan:9100", ("printer.lan", 9100)),
        ("[fd00::50]:9100", ("fd00::50", 9100)),
    ],
)
def test_an_address_is_read(text: str, address: tuple[str, int]) -> None:
    assert address_of(text) == address


@pytest.mark.parametrize(
    "text", ["", "printer", "printer:", ":9100", "printer:0", "printer:70000", "http://printer:9100", "a@b:1", "a:1/x"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        address_of(text)


async def test_every_byte_arrives_and_the_printer_is_free_again() -> None:
    with FakePrinter() as fake:
        for number in (b"one", b"two"):
            async with await Printer(fake.address).connect() as job:
                await job.send(number * 10_000)
        assert fake.papers(2) == [b"one" * 10_000, b"two" * 10_000]


async def test_a_printer_that_is_off_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
    with pytest.raises(PrinterSilent, match=address):
        await Printer(address).connect()


async def test_a_name_nobody_knows_is_a_printer_that_does_not_answer() -> None:
    with pytest.raises(PrinterSilent):
        await Printer("printer.invalid:9100").connect()


async def test_a_printer_that_takes_nothing_is_not_waited_for_for_ever() -> None:
    with FakePrinter("reads nothing") as fake:
        async with await Printer(fake.address, print_within_s=0.3).connect() as job:
            with pytest.raises(PrinterStopped):
                await job.send(MORE_THAN_ANY_BUFFER)


async def test_a_printer_that_hangs_up_is_noticed() -> None:
    with FakePrinter("hangs up") as fake:
        async with await Printer(fake.address).connect() as job:
            with pytest.raises(PrinterStopped):
                await job.send(MORE_THAN_ANY_BUFFER)
