"""The HTTP server: uvicorn as a guest in our event loop, from binding the address to the last answer."""

import asyncio
import contextlib
import errno
import math
import resource
import signal
import socket
import threading
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from typing import Any, TypeVar, cast

from starlette.types import ASGIApp
from uvicorn import Config
from uvicorn import Server as UvicornServer
from uvicorn.lifespan.on import LifespanOn, LifespanSendMessage

from qrisd.connection import Deadlines, Gate, GuardedProtocol

CONNECTIONS_LIMIT = 1024
# Kept for the database, providers, callbacks and logs when descriptors are scarce.
RESERVED_DESCRIPTORS = 40

LISTEN_QUEUE = 2048

T = TypeVar("T")


class CannotListen(OSError):
    """The address cannot be listened on; the message says why and what to do."""


class _Lifespan(LifespanOn):
    """The application's start and stop; what goes wrong in them is kept for `serve` to raise, not logged here."""

    failure: BaseException | None = None

    async def main(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        try:
            await self.config.loaded_app(scope, self.receive, self.send)
        except BaseException as failure:
            self.failure = failure
            self.error_occurred = True
        finally:
            self.startup_event.set()
            self.shutdown_event.set()

    async def startup(self) -> None:
        """Starts the application. Raises what it raised."""
        self._task = asyncio.get_running_loop().create_task(self.main())
        await self.receive_queue.put({"type": "lifespan.startup"})
        await self.startup_event.wait()
        if self.failure is not None:
            raise self.failure

    async def send(self, message: LifespanSendMessage) -> None:
        # The application's own account of a failed start is a traceback; the exception itself follows.
        if message["type"] in ("lifespan.startup.complete", "lifespan.shutdown.complete"):
            await super().send(message)


class Server(UvicornServer):
    """uvicorn as a guest: signals, the bound socket and the loop are its host's."""

    def __init__(self, config: Config, on_listening: Callable[[], None]) -> None:
        super().__init__(config)
        self.on_listening = on_listening

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await self.lifespan.startup()
        try:
            await self._listen(sockets or [])
            self.on_listening()
        except BaseException:
            await self.lifespan.shutdown()
            raise
        self.started = True

    async def _listen(self, sockets: list[socket.socket]) -> None:
        loop = asyncio.get_running_loop()
        connect = partial(
            cast(Any, self.config.http_protocol_class),
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )
        self.servers = [await loop.create_server(connect, sock=sock, backlog=self.config.backlog) for sock in sockets]
        for sock in sockets:
            # The loop takes its backlog for the number to accept in one go; the queue in the kernel may be longer.
            sock.listen(LISTEN_QUEUE)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Lets requests under way finish within the grace time, then stops the application, even when forced."""
        await super().shutdown(sockets)
        for task in self.server_state.tasks:
            task.cancel()
        if self.force_exit:
            await self.lifespan.shutdown()
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        if self.lifespan.failure is not None:
            raise self.lifespan.failure


async def serve(
    app: ASGIApp,
    *,
    host: str,
    port: int,
    on_started: Callable[[str], None],
    stop: asyncio.Event,
    grace_s: float = 10.0,
    deadlines: Deadlines | None = None,
) -> None:
    """Serves `app` until `stop` is set, by its owner or by SIGTERM or SIGINT; then lets requests finish for `grace_s`.

    Calls `on_started` with the URL once connections are accepted; port 0 takes any free port. A second SIGINT cuts off
    what is still running. Raises CannotListen, before the application starts, when the address cannot be had, and
    whatever the application's own start raises.
    """
    with _bound_socket(host, port) as listener:
        descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        config = _config(app, descriptors, deadlines or Deadlines(), grace_s)
        server = Server(config, on_listening=lambda: on_started(_url(listener)))
        stopping = asyncio.create_task(_exit_on(stop, server))
        try:
            with _signals(stop, server):
                await _serve_to_the_end(server, listener)
        finally:
            stopping.cancel()


async def _serve_to_the_end(server: Server, listener: socket.socket) -> None:
    try:
        await server.serve([listener])
    except asyncio.CancelledError:
        if server.started:
            await server.shutdown([listener])
        raise


async def _exit_on(stop: asyncio.Event, server: Server) -> None:
    await stop.wait()
    server.should_exit = True


def connection_limits(descriptors: int) -> tuple[int, int]:
    """How many connections to keep, and how many to accept in one go, with this many file descriptors.

    A burst is accepted before any of it can be turned away, so it needs descriptors beside those of the kept ones.
    """
    spare = descriptors - RESERVED_DESCRIPTORS
    backlog = max(8, min(2048, spare // 4))
    return max(8, min(CONNECTIONS_LIMIT, spare - backlog)), backlog


def _config(app: ASGIApp, descriptors: int, deadlines: Deadlines, grace_s: float) -> Config:
    connections, backlog = connection_limits(descriptors)
    protocol = partial(GuardedProtocol, deadlines=deadlines, gate=Gate(connections))
    config = Config(
        cast(Any, app),
        http=cast(Any, protocol),
        ws="none",
        lifespan="on",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=backlog,
        # Not left to the environment, where "*" would let every client choose its address.
        forwarded_allow_ips=["127.0.0.1", "::1"],
        timeout_graceful_shutdown=math.ceil(grace_s),
    )
    config.load()
    config.lifespan_class = _Lifespan
    return config


@contextlib.contextmanager
def _bound_socket(host: str, port: int) -> Generator[socket.socket, None, None]:
    """Binds without listening yet: who connects before the start is over is refused, not kept waiting."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise CannotListen(_why_not(host, port, error)) from error
    with listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
        except OSError as error:
            raise CannotListen(_why_not(host, port, error)) from error
        yield listener


def _why_not(host: str, port: int, error: OSError) -> str:
    advice = {
        errno.EADDRINUSE: "another program is using it; stop that program or choose another port with --port",
        errno.EACCES: "ports below 1024 need special rights; choose another one with --port",
        errno.EADDRNOTAVAIL: "this machine does not have that address; use --host 127.0.0.1 or 0.0.0.0",
    }
    unknown_host = "this host name is not known here; use --host 127.0.0.1 or 0.0.0.0"
    why = unknown_host if isinstance(error, socket.gaierror) else advice.get(error.errno or 0, error.strerror)
    return f"Cannot listen on {host}:{port}: {why}."


def _url(listener: socket.socket) -> str:
    """Where to reach the listener from this machine; a wildcard address is shown as the loopback one."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextlib.contextmanager
def _signals(stop: asyncio.Event, server: Server) -> Generator[None, None, None]:
    """SIGTERM and SIGINT set `stop`; a further SIGINT gives up waiting. Outside the main thread signals stay as is."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()

    def interrupt() -> None:
        server.force_exit = stop.is_set()
        stop.set()

    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
        loop.remove_signal_handler(signal.SIGINT)


def free_port(host: str) -> int:
    """A port of `host` that nobody listens on now. Raises CannotListen."""
    with _bound_socket(host, 0) as listener:
        port: int = listener.getsockname()[1]
        return port


def run(main: Coroutine[Any, Any, T]) -> T:
    """Runs the process's main coroutine to its end, on uvloop where that is installed."""
    with asyncio.Runner(loop_factory=_new_event_loop) as runner:
        return runner.run(main)


def _new_event_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop
