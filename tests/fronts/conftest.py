"""Each front once per session, with a real gateway beside it and an API behind it that keeps every byte."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fronts.places import OFFICE, Places, gateway_toml
from tests.gateway import issuer as issuers
from tests.gateway import upstream as upstreams
from tests.gateway.conftest import Running
from tests.gateway.conftest import _serving as serving
from tests.gateway.issuer import Issuer
from tests.gateway.raw import Answer, Client
from tests.gateway.upstream import Upstream
from tests.services.fronts import FRONTS
from tests.services.program import free_port

API = "https://api.example"
ELSEWHERE = "127.0.0.2"  # not a trusted proxy, not the office


@dataclass(frozen=True, kw_only=True)
class Front:
    """A front that stands."""

    name: str
    port: int
    gateway: Running
    issuer: Issuer
    api: Upstream

    def connect(self, source: str = ELSEWHERE) -> Client:
        """Connect as a caller from this address."""
        return Client(("127.0.0.1", self.port), source=source)

    def ask(self, data: bytes, *, source: str = ELSEWHERE) -> Answer:
        """Send a request on a fresh connection and read the answer."""
        with self.connect(source) as caller:
            caller.send(data)
            return caller.answer()

    def token(self, **claims: object) -> str:
        """A good token for the API, with some claims changed."""
        return self.issuer.token(**{"aud": API, **claims})

    def decided(self) -> list[dict[str, object]]:
        """What the gateway has been asked and has decided."""
        return self.gateway.lines()


@pytest.fixture(
    scope="session", params=[pytest.param(name, marks=pytest.mark.xdist_group(f"front-{name}")) for name in FRONTS]
)
def _standing(request: pytest.FixtureRequest, box: Path) -> Iterator[Front]:
    name = request.param
    folder = box / f"front-{name}"
    folder.mkdir()
    folder.chmod(0o755)  # nginx asks as another account
    with (
        issuers.running(Issuer()) as issuer,
        upstreams.running(Upstream()) as api,
        serving() as serve,
    ):
        gateway_port = free_port() if name == "traefik" else None
        places = Places(folder=folder, front=free_port(), api=api.port, gateway=gateway_port)
        gateway = serve(gateway_toml(name, issuer.issuer, places))
        if gateway_port is None:
            places.socket.chmod(0o666)
        program = FRONTS[name](places)
        try:
            yield Front(name=name, port=places.front, gateway=gateway, issuer=issuer, api=api)
        finally:
            program.stop()


@pytest.fixture
def front(_standing: Front) -> Front:
    """A front; the API behind it and the decision log are as new."""
    _standing.issuer.reset()
    _standing.api.reset()
    _standing.gateway.forget()
    return _standing


@pytest.fixture
def office() -> str:
    """The one address from which reports are open."""
    return OFFICE
