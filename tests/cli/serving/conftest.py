"""The provider under each of its servers, as processes of their own."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fixtures import clients
from tests.fixtures.clients import App
from tests.services.authority import Certificate
from tests.services.program import free_port
from tests.services.provider import Provider, session

SERVERS = ("granian", "gunicorn")
PATIENCE = 30.0


def until(truth: Callable[[], bool], *, seconds: float = PATIENCE) -> bool:
    """Wait for something to become true; say whether it did."""
    deadline = time.monotonic() + seconds
    while not truth():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def listens(port: int) -> bool:
    """Say whether somebody answers there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class SlowPost:
    """A request for a token whose second half comes when it is asked for."""

    BODY = b"grant_type=client_credentials&scope=nothing"

    def __init__(self, provider: Provider, app: App) -> None:
        self._socket = socket.create_connection(("127.0.0.1", provider.port), timeout=20)
        head = [
            "POST /token HTTP/1.1",
            f"Host: localhost:{provider.port}",
            f"Authorization: {app.basic['Authorization']}",
            "Content-Type: application/x-www-form-urlencoded",
            f"Content-Length: {len(self.BODY)}",
        ]
        self._socket.sendall("\r\n".join([*head, "", ""]).encode() + self.BODY[:10])

    def taken(self) -> bool:
        """Say whether a worker has read what was sent: until then it waits in the kernel, with nobody."""
        ours, theirs = (f":{port:04X}" for port in (self._socket.getsockname()[1], self._socket.getpeername()[1]))
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            _, local, remote, _state, queues, *_ = line.split()
            if local.endswith(theirs) and remote.endswith(ours):
                return int(queues.partition(":")[2], 16) == 0
        return False

    def finish(self) -> bytes:
        """Send the rest and return the answer."""
        with self._socket as connection:
            connection.sendall(self.BODY[10:])
            answer = b""
            while b"\r\n\r\n" not in answer and (more := connection.recv(65_536)):
                answer += more
        return answer


def service_of(provider: Provider) -> App:
    """A program that may ask for tokens, but is given none: it has no API."""
    return clients.register(provider.services, "service", grant_types=["client_credentials"])


def started(provider: Provider) -> Provider:
    """Start it and wait until both workers serve."""
    provider.start()
    assert until(lambda: len(provider.workers()) == 2 and provider.each_serves())
    assert session().get(provider.url("/readyz"), timeout=20).status_code == 200
    return provider


@pytest.fixture(params=SERVERS)
def mortal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Provider]:
    """A provider with two workers, to be ended by the test."""
    made = Provider(tmp_path / "provider", server=request.param, workers=2)
    try:
        yield started(made)
    finally:
        made.stop()


@pytest.fixture(params=SERVERS, scope="module")
def measured(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """A provider with two workers and metrics, which says all there is to say."""
    folder = tmp_path_factory.mktemp("measured") / "provider"
    made = Provider(folder, server=request.param, workers=2, metrics_port=free_port(), log_level="debug")
    try:
        started(made)
        assert until(lambda: listens(made.settings.metrics_port))  # a process of its own, which may come last
        yield made
    finally:
        made.stop()


@pytest.fixture
def ending_tls(tmp_path: Path, certificate: Certificate) -> Iterator[Provider]:
    """A provider that ends TLS itself, with files that the test may replace."""
    mine = Certificate(chain=tmp_path / "chain.pem", key=tmp_path / "key.pem")
    mine.chain.write_bytes(certificate.chain.read_bytes())
    mine.key.write_bytes(certificate.key.read_bytes())
    made = Provider(tmp_path / "provider", certificate=mine)
    try:
        yield made.start()
    finally:
        made.stop()
