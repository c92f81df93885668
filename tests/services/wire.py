"""A wire between us and a server: it counts, it keeps what was said, and it can break."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from typing import Self


class Wire:
    """Listens on a port of its own and passes on; `said` is every byte that came from the client."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.said = bytearray()
        self.connections = 0
        self.answered = 0  # bytes from the server
        self.cut_after: int | None = None  # bytes from the server, then the line breaks
        self.abrupt = False  # breaks by a reset, and not by a farewell
        self._open: set[socket.socket] = set()
        self._others: list[socket.socket] = []
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def listen_too(self, host: str) -> None:
        """Listen at another address of this machine, at the same port."""
        other = socket.create_server((host, self.port))
        self._others.append(other)
        threading.Thread(target=self._accept, args=(other,), daemon=True).start()

    def lead_to(self, port: int) -> None:
        """Lead to another server from now on."""
        self._target = port
        self.drop()

    def drop(self) -> None:
        """Break every line."""
        for each in list(self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RD if self.abrupt else socket.SHUT_RDWR)

    def close(self) -> None:
        for listener in (self._listener, *self._others):
            listener.close()
        self.drop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        try:
            far = socket.create_connection(("127.0.0.1", self._target), 5)
        except OSError:
            near.close()
            return
        self._open |= {near, far}
        back = threading.Thread(target=self._pump, args=(far, near), kwargs={"outward": False}, daemon=True)
        back.start()
        self._pump(near, far, outward=True)
        back.join(10)
        self._open -= {near, far}
        if self.abrupt:
            near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        near.close()
        far.close()

    def _pump(self, source: socket.socket, sink: socket.socket, *, outward: bool) -> None:
        passed = 0
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if outward:
                    self.said += data
                else:
                    self.answered += len(data)
                passed += len(data)
                if not outward and self.cut_after is not None and passed > self.cut_after:
                    break
                sink.sendall(data)
        for each in (source, sink):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RD if self.abrupt else socket.SHUT_RDWR)
