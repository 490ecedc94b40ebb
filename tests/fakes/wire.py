"""How each `Fault` looks on the wire."""

from __future__ import annotations

import asyncio
import gzip
from functools import partial

from tests.fakes.script import Fault
from tests.fakes.server import Connection, Reply

_MEGABYTE = b" " * 1_000_000
_SIZE_MB = 50


def spoiled(reply: Reply, fault: Fault | None, seconds: float | None = None) -> Reply:
    """`reply`, gone wrong as `fault` says; untouched without one."""
    if fault is None:
        return reply
    wire = partial(_misbehave, reply, fault, 0.05 if seconds is None else seconds)
    return _instead(fault, seconds) or Reply(reply.status, reply.body, reply.headers, wire)


def _instead(fault: Fault, seconds: float | None) -> Reply | None:
    html = {"Content-Type": "text/html"}
    match fault:
        case Fault.RATE_LIMITED:
            wait = {} if seconds is None else {"Retry-After": f"{seconds:.0f}"}
            return Reply(429, b"<html>Too many requests</html>", {**html, **wait})
        case Fault.ERROR_AFTER_EFFECT:
            return Reply.json(500, {"status_code": "500", "status_message": "Sorry, an unexpected error happened"})
        case Fault.HTML:
            return Reply(200, b"<html><h1>We are on holiday</h1></html>", html)
        case Fault.EMPTY:
            return Reply(200)
        case Fault.REDIRECT:
            return Reply(302, b"", {"Location": "http://127.0.0.1:1/elsewhere"})
        case _:
            return None


async def _misbehave(reply: Reply, fault: Fault, pause_s: float, connection: Connection) -> None:
    match fault:
        case Fault.DROP_BEFORE_EFFECT | Fault.DROP_AFTER_EFFECT:
            connection.drop()
        case Fault.TIMEOUT:
            await connection.reader.read()
        case Fault.DRIP:
            await _drip(reply, pause_s, connection)
        case Fault.CUT_JSON | Fault.CUT_BODY:
            half = reply.body[: len(reply.body) // 2]
            announced = half if fault is Fault.CUT_JSON else reply.body
            await connection.send(reply.head(len(announced)) + half)
            connection.writer.close()
        case Fault.HUGE:
            await _huge(reply, connection)
        case Fault.GZIP_BOMB:
            packed = gzip.compress(_MEGABYTE * _SIZE_MB)
            await connection.send(Reply(200, packed, {"Content-Encoding": "gzip"}).head() + packed)


async def _drip(reply: Reply, pause_s: float, connection: Connection) -> None:
    await connection.send(reply.head())
    for byte in reply.body:
        await asyncio.sleep(pause_s)
        await connection.send(bytes([byte]))


async def _huge(reply: Reply, connection: Connection) -> None:
    await connection.send(reply.head(_SIZE_MB * len(_MEGABYTE)))
    for _ in range(_SIZE_MB):
        await connection.send(_MEGABYTE)
