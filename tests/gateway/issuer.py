"""A provider that can hang, fail, lie and rotate. Standard library and our jose: the gateway's tests need no Flask."""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from functools import lru_cache

from idp.gateway.fetch import FetchError
from idp.jose.keys import SigningKey
from idp.jose.sign import sign
from tests.gateway.stream import Stream

AUDIENCE = "https://orders.example"


def a_key(alg: str = "ES256", number: int = 0) -> SigningKey:
    """Keys take time to make, so tests share them by number."""
    return _key(alg, number)


@lru_cache(maxsize=32)
def _key(alg: str, _number: int) -> SigningKey:
    return SigningKey.generate(alg)


class Issuer:
    """What the provider would say, and how it misbehaves."""

    def __init__(self) -> None:
        self.issuer = ""
        self.reset()

    def reset(self) -> None:
        """Behave again."""
        self.keys = [a_key()]
        self.document: bytes | None = None  # instead of the keys
        self.metadata: dict[str, object] = {}
        self.stream: Stream | None = None  # what it tells about revocations
        self.status = 200
        self.hang = threading.Event()
        self.hanging = False
        self.drip = False
        self.headers: dict[str, str] = {}
        self.etag: str | None = None
        self.date: float | None = None
        self.asked: list[str] = []  # paths
        self.conditions: list[str | None] = []

    @property
    def fetches(self) -> int:
        """How often the keys were asked for."""
        return self.asked.count("/jwks")

    def jwks(self) -> bytes:
        if self.document is not None:
            return self.document
        return json.dumps({"keys": [key.public_jwk() for key in self.keys]}).encode()

    def discovery(self) -> bytes:
        return json.dumps({"issuer": self.issuer, "jwks_uri": self.issuer + "/jwks", **self.metadata}).encode()

    def claims(self, **changed: object) -> dict[str, object]:
        now = int(time.time())
        claims: dict[str, object] = {
            "iss": self.issuer,
            "sub": "0190-alice",
            "aud": AUDIENCE,
            "client_id": "web-app",
            "iat": now,
            "exp": now + 600,
            "jti": "jti-1",
            "scope": "orders:read orders:write",
            "roles": ["clerk"],
        }
        claims.update(changed)
        return {name: value for name, value in claims.items() if value is not None}

    def token(self, *, key: SigningKey | None = None, typ: str = "at+jwt", **changed: object) -> str:
        """Sign a token; a claim given as None is left out."""
        return sign(self.claims(**changed), key or self.keys[0], typ=typ)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    issuer: Issuer

    def do_GET(self) -> None:
        issuer = self.issuer
        issuer.asked.append(self.path)
        issuer.conditions.append(self.headers.get("If-None-Match"))
        if issuer.hanging:
            issuer.hang.wait(10)
            self.close_connection = True
            return
        known = issuer.etag is not None and self.headers.get("If-None-Match") == issuer.etag
        body = issuer.discovery() if self.path.startswith("/.well-known/") else issuer.jwks()
        status = issuer.status
        if known and self.path == "/jwks":
            status, body = 304, b""
        self.send_response_only(status)
        self.send_header("Date", formatdate(issuer.date or time.time(), usegmt=True))
        if issuer.etag and self.path == "/jwks":
            self.send_header("ETag", issuer.etag)
        for name, value in issuer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if issuer.drip:
            for byte in body:
                time.sleep(0.05)
                self.wfile.write(bytes([byte]))
                self.wfile.flush()
            return
        self.wfile.write(body)

    def do_POST(self) -> None:
        issuer = self.issuer
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status, answer = 503, b""
        with contextlib.suppress(FetchError):
            if issuer.stream is not None:
                status, answer = 200, issuer.stream.post(issuer.issuer + self.path, body, dict(self.headers))
        self.send_response_only(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        return


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that give up are part of the tests."""


@contextmanager
def running(issuer: Issuer) -> Iterator[Issuer]:
    handler = type("Handler", (_Handler,), {"issuer": issuer})
    server = _Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    issuer.issuer = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield issuer
    finally:
        issuer.hang.set()
        server.shutdown()
        server.server_close()
        thread.join()
