"""The snippet of docs/deploy/nginx, with the addresses of this line in place of its examples."""

from __future__ import annotations

from pathlib import Path

from tests.journeys.line import Line

SNIPPET = Path(__file__).resolve().parents[2] / "docs" / "deploy" / "nginx" / "gatehouse.conf"


def inside(line: Line) -> str:
    """Return what goes into nginx's http block."""
    places = line.facts.places
    text = SNIPPET.read_text("utf-8")
    for example, here in (
        ("unix:/run/gatehouse/gateway.sock", f"127.0.0.1:{line.gateway_port}"),
        ("127.0.0.1:8090", f"127.0.0.1:{places.api}"),
        ("127.0.0.1:8088", f"127.0.0.1:{places.gateway}"),
        ("server_name api.example", "server_name 127.0.0.1"),
    ):
        assert example in text, "the snippet no longer says what the journey adapts"
        text = text.replace(example, here)
    return text
