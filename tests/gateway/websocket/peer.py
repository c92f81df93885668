"""A WebSocket server and client that know nothing of ours: the library `websockets`."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.sync.server import Server, ServerConnection, serve
from websockets.typing import Subprotocol


class Peer:
    """The server: it echoes what it hears, or does as it is told, and remembers how each connection went."""

    def __init__(self) -> None:
        self.port = 0
        self.server: Server | None = None
        self.forget()

    def reset(self) -> None:
        """Begin anew, when all is over that another test began: it might come in only now."""
        server = self.server
        assert server is not None
        with connect(f"ws://127.0.0.1:{self.port}/last"):
            pass  # whatever was on its way has been let in before this one
        assert wait_until(lambda: not server.handler_threads)
        self.forget()

    def forget(self) -> None:
        self.script: Callable[[ServerConnection], None] = echo
        self.opened: list[ServerConnection] = []
        self.ended: list[tuple[int | None, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def header(self, name: str) -> str | None:
        """What the last one brought along."""
        wait_until(lambda: self.opened)
        request = self.opened[-1].request
        assert request is not None
        return request.headers.get(name)

    def saw(self, code: int, reason: str) -> bool:
        """Wait until a connection has ended like this."""
        return wait_until(lambda: (code, reason) in self.ended)

    def serve(self, connection: ServerConnection) -> None:
        self.opened.append(connection)
        with contextlib.suppress(ConnectionClosed):
            self.script(connection)
            for _ in connection:
                continue
        protocol = connection.protocol
        self.ended.append((protocol.close_code, protocol.close_reason or ""))


def wait_until(there: Callable[[], object], within: float = 20.0) -> bool:
    deadline = time.monotonic() + within
    while not there() and time.monotonic() < deadline:
        time.sleep(0.01)
    return bool(there())


def echo(connection: ServerConnection) -> None:
    for message in connection:
        connection.send(message)


@contextmanager
def running(peer: Peer, **settings: Any) -> Iterator[Peer]:
    peer.server = server = serve(
        peer.serve,
        "127.0.0.1",
        0,
        select_subprotocol=lambda _connection, offered: Subprotocol("app.v1") if "app.v1" in offered else None,
        max_size=None,
        **settings,
    )
    peer.port = server.socket.getsockname()[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield peer
    finally:
        server.shutdown()
        thread.join()


def opened(address: tuple[str, int], token: str | None, path: str = "/live/a", **settings: Any) -> ClientConnection:
    """Open one through the gateway."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    headers |= settings.pop("headers", {})
    sock = socket.create_connection(address, 15)
    try:
        return connect(
            f"ws://api.example{path}",
            sock=sock,
            additional_headers=headers,
            proxy=None,
            open_timeout=15,
            close_timeout=3,
            max_size=None,
            **settings,
        )
    except BaseException:
        sock.close()
        raise


def closed(client: ClientConnection, within: float = 15.0) -> tuple[int | None, str]:
    """Wait until it is closed, and say how."""
    with contextlib.suppress(ConnectionClosed):
        while True:
            client.recv(timeout=within)
    return client.close_code, client.close_reason or ""
