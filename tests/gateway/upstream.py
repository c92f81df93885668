"""A server behind the gateway that keeps every byte it was sent and answers as it is told."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


@dataclass
class Seen:
    """One request as it arrived."""

    head: bytes
    body: bytes

    @property
    def line(self) -> bytes:
        return self.head.split(b"\r\n", 1)[0]

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        lines = self.head.split(b"\r\n")[1:]
        return [(name.lower(), value.strip()) for name, _, value in (line.partition(b":") for line in lines if line)]

    def header(self, name: bytes) -> bytes | None:
        found = [value for each, value in self.headers if each == name]
        return b"|".join(found) if found else None


@dataclass
class Upstream:
    """What to answer, and what was asked."""

    answer: bytes = OK
    script: Callable[[socket.socket, Seen], bool] | None = None  # True: go on with this connection
    seen: list[Seen] = field(default_factory=list)
    connections: int = 0
    port: int = 0

    def reset(self) -> None:
        self.answer = OK
        self.script = None
        self.seen = []
        self.connections = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def last(self) -> Seen:
        return self.seen[-1]


def read_request(connection: socket.socket, kept: bytes) -> tuple[Seen, bytes] | None:
    while b"\r\n\r\n" not in kept:
        more = connection.recv(65_536)
        if not more:
            return None
        kept += more
    head, kept = kept.split(b"\r\n\r\n", 1)
    seen = Seen(head, b"")
    if seen.header(b"transfer-encoding"):
        while not kept.endswith(b"0\r\n\r\n"):
            more = connection.recv(65_536)
            if not more:
                return None
            kept += more
        return Seen(head, kept), b""
    length = int(seen.header(b"content-length") or 0)
    while len(kept) < length:
        more = connection.recv(65_536)
        if not more:
            return None
        kept += more
    return Seen(head, kept[:length]), kept[length:]


def _serve(upstream: Upstream, connection: socket.socket) -> None:
    kept = b""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with connection, contextlib.suppress(OSError):
        while (got := read_request(connection, kept)) is not None:
            seen, kept = got
            upstream.seen.append(seen)
            if upstream.script is None:
                connection.sendall(upstream.answer)
            elif not upstream.script(connection, seen):
                return


@contextmanager
def running(upstream: Upstream) -> Iterator[Upstream]:
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    upstream.port = listener.getsockname()[1]
    open_ones: list[socket.socket] = []

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            upstream.connections += 1
            open_ones.append(connection)
            threading.Thread(target=_serve, args=(upstream, connection), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield upstream
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for connection in open_ones:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        thread.join()
