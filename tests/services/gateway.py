"""The gateway as operators run it: `idp gateway run`, its own process, in front of an API that only answers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.services.program import Program, free_port
from tests.services.provider import IDP

CONFIGURATION = """
version = 1

[server]
shape = "proxy"
listen = "127.0.0.1:{port}"
hosts = ["127.0.0.1:{port}"]

[issuers.main]
issuer = "{issuer}"
jwks = {{ {keys}refresh = "{refresh}", kid_cooldown = "{cooldown}", max_stale = "1h", snapshot = "{folder}/jwks.json" }}
{more}

[[routes]]
id = "orders"
match = {{ method = ["GET"], path = "/orders" }}
audience = "{audience}"
upstream = "http://127.0.0.1:{upstream}"
require = {{ scope = ["orders:read"] }}
"""


class Yes(BaseHTTPRequestHandler):
    """Answers 200 to whatever gets through."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class calls it so
        """Quiet."""


@contextmanager
def api() -> Iterator[int]:
    """Run the API alone and give its port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Yes)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


class Gateway:
    """One gateway, one route, and the API behind it."""

    def __init__(
        self,
        folder: Path,
        *,
        issuer: str,
        audience: str,
        refresh: str = "5m",
        cooldown: str = "30s",
        keys: str = "",
        more: str = "",
    ) -> None:
        folder.mkdir(parents=True)
        self._api = ThreadingHTTPServer(("127.0.0.1", 0), Yes)
        threading.Thread(target=self._api.serve_forever, daemon=True).start()
        self.port = free_port()
        self._config = folder / "gateway.toml"
        self._config.write_text(
            CONFIGURATION.format(
                port=self.port,
                issuer=issuer,
                keys=f'uri = "{keys}", ' if keys else "",
                refresh=refresh,
                cooldown=cooldown,
                folder=folder,
                audience=audience,
                upstream=self._api.server_address[1],
                more=more,
            )
        )
        self._log = folder / "gateway.log"
        self.url = f"http://127.0.0.1:{self.port}/orders"
        try:
            self.start()
        except BaseException:
            self._end_api()
            raise

    def start(self) -> None:
        """Start, also again."""
        self.program = Program([IDP, "gateway", "run", "--config", self._config], log=self._log)
        self.program.wait_for_port(self.port)

    def stop(self) -> None:
        """End the gateway and its API."""
        self.program.stop()
        self._end_api()

    def _end_api(self) -> None:
        self._api.shutdown()
        self._api.server_close()
