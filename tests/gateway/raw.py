"""A client that sends exactly the bytes it is given: what is malformed must arrive malformed."""

from __future__ import annotations

import json
import socket
import time
from dataclasses import dataclass
from typing import Self


@dataclass
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes
    closed: bool

    def header(self, name: str) -> str | None:
        found = [value for each, value in self.headers if each == name]
        return "|".join(found) if found else None

    def json(self) -> dict[str, object]:
        return json.loads(self.body)


class Client:
    """One connection to the gateway."""

    def __init__(self, address: tuple[str, int] | str, *, timeout: float = 5.0, source: str | None = None) -> None:
        if isinstance(address, str):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(timeout)
            self.socket.connect(address)
        else:
            self.socket = socket.create_connection(address, timeout, (source, 0) if source else None)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.kept = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def _more(self) -> bool:
        try:
            data = self.socket.recv(65_536)
        except (ConnectionResetError, BrokenPipeError):
            return False
        self.kept += data
        return bool(data)

    def answer(self, *, head_only: bool = False) -> Answer:
        """Read one answer."""
        while b"\r\n\r\n" not in self.kept:
            if not self._more():
                raise ConnectionError(f"closed after {self.kept!r}")
        head, self.kept = self.kept.split(b"\r\n\r\n", 1)
        lines = head.decode("latin-1").split("\r\n")
        status = int(lines[0].split(" ")[1])
        pairs = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines[1:])]
        found = dict(pairs)
        if status == 100:
            return Answer(status, pairs, b"", closed=False)
        if head_only or status in {204, 304}:
            body = b""
        elif found.get("transfer-encoding") == "chunked":
            body = self._chunked()
        elif "content-length" in found:
            body = self._exactly(int(found["content-length"]))
        else:
            while self._more():
                continue
            body, self.kept = self.kept, b""
        return Answer(status, pairs, body, closed=found.get("connection") == "close")

    def _exactly(self, length: int) -> bytes:
        while len(self.kept) < length:
            if not self._more():
                raise ConnectionError("torn body")
        body, self.kept = self.kept[:length], self.kept[length:]
        return body

    def _chunked(self) -> bytes:
        body = b""
        while True:
            while b"\r\n" not in self.kept:
                if not self._more():
                    raise ConnectionError("torn body")
            size, self.kept = self.kept.split(b"\r\n", 1)
            chunk = self._exactly(int(size, 16) + 2)[:-2]
            if not chunk:
                return body
            body += chunk

    def ended(self, within: float = 15.0) -> bool:
        """Tell whether the gateway closes the connection, and sends nothing more."""
        self.socket.settimeout(within)
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            try:
                data = self.socket.recv(65_536)
            except (ConnectionResetError, BrokenPipeError):
                return True
            except TimeoutError:
                return False
            if not data:
                return True
        return False


def request(
    method: str = "GET",
    target: str = "/orders/7",
    *,
    token: str | None = None,
    host: str = "api.example",
    **headers: str,
) -> bytes:
    """Write a well-formed request; header names have underscores for hyphens."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}"]
    if token is not None:
        lines.append(f"Authorization: Bearer {token}")
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def ask(address: tuple[str, int] | str, data: bytes, *, head_only: bool = False) -> Answer:
    """Send on a fresh connection and read one answer."""
    with Client(address) as client:
        client.send(data)
        return client.answer(head_only=head_only)
