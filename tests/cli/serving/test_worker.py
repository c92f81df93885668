"""Clients that hold a connection and say nothing, or too slowly, under the server that faces them itself."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from idp.cli.serving.gunicorn import options
from idp.cli.serving.worker import CONNECTIONS, SECONDS, Worker
from tests.services.authority import Authority, Certificate
from tests.services.provider import Provider, session

# One process of the tests for all: another would start the same servers again.
pytestmark = pytest.mark.xdist_group("serving-worker")

THREADS = 2
HEAD = "Host: localhost:{port}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000\r\n"


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    folder = tmp_path_factory.mktemp("slow") / "provider"
    with Provider(folder, server="gunicorn", workers=1, threads=THREADS) as made:
        yield made


def test_a_quit_ends_it_wherever_it_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[int] = []
    monkeypatch.setattr("idp.cli.serving.worker.os._exit", ended.append)
    monkeypatch.setattr("idp.cli.serving.worker.time.sleep", lambda _seconds: None)
    worker = Worker.__new__(Worker)
    worker.handle_quit(signal.SIGQUIT, None)
    assert (ended, worker.alive) == ([0], False)


def hold(held: ExitStack, provider: Provider, said: bytes, *, connections: int) -> None:
    for _ in range(connections):
        slow = held.enter_context(socket.create_connection(("127.0.0.1", provider.port)))
        slow.sendall(said)
    time.sleep(0.3)


def seconds_to_answer(provider: Provider, trust: Path | None = None) -> float:
    began = time.monotonic()
    assert session(trust).get(provider.url("/healthz"), timeout=30).status_code == 200
    return time.monotonic() - began


def test_connections_without_a_request_cost_no_thread(provider: Provider) -> None:
    with ExitStack() as held:
        hold(held, provider, b"", connections=8 * THREADS)
        assert seconds_to_answer(provider) < SECONDS  # each would cost one of two threads five of them


def test_silent_connections_make_room_for_whoever_says_something(provider: Provider) -> None:
    began = time.monotonic()
    with ExitStack() as held:
        hold(held, provider, b"", connections=CONNECTIONS + 20)
        seconds_to_answer(provider)
        # Without that the first of them would make room by itself, after so long.
        assert time.monotonic() - began < options(provider.settings)["keepalive"] - 1


@pytest.mark.parametrize(
    "said", ["POST /token HTTP/1.1\r\nX-Slow: ", f"POST /token HTTP/1.1\r\n{HEAD}\r\na"], ids=["half head", "half body"]
)
def test_a_request_that_does_not_come_to_its_end_frees_its_thread(provider: Provider, said: str) -> None:
    with ExitStack() as held:
        hold(held, provider, said.format(port=provider.port).encode(), connections=THREADS)
        assert seconds_to_answer(provider) < 2 * SECONDS  # else never


def test_a_handshake_that_does_not_come_to_its_end_frees_its_thread(
    tmp_path: Path, certificate: Certificate, authority: Authority
) -> None:
    with (
        Provider(tmp_path / "provider", certificate=certificate, workers=1, threads=THREADS) as provider,
        ExitStack() as held,
    ):
        hold(held, provider, b"\x16\x03\x01\x02\x00\x01", connections=THREADS)
        assert seconds_to_answer(provider, authority.file) < 2 * SECONDS  # else never
