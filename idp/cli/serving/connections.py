"""Cutting off connections whose request has not come to its end, for a server that has no limit for it.

granian tells nobody which connection a request came by. The kernel knows enough of each: when it last brought us
something, and when we last sent something over it. Where we owe an answer, the first is later than the second; and
as long as it is the same answer, the other side has taken no more of our bytes.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from idp.web.logs import log

if TYPE_CHECKING:
    from idp.cli.serving.room import Room

EVERY: Final = 0.5
NOTICED: Final = 1.0  # seconds after which a body is slow enough to look at connections
FOLDER: Final = Path("/proc/self/fd")
TOO_LATE: Final = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
# struct tcp_info of Linux: milliseconds since we last sent data and since we last had some; the bytes taken of ours.
INFO, LAST_SENT, LAST_HAD, TAKEN = 128, 44, 52, 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Quiet:
    """For how many seconds nothing went over a connection, each way, and how many bytes of ours were ever taken."""

    sent: float
    had: float
    taken: int

    @property
    def owes(self) -> bool:
        """Say whether the other side spoke last."""
        return self.taken == 0 or self.had < self.sent


class Watch(threading.Thread):
    """Looks at the room twice a second, and at the connections only while somebody waits there."""

    def __init__(self, room: Room, port: int) -> None:
        super().__init__(name="room-watch", daemon=True)
        self._room, self._port = room, port
        # By the kernel's name of a socket, which a later one never has: the bytes taken, and since when that is known.
        self._owing: dict[str, tuple[int, float]] = {}

    def run(self) -> None:
        """Look until the process ends."""
        while True:
            time.sleep(EVERY)
            with contextlib.suppress(OSError):
                self.look(time.monotonic())

    def look(self, now: float) -> None:
        """Remember whom we owe an answer, and cut off whom we have owed it for too long.

        At one look a new request over a connection that rested looks the same as one that never ends.
        """
        longest, patience, before = self._room.longest(), self._room.patience, self._owing
        self._owing, ended = {}, 0
        if longest < NOTICED:
            return
        for name, connection in accepted(self._port):
            quiet = quietness(connection)
            if quiet.owes:
                taken, since = before.get(name, (quiet.taken, now))
                # Not by the clock: a busy machine comes late between two readings, and would never be sure.
                self._owing[name] = (quiet.taken, since if quiet.taken == taken else now)
            # Silent ones go too: a request that came at the back of another looks like a connection at rest.
            known = now - self._owing[name][1] if quiet.owes else min(quiet.sent, quiet.had)
            if longest > patience and known >= patience - EVERY:
                cut(connection, tell=quiet.owes)
                ended += 1
        if ended:
            log.warning("server.slow_bodies", cut=ended, longest=round(longest, 1))


def cut(connection: socket.socket, *, tell: bool) -> None:
    """End a connection, with a word where one is due; its thread, which may be reading, then finds the end."""
    with contextlib.suppress(OSError):
        if tell:
            connection.send(TOO_LATE, socket.MSG_DONTWAIT)
        connection.shutdown(socket.SHUT_RDWR)


def quietness(connection: socket.socket) -> Quiet:
    """Ask the kernel when something last went over a connection."""
    told = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, INFO)
    (sent,), (had,) = struct.unpack_from("=I", told, LAST_SENT), struct.unpack_from("=I", told, LAST_HAD)
    (taken,) = struct.unpack_from("=Q", told, TAKEN)
    return Quiet(sent=sent / 1000, had=had / 1000, taken=taken)


def accepted(port: int) -> Iterator[tuple[str, socket.socket]]:
    """Give every connection of this process that came in by `port`, held while it is looked at."""
    for file in FOLDER.iterdir():
        with contextlib.suppress(OSError):
            name = str(file.readlink())
            if not name.startswith("socket:"):
                continue
            # A copy: the number itself may mean another file by the time it is used.
            with socket.socket(fileno=os.dup(int(file.name))) as found:
                if found.type is socket.SOCK_STREAM and found.family in {socket.AF_INET, socket.AF_INET6}:
                    found.getpeername()  # a listener has none
                    if found.getsockname()[1] == port:
                        yield name, found
