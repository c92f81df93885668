from __future__ import annotations

import asyncio
import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from idp.gateway.config import Config
from idp.gateway.decide import Gate
from idp.gateway.load import parse
from idp.gateway.log import JsonLines
from idp.gateway.pool import Pool
from idp.gateway.serve import GatewayServer, build
from tests.gateway import issuer as issuers
from tests.gateway import upstream as upstreams
from tests.gateway.issuer import AUDIENCE, Issuer
from tests.gateway.raw import Answer, ask
from tests.gateway.upstream import Upstream

ROUTES = """
[[routes]]
id = "order-read"
match = {{ host = "api.example", method = ["GET", "HEAD"], path = "/orders/{{oid}}" }}
audience = "{audience}"
require = {{ scope = ["orders:read"] }}
upstream = "{upstream}"

[[routes]]
id = "order-write"
match = {{ host = "api.example", method = ["POST", "PUT"], path = "/orders/{{oid}}" }}
audience = "{audience}"
require = {{ scope = ["orders:write"], role_any = ["clerk", "boss"] }}
upstream = "{upstream}"

[[routes]]
id = "special"
match = {{ host = "api.example", method = ["GET"], path = "/orders/admin" }}
audience = "{audience}"
require = {{ scope = ["admin"] }}
upstream = "{upstream}"

[[routes]]
id = "reports"
match = {{ host = "api.example", method = ["GET"], path = "/reports/{{rest...}}" }}
audience = "https://reports.example"
upstream = "{upstream}"

[[routes]]
id = "files"
match = {{ host = "api.example", method = ["GET", "POST", "OPTIONS"], path = "/files/{{rest...}}" }}
audience = "{audience}"
upstream = "{upstream}"
"""


class Running:
    """A gateway that serves in a thread of this process."""

    def __init__(self, server: GatewayServer, stream: io.StringIO, log: JsonLines) -> None:
        self.server = server
        self.stream = stream
        self.log = log

    @property
    def address(self) -> tuple[str, int] | str:
        name = self.server.servers[0].sockets[0].getsockname()
        return name if isinstance(name, str) else (name[0], name[1])

    @property
    def pool(self) -> Pool:
        """The connections to the one server behind."""
        (servers,) = self.server._proxy.behind.all()
        return servers.members[0].pool

    def ask(self, data: bytes, *, head_only: bool = False) -> Answer:
        return ask(self.address, data, head_only=head_only)

    def forget(self) -> None:
        self.log.flush()
        self.stream.seek(0)
        self.stream.truncate()

    def lines(self, event: str = "decision") -> list[dict[str, object]]:
        self.log.flush()
        return [line for line in map(json.loads, self.stream.getvalue().splitlines()) if line["event"] == event]


def config_text(issuer: Issuer, upstream: Upstream | None, *, server: str = "", top: str = "", jwks: str = "") -> str:
    routes = ROUTES.format(audience=AUDIENCE, upstream=upstream.url if upstream else "http://127.0.0.1:9")
    return f"""
version = 1
{top}
[server]
listen = "127.0.0.1:0"
drain = "2s"
{server}
[issuers.main]
issuer = "{issuer.issuer}"
jwks = {{ {jwks or 'refresh = "5m"'} }}
{routes}
"""


@pytest.fixture(scope="module")
def _issuer() -> Iterator[Issuer]:
    with issuers.running(Issuer()) as issuer:
        yield issuer


@pytest.fixture(scope="module")
def _upstream() -> Iterator[Upstream]:
    with upstreams.running(Upstream()) as upstream:
        yield upstream


@pytest.fixture(scope="module")
def serve_module() -> Iterator[Callable[[str | Config], Running]]:
    """Start a gateway for the tests of a file."""
    with _serving() as start:
        yield start


@pytest.fixture(scope="module")
def _proxy(_issuer: Issuer, _upstream: Upstream, serve_module) -> Running:
    _issuer.reset()  # whoever was here before may have left it down
    return serve_module(config_text(_issuer, _upstream))


@pytest.fixture
def issuer(_issuer: Issuer) -> Issuer:
    _issuer.reset()
    return _issuer


@pytest.fixture
def upstream(_upstream: Upstream) -> Upstream:
    _upstream.reset()
    return _upstream


@pytest.fixture
def proxy(_proxy: Running, issuer: Issuer, upstream: Upstream) -> Running:
    """A gateway shared by the tests of a file; what it guards starts afresh."""
    _proxy.forget()
    return _proxy


@pytest.fixture
def serve() -> Iterator[Callable[[str | Config], Running]]:
    """Start a gateway of one's own; it ends with the test."""
    with _serving() as start:
        yield start


@pytest.fixture(autouse=True)
def ended_gates(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A gate that a test begins by itself, as a middleware does, ends with the test; servers end their own."""
    begun: list[Gate] = []
    begin = Gate.start

    def start(gate: Gate) -> None:
        if threading.current_thread() is threading.main_thread():
            begun.append(gate)
        begin(gate)

    monkeypatch.setattr(Gate, "start", start)
    yield
    for gate in begun:
        gate.stop()
        _joined(gate)


def _joined(gate: Gate) -> None:
    """Wait for the end of the threads that look for keys: one under way would go on into the next test."""
    for source in gate.sources.values():
        if source._thread is not None:
            source._thread.join(30)
            assert not source._thread.is_alive()


@contextmanager
def _serving() -> Iterator[Callable[[str | Config], Running]]:
    ends: list[Callable[[], None]] = []

    def start(config: str | Config) -> Running:
        stream = io.StringIO()
        log = JsonLines(stream)
        server = build(parse(config) if isinstance(config, str) else config, log)
        thread = threading.Thread(target=lambda: asyncio.run(server.serve()), daemon=True)
        thread.start()

        def end() -> None:
            server.should_exit = True
            thread.join(30)
            log.close()
            assert not thread.is_alive()
            _joined(server._gate)

        ends.append(end)
        deadline = time.monotonic() + 10
        while not server.started and thread.is_alive() and time.monotonic() < deadline:
            time.sleep(0.005)
        assert server.started
        return Running(server, stream, log)

    yield start
    for end in ends:
        end()


@pytest.fixture
def token(issuer: Issuer) -> str:
    return issuer.token()
