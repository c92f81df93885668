"""Connections that are owed an answer for too long, as the kernel tells of them."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from typing import cast

import pytest

from idp.cli.serving.connections import Watch
from idp.cli.serving.room import CROWDED_SECONDS, SECONDS, Room

LONG = 3 * SECONDS


class Waiting:
    """A room in which somebody has been waiting for as long as it is said."""

    patience = SECONDS
    seconds = LONG

    def longest(self) -> float:
        return self.seconds


class Line:
    """A connection of this process, with both its ends."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
            self.theirs = socket.create_connection(("127.0.0.1", self.port), timeout=10)
            self.ours, _ = listener.accept()

    def answer(self) -> None:
        """Answer what was asked, and see it taken."""
        self.ours.sendall(b"answer")
        assert self.theirs.recv(6) == b"answer"
        time.sleep(0.02)  # the kernel counts in ticks: what comes in the same one is not seen to come later

    def ask(self) -> None:
        self.theirs.sendall(b"question")
        assert self.ours.recv(8) == b"question"

    @property
    def told(self) -> bytes:
        """What was said before the end; nothing yet, where it has not come to that."""
        self.theirs.setblocking(False)
        try:
            return self.theirs.recv(1_000)
        except BlockingIOError:
            return b"still open"

    def close(self) -> None:
        self.ours.close()
        self.theirs.close()


@pytest.fixture
def line() -> Iterator[Line]:
    made = Line()
    yield made
    made.close()


@pytest.fixture
def room() -> Waiting:
    return Waiting()


@pytest.fixture
def watch(line: Line, room: Waiting) -> Watch:
    return Watch(cast("Room", room), line.port)


def test_who_is_owed_an_answer_for_too_long_is_told_so_and_cut_off(line: Line, watch: Watch) -> None:
    line.ask()
    watch.look(0.0)
    assert line.told == b"still open"
    watch.look(SECONDS)
    assert line.told.startswith(b"HTTP/1.1 408 ")


def test_a_watch_that_comes_late_is_as_sure(line: Line, watch: Watch) -> None:
    """It looks whenever the machine lets it: never in step with the kernel's own clock."""
    line.ask()
    for now in (0.0, 0.7, 3.1, 3.2, 8.0, SECONDS):
        watch.look(now)
    assert line.told.startswith(b"HTTP/1.1 408 ")


def test_drops_do_not_count_as_a_new_question(line: Line, watch: Watch) -> None:
    line.ask()
    line.answer()
    line.ask()
    watch.look(0.0)
    line.ask()
    watch.look(SECONDS)
    assert line.told.startswith(b"HTTP/1.1 408 ")


def test_an_answer_in_between_begins_the_time_again(line: Line, watch: Watch) -> None:
    line.ask()
    watch.look(0.0)
    line.answer()
    line.ask()
    watch.look(SECONDS)
    assert line.told == b"still open"
    watch.look(2 * SECONDS)
    assert line.told.startswith(b"HTTP/1.1 408 ")


def test_another_connection_is_not_taken_for_the_one_before(line: Line, watch: Watch) -> None:
    line.ask()
    watch.look(0.0)
    line.ours.close()
    with socket.create_server(("127.0.0.1", line.port), reuse_port=False) as listener:
        mine, theirs = line.theirs.getsockname(), socket.socket()
        line.theirs.close()
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        theirs.bind(mine)
        theirs.settimeout(10)
        theirs.connect(("127.0.0.1", line.port))
        line.theirs, (line.ours, _) = theirs, listener.accept()
    line.ask()
    watch.look(SECONDS)
    assert line.told == b"still open"


def test_nobody_is_looked_at_while_nobody_waits(line: Line, room: Waiting, watch: Watch) -> None:
    room.seconds = CROWDED_SECONDS / 4
    line.ask()
    watch.look(0.0)
    watch.look(LONG)
    assert line.told == b"still open"
