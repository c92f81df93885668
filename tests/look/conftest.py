"""A small server that shows the gallery under the Content-Security-Policy of the product."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tests.look.gallery import PAGES

ROOT = Path(__file__).resolve().parents[2]
POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
TYPES = {".css": "text/css", ".svg": "image/svg+xml"}

JINJA = Environment(
    loader=FileSystemLoader(ROOT / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
)
JINJA.globals.update(csrf_token=lambda: "csrf", asset=lambda path: f"/static/{path}?v=0")


def render(name: str, direction: str) -> str:
    """One page of the gallery as the product would answer it."""
    chosen = next(page for page in PAGES if page.name == name)
    context: dict[str, object] = {**chosen.context, "dir": direction}
    if direction == "rtl":
        context["lang"] = "ar"
    return JINJA.get_template(chosen.template).render(context)


class Gallery(BaseHTTPRequestHandler):
    """GET /page/NAME/ltr|rtl and the static files."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path.startswith("/page/"):
            name, direction = path.removeprefix("/page/").split("/")
            return self.answer(render(name, direction).encode(), "text/html; charset=utf-8")
        return self.answer((ROOT / path.lstrip("/")).read_bytes(), TYPES[Path(path).suffix])

    def answer(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", POLICY)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Quiet: the browser's own errors are what the tests read."""


@pytest.fixture(scope="session")
def gallery() -> Iterator[str]:
    """Address of the gallery."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Gallery)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="session")
def shots(artifacts: Path) -> Path:
    """Where pictures are kept, to be looked at."""
    folder = artifacts / "look"
    folder.mkdir(exist_ok=True)
    return folder
