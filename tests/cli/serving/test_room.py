"""Senders who never come to the end of a body, under the server that has no limit for it."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests

from idp.cli.serving.room import CROWDED_SECONDS, SECONDS
from tests.cli.serving.conftest import until
from tests.services.program import gone
from tests.services.provider import Provider, session

# One process of the tests for all: another would start the same servers again.
pytestmark = pytest.mark.xdist_group("serving-room")

SEATS = 2
FORM = "Host: localhost:{port}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000\r\n"
HALF = f"POST /token HTTP/1.1\r\n{FORM}\r\na"
WHOLE = "GET /healthz HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n"


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    folder = tmp_path_factory.mktemp("room") / "provider"
    with Provider(folder, server="granian", workers=1, threads=SEATS) as made:
        yield made


def begun(held: ExitStack, provider: Provider, said: str, *, connections: int = 1) -> list[socket.socket]:
    """Open connections that say something, and then nothing more."""
    made = []
    for _ in range(connections):
        slow = held.enter_context(socket.create_connection(("127.0.0.1", provider.port), timeout=SECONDS + 10))
        slow.sendall(said.format(port=provider.port).encode())
        made.append(slow)
    time.sleep(0.3)
    return made


def seconds_to_answer(provider: Provider) -> float:
    began = time.monotonic()
    answer = session().post(provider.url("/token"), data={"grant_type": "client_credentials"}, timeout=30)
    assert answer.status_code == 401
    return time.monotonic() - began


def takes(slow: socket.socket, said: bytes) -> bool:
    """Say a little more, if the other side is still there."""
    try:
        slow.sendall(said)
    except OSError:
        return False
    return True


def rest(slow: socket.socket) -> bytes:
    """Read what still comes, to the end."""
    said = b""
    try:
        while more := slow.recv(65_536):
            said += more
    except ConnectionResetError:
        pass
    return said


def test_half_bodies_hold_nobody_up(provider: Provider) -> None:
    with ExitStack() as held:
        begun(held, provider, HALF, connections=40 * SEATS)
        assert seconds_to_answer(provider) < SECONDS - 1  # each of them would cost a thread as much


def stalled(provider: Provider) -> tuple[bytes, float]:
    with ExitStack() as held:
        (slow,) = begun(held, provider, HALF)
        began = time.monotonic()
        return rest(slow), time.monotonic() - began


def dropped(provider: Provider) -> bool:
    with ExitStack() as held:
        (slow,) = begun(held, provider, HALF)
        return until(lambda: not takes(slow, b"a"), seconds=SECONDS + 5)


def at_the_back(provider: Provider) -> tuple[bytes, float]:
    with ExitStack() as held:
        (slow,) = begun(held, provider, WHOLE + HALF)
        began = time.monotonic()
        return rest(slow), time.monotonic() - began


def rested(provider: Provider) -> set[int]:
    with ExitStack() as held, session() as friend:
        told = {friend.get(provider.url("/healthz"), timeout=5).status_code}
        begun(held, provider, HALF)
        began = time.monotonic()
        while time.monotonic() - began < SECONDS + 3:
            answer = friend.post(provider.url("/token"), data={"grant_type": "client_credentials"}, timeout=5)
            told.add(answer.status_code)
            time.sleep(0.1)
    return told


Waited = Mapping[Callable[[Provider], Any], Future[Any]]


@pytest.fixture(scope="module")
def waited(provider: Provider) -> Iterator[Waited]:
    """What becomes of those whose patience is tried, all at the same time: each takes ten seconds."""
    each = (stalled, dropped, at_the_back, rested)
    with ThreadPoolExecutor(len(each)) as pool:
        yield {wait: pool.submit(wait, provider) for wait in each}


def test_a_body_that_stalls_is_told_so_and_cut_off(waited: Waited) -> None:
    said, seconds = waited[stalled].result()
    assert said.startswith(b"HTTP/1.1 408 ")
    assert SECONDS / 2 < seconds < SECONDS + 5


def test_drops_do_not_make_it_last_longer(waited: Waited) -> None:
    assert waited[dropped].result()


def test_a_half_request_at_the_back_of_a_whole_one_ends_too(waited: Waited) -> None:
    said, seconds = waited[at_the_back].result()
    assert said.startswith(b"HTTP/1.1 200 ")
    assert seconds < SECONDS + 5


def test_a_connection_that_rested_is_not_taken_for_a_slow_one(waited: Waited) -> None:
    """A new request over an old connection, just when slow ones are looked for."""
    assert waited[rested].result() == {200, 401}


def test_where_many_wait_each_waits_less(provider: Provider) -> None:
    began = time.monotonic()
    with ExitStack() as held:
        first, *_ = begun(held, provider, HALF, connections=200)
        rest(first)
        assert CROWDED_SECONDS / 2 < time.monotonic() - began < SECONDS - 1


@pytest.mark.parametrize("body", [b"a" * 70_000, iter([b"a" * 40_000, b"b" * 40_000])], ids=["announced", "chunked"])
def test_too_much_is_refused_as_ever(provider: Provider, body: bytes) -> None:
    head = {"Content-Type": "application/x-www-form-urlencoded"}
    assert session().post(provider.url("/token"), data=body, headers=head, timeout=10).status_code == 413


@pytest.mark.attack("F1")
def test_workers_go_with_a_master_that_is_killed(tmp_path: Path) -> None:
    provider = Provider(tmp_path / "provider", server="granian", workers=2)
    try:
        provider.start()
        assert until(lambda: len(provider.workers()) == 2)
        workers = provider.workers()
        assert provider.program is not None
        os.kill(provider.program.pid, signal.SIGKILL)
        assert until(lambda: all(gone(worker) for worker in workers), seconds=15)
        with pytest.raises(requests.ConnectionError):
            session().get(provider.url("/healthz"), timeout=2)
    finally:
        provider.stop()
