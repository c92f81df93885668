"""The gateway runs where nothing of the provider is installed."""

from __future__ import annotations

import http.client

import pytest

from tests.services.program import Program, free_port

pytestmark = pytest.mark.xdist_group("packaging")

CONFIGURATION = """
version = 1

[server]
shape = "proxy"
listen = "127.0.0.1:{port}"
hosts = ["127.0.0.1:{port}"]

[issuers.here]
issuer = "http://127.0.0.1:{nobody}"

[[routes]]
id = "orders"
match = {{ method = ["GET"], path = "/orders" }}
audience = "https://orders.example"
upstream = "http://127.0.0.1:{nobody}"
require = {{ scope = ["orders:read"] }}
"""
PROVIDER_ONLY = ("flask", "sqlalchemy", "authlib", "rich", "pydantic", "argon2", "pyotp")


@pytest.fixture
def bare(wheel, environment):
    """Our wheel without its requirements, and the three libraries of the gateway."""
    environment.install("--no-deps", wheel)
    environment.install("joserfc", "uvicorn", "httptools")
    return environment


def test_the_gateway_starts_and_refuses_in_a_bare_environment(bare, tmp_path):
    for name in PROVIDER_ONLY:
        bare.run(bare.bin / "python", "-c", f"import {name}", status=1)
    assert "run" in bare.run(bare.bin / "idp", "gateway", "--help")

    port = free_port()
    file = tmp_path / "gateway.toml"
    file.write_text(CONFIGURATION.format(port=port, nobody=free_port()))
    argv = [bare.bin / "idp", "gateway", "run", "--config", file]
    with Program(argv, log=tmp_path / "gateway.log", cwd=tmp_path) as gateway:
        gateway.wait_for_port(port)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", "/orders")
        answer = connection.getresponse()
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        connection.close()
