"""A second listener for whoever watches the gateway: metrics for programs, a page for people. Nothing can be changed.

It is never the address that serves requests, on loopback unless the file says otherwise, and answers only to names
that nobody can give away: a page in a browser on this machine cannot read it under a name of its own (DNS rebinding).
An address that is taken costs the watching, never the gateway.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from hashlib import sha256
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final

import uvicorn
from uvicorn.server import ServerState

from idp.gateway import files, metrics
from idp.gateway.config import Address, Limits
from idp.gateway.log import Log
from idp.gateway.routes import bare
from idp.gateway.server.exchange import Answer, Receive, Scope, Send
from idp.gateway.server.protocol import protocol_with
from idp.gateway.status.look import Watching
from idp.gateway.status.page import page

if TYPE_CHECKING:
    from idp.gateway.server.arrival import Arrival

METRICS: Final = b"/.gatehouse/metrics"
STATUS: Final = b"/status"
STYLE: Final = b"/status.css"
ICON: Final = b"/favicon.svg"
_SHEETS: Final = ("static/css/gatehouse.css", "static/css/desk.css", "static/css/status.css")
_LIMITS: Final = Limits(header_bytes=16_384, body_bytes=1, keep_alive_seconds=30.0, connections=64)
_AGAIN_SECONDS: Final = 1.0
_SAFE: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_POLICY: Final = (
    b"default-src 'none'; style-src 'self'; img-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
_KEPT: Final = (b"cache-control", b"max-age=3600")
_NO_STORE: Final = (b"cache-control", b"no-store")


class Admin:
    """The listener, and the shape behind it."""

    def __init__(
        self, watching: Watching, address: Address, *, log: Log, headers: Callable[[], list[tuple[bytes, bytes]]]
    ) -> None:
        self.server: asyncio.Server | None = None
        self._watching = watching
        self._address = address
        self._log = log
        self._headers = headers
        self._style = "".join(files.read(sheet) for sheet in _SHEETS).encode()
        self._small: Mapping[bytes, Answer] = {
            b"/": _text(303, b"", (b"location", STATUS)),
            STYLE: _whole(200, self._style, b"text/css; charset=utf-8", _KEPT),
            ICON: _whole(200, files.read("static/img/favicon.svg").encode(), b"image/svg+xml", _KEPT),
        }
        self._state = ServerState()
        self._binding: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()

    @property
    def style(self) -> str:
        """The address of the style; it changes with the content."""
        return f"{STYLE.decode()}?v={sha256(self._style).hexdigest()[:12]}"

    @property
    def connections(self) -> set[Any]:
        """Who watches at the moment."""
        return self._state.connections

    def start(self) -> None:
        """Listen, now or as soon as the address is free."""
        self._binding = asyncio.get_running_loop().create_task(self._bind())

    async def _bind(self) -> None:
        protocol = protocol_with(_LIMITS)
        config = uvicorn.Config(
            self, http=protocol, ws="none", loop="asyncio", lifespan="off", interface="asgi3",
            log_config=None, access_log=False, proxy_headers=False, server_header=False,
        )  # fmt: skip
        config.load()
        make = partial(protocol, config=config, server_state=self._state, app_state={})
        loop, told = asyncio.get_running_loop(), False
        while self.server is None:
            try:
                where = self._address
                server = await (
                    loop.create_unix_server(make, where.unix, start_serving=False)
                    if where.unix is not None
                    else loop.create_server(make, where.host, where.port, start_serving=False)
                )
                try:
                    await server.start_serving()
                except BaseException:  # bound by two, and the other listens already
                    server.close()
                    raise
                self.server = server
            except OSError as trouble:
                if not told:  # whoever has it may be the gateway of before: said once, tried until it is gone
                    self._log.event("admin.unavailable", address=_said(self._address), trouble=trouble.strerror)
                told = True
                await asyncio.sleep(_AGAIN_SECONDS)
        self._log.event("admin.listening", address=self.server.sockets[0].getsockname())

    def stop(self) -> None:
        """Listen no more; nobody who watches is waited for."""
        if self._binding is not None:
            self._binding.cancel()
        if self.server is not None:
            self.server.close()
        for connection in tuple(self._state.connections):
            connection.transport.close()

    def instant(self, scope: Scope) -> Answer | None:
        """Answer at once what costs nothing."""
        self._state.default_headers = self._headers()  # the date, as the listener for requests keeps it
        arrival: Arrival = scope["gatehouse.arrival"]
        path = arrival.target.partition(b"?")[0]
        if not self._known(arrival.host):
            return _text(421, b"this name is not known here\n")
        if arrival.method not in {"GET", "HEAD"}:
            return _text(405, b"there is nothing to change here\n", (b"allow", b"GET, HEAD"))
        if path in {METRICS, STATUS}:
            return None
        return self._small.get(path, _NOT_HERE)

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Look here, where everything stands still, and write elsewhere: nobody else waits for it."""
        async with self._turn:
            if scope["gatehouse.arrival"].target.partition(b"?")[0] == METRICS:
                body = await asyncio.to_thread(self._watching.gate.metrics.look())
                answer = _whole(200, body, metrics.CONTENT_TYPE.encode(), _NO_STORE)
            else:
                facts = self._watching.look()
                body = await asyncio.to_thread(page, facts, style=self.style)
                answer = _whole(
                    200, body, b"text/html; charset=utf-8", _NO_STORE, (b"content-security-policy", _POLICY)
                )
        code, headers, body = answer
        await send({"status": code, "headers": headers})
        await send({"body": body})

    def _known(self, host: bytes) -> bool:
        name = bare(host.decode("latin-1").lower())
        if name == "localhost" or name in self._watching.gate.rules.config.server.hosts:
            return True
        try:
            ip_address(name.removeprefix("[").removesuffix("]"))
        except ValueError:
            return False
        return True


def _said(address: Address) -> str:
    return address.unix or f"{address.host}:{address.port}"


def _text(code: int, body: bytes, *more: tuple[bytes, bytes]) -> Answer:
    return _whole(code, body, b"text/plain; charset=utf-8", _NO_STORE, *more)


def _whole(code: int, body: bytes, kind: bytes, *more: tuple[bytes, bytes]) -> Answer:
    return code, ((b"content-type", kind), (b"content-length", b"%d" % len(body)), *_SAFE, *more), body


_NOT_HERE: Final = _text(404, b"see " + STATUS + b" and " + METRICS + b"\n")
