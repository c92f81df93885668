"""The gateway as a process: one event loop, one listener, and an orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, cast

import uvicorn

from idp.gateway.admin import Admin
from idp.gateway.config import Config
from idp.gateway.contracts import FRONTS
from idp.gateway.decide import Gate
from idp.gateway.forward_auth import ForwardAuth
from idp.gateway.log import JsonLines
from idp.gateway.proxy import Proxy
from idp.gateway.reload import Reload
from idp.gateway.server.exchange import Shape
from idp.gateway.server.protocol import GatewayProtocol, protocol_with
from idp.gateway.server.watch import Watch, Watched
from idp.gateway.status.look import Watching

_FIRST_KEYS_SECONDS: Final = 3.0
_LOOK_EVERY: Final = 0.02
_SOCKET_MODE: Final = 0o660


class GatewayServer(uvicorn.Server):
    """uvicorn's server with our keys, clock and log around it."""

    def __init__(
        self,
        config: uvicorn.Config,
        *,
        gate: Gate,
        log: JsonLines,
        reload: Reload,
        proxy: Proxy | None = None,
    ) -> None:
        super().__init__(config)
        self._reload = reload
        self._gate = gate
        self._log = log
        self._proxy = proxy
        self._watch = Watch(self._watched)
        self.admin = self._admin(gate, log)

    def _admin(self, gate: Gate, log: JsonLines) -> Admin | None:
        """Give whoever watches an address of their own, unless the file says otherwise."""
        address, proxy, reload = gate.rules.config.server.admin, self._proxy, self._reload
        watching = Watching(
            gate=gate,
            clients=lambda: len(self.server_state.connections),
            problems=lambda: reload.problems,
            behind=lambda: proxy.behind.all() if proxy is not None else (),
        )
        watching.tell(gate.metrics)
        if address is None:
            return None
        return Admin(watching, address, log=log, headers=lambda: self.server_state.default_headers)

    def _watched(self) -> Iterator[Watched]:
        """Everything with a deadline: clients, and what stands behind."""
        yield from cast("set[GatewayProtocol]", self.server_state.connections)
        if self.admin is not None:
            yield from self.admin.connections
        if self._proxy is not None:
            yield from self._proxy.watched()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen once keys and revocations are there; without them too after a while, for readiness says so."""
        self._gate.start()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FIRST_KEYS_SECONDS):
                while not (self._gate.ready() and self._gate.heard()):  # noqa: ASYNC110 - keys come from threads, which know no asyncio.Event
                    await asyncio.sleep(_LOOK_EVERY)
        if self.config.uds is not None:
            _reserve(Path(self.config.uds))
        await super().startup(sockets)
        self._watch.start()
        self._begin_reloading()
        if self.admin is not None:
            self.admin.start()
        for server in self.servers:
            for listener in server.sockets:
                self._log.event("listening", address=listener.getsockname(), ready=self._gate.ready())

    def _begin_reloading(self) -> None:
        self._reload.start()
        if threading.current_thread() is threading.main_thread():  # only there may signals be handled
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._reload.ask)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let what is being answered finish, then end the threads and write the last lines."""
        self._log.event("draining")
        self._reload.stop()
        if self._proxy is not None:
            self._proxy.drain()
        await super().shutdown(sockets)
        self._watch.stop()
        if self.admin is not None:
            self.admin.stop()
        if self._proxy is not None:
            self._proxy.behind.close()
        self._gate.stop()
        self._log.event("stopped")
        # uvicorn would raise the signal again, and an orderly end would look like a kill.
        self._captured_signals.clear()


def _reserve(path: Path) -> None:
    """Put a socket there that only owner and group may write to, unless there is one.

    Whoever may write to it is believed like a front. uvicorn gives its own the mode of what it finds, and lets
    everybody write where it finds nothing.
    """
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as reserved:
        reserved.bind(str(path))
        path.chmod(_SOCKET_MODE)


def build(config: Config, log: JsonLines, **options: Any) -> GatewayServer:
    """Put the shape that is configured behind a listener."""
    gate = Gate(config, log=log)
    proxy: Proxy | None = None
    shape: Shape
    if config.server.shape == "proxy":
        shape = proxy = Proxy(gate, log=log)
    else:
        shape = ForwardAuth(gate, FRONTS[config.server.contract], log=log)
    listen = config.server.listen
    settings = uvicorn.Config(
        shape,
        host=listen.host,
        port=listen.port,
        uds=listen.unix,
        http=protocol_with(config.server.limits),
        ws="none",
        loop="asyncio",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=max(1, round(config.server.drain_seconds)),
        **options,
    )
    prepare = proxy.behind.prepare if proxy is not None else None
    reload = Reload(Path(config.source), gate, log=log, prepare=prepare)
    return GatewayServer(settings, gate=gate, log=log, proxy=proxy, reload=reload)


def run(config: Config) -> None:
    """Serve until told to stop."""
    log = JsonLines(config.log)
    try:
        build(config, log).run()
    finally:
        log.close()
