"""The policy of a page with a form, as a real browser obeys it."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from idp.web.headers import content_security_policy
from tests.services.authority import Authority, Certificate
from tests.services.chromium import launched

FORM = b"<!doctype html><form method=post action=/login><button>Sign in</button></form>"


class Origin(ThreadingHTTPServer):
    """A site of one page: it shows `body` under `policy` to a GET, and sends everything else on `to` an address."""

    body, policy, to = b"home", "default-src 'none'", ""

    def __init__(self, certificate: Certificate | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Visit)
        self.scheme = "http" if certificate is None else "https"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate.chain, certificate.key)
            self.socket = context.wrap_socket(self.socket, server_side=True)

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_port}"


class Visit(BaseHTTPRequestHandler):
    """One request to an origin."""

    server: Origin

    def do_GET(self) -> None:
        self._away() if self.path == "/cb" else self._page()

    def do_POST(self) -> None:
        self._away()

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _away(self) -> None:
        self.send_response(303)
        self.send_header("Location", self.server.to)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _page(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Security-Policy", self.server.policy)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)


@contextmanager
def serving(*origins: Origin) -> Iterator[None]:
    with ExitStack() as stack:
        for origin in origins:
            thread = threading.Thread(target=origin.serve_forever, daemon=True)
            thread.start()
            stack.callback(thread.join)
            stack.callback(origin.server_close)
            stack.callback(origin.shutdown)
        yield


def test_a_person_reaches_an_app_that_sends_them_on_to_another_origin(tmp_path: Path) -> None:
    """Brokers and command lines do: their callback redirects to another site, and Chromium minds that too."""
    provider, app = Origin(), Origin()
    home = Origin(Authority(tmp_path / "authority").issue("127.0.0.1"))
    provider.body, provider.to = FORM, f"{app.url}/cb"
    provider.policy = content_security_policy(provider.to)
    app.to = f"{home.url}/home"
    with serving(provider, app, home), launched() as chromium:
        page = chromium.new_page(ignore_https_errors=True)
        page.goto(f"{provider.url}/login")
        page.click("button", no_wait_after=True)
        page.wait_for_url(app.to, timeout=10_000)
