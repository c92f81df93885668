from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from idp.jose.keys import SigningKey
from tests.gateway import issuer as issuers
from tests.gateway.conftest import Running
from tests.gateway.issuer import AUDIENCE, Issuer
from tests.gateway.stream import GATEWAY, Stream
from tests.gateway.upstream import Upstream
from tests.gateway.websocket.peer import Peer, running

PAGE = "https://app.example"


def live_text(issuer: Issuer, upstream: str, key: Path, *, server: str = "", websocket: str = "true") -> str:
    return f"""
version = 1
[server]
listen = "127.0.0.1:0"
drain = "3s"
{server}
[issuers.main]
issuer = "{issuer.issuer}"
leeway = "1ms"
client = {{ id = "{GATEWAY}", key_file = "{key}" }}
revocation = {{ poll = "100ms" }}

[[routes]]
id = "live"
match = {{ host = "api.example", method = ["GET"], path = "/live/{{topic}}" }}
audience = "{AUDIENCE}"
require = {{ scope = ["orders:read"] }}
upstream = "{upstream}"
websocket = {websocket}

[[routes]]
id = "browser"
match = {{ host = "api.example", method = ["GET"], path = "/browser/{{topic}}" }}
audience = "{AUDIENCE}"
upstream = "{upstream}"
websocket = {{ subprotocol = true, cookie = "access", origins = ["{PAGE}"], idle = "1s", max_age = "2s" }}

[[routes]]
id = "ageing"
match = {{ host = "api.example", method = ["GET"], path = "/ageing/{{topic}}" }}
audience = "{AUDIENCE}"
upstream = "{upstream}"
websocket = {{ max_age = "2s" }}

[[routes]]
id = "plain"
match = {{ host = "api.example", method = ["GET", "POST"], path = "/plain/{{rest...}}" }}
audience = "{AUDIENCE}"
upstream = "{upstream}"

[[routes]]
id = "finish"
match = {{ host = "api.example", method = ["GET"], path = "/finish" }}
audience = "{AUDIENCE}"
upstream = "{upstream}"
on_expiry = "finish"

[[routes]]
id = "cut"
match = {{ host = "api.example", method = ["GET", "POST"], path = "/cut" }}
audience = "{AUDIENCE}"
upstream = "{upstream}"
on_expiry = "cut"
"""


@pytest.fixture(scope="module")
def _peer() -> Iterator[Peer]:
    with running(Peer()) as peer:
        yield peer


@pytest.fixture
def peer(_peer: Peer) -> Peer:
    _peer.reset()
    return _peer


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("key") / "gateway.pem"
    file.write_bytes(SigningKey.generate("ES256").private_pem())
    return file


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    """One provider for all tests of a file, so that gateways may listen to it for as long."""
    with issuers.running(Issuer()) as issuer:
        told = ("events_endpoint", "/events"), ("introspection_endpoint", "/introspect")
        issuer.metadata = {name: issuer.issuer + path for name, path in told}
        issuer.stream = Stream(issuer.keys[0], issuer=issuer.issuer)
        yield issuer


@pytest.fixture
def stream(issuer: Issuer) -> Stream:
    """What the provider tells about revocations."""
    assert issuer.stream is not None
    return issuer.stream


@pytest.fixture(scope="module")
def _live(serve_module: Callable[[str], Running], issuer: Issuer, _peer: Peer, key: Path) -> Running:
    return serve_module(live_text(issuer, _peer.url, key))


@pytest.fixture
def live(_live: Running, peer: Peer) -> Running:
    """A gateway before the peer, with ears for revocations."""
    _live.forget()
    return _live


@pytest.fixture(scope="module")
def _scripted(serve_module: Callable[[str], Running], issuer: Issuer, _upstream: Upstream, key: Path) -> Running:
    return serve_module(live_text(issuer, _upstream.url, key))


@pytest.fixture
def scripted(_scripted: Running, upstream: Upstream) -> Running:
    """A gateway before a server of bare sockets."""
    _scripted.forget()
    return _scripted
