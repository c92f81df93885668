"""A gate whose routes demand proofs and certificates, without a network and with a clock that stands still."""

from __future__ import annotations

import time
from base64 import b64encode
from typing import Any

from idp.gateway.decide import Gate
from idp.gateway.load import parse
from idp.gateway.request import Decision, Request
from idp.protocol.client_certificate import thumbprint
from tests.fixtures.dpop import Prover
from tests.gateway.fakes import Clock, Fetcher, Log
from tests.gateway.issuer import AUDIENCE, Issuer

HOST, FRONT, STRANGER = "api.example", "10.0.0.1", "192.0.2.7"
CERTIFICATE, OTHER = b"\x30\x03one", b"\x30\x03two"
ROUTES = {
    "plain": "",
    "free": 'bind = { dpop = "optional" }',
    "proved": 'bind = { dpop = "required" }',
    "shown": 'bind = { mtls = "required" }',
    "both": 'bind = { dpop = "required", mtls = "required" }',
}
TEXT = """
version = 1
trusted_proxies = ["10.0.0.0/8"]
[issuers.main]
issuer = "https://idp.example"
jwks = {{ uri = "https://idp.example/jwks" }}
[headers]
client_certificate = "Client-Cert"
{more}
"""
ROUTE = """
[[routes]]
id = "{id}"
match = {{ host = "api.example", method = ["GET"], path = "/{id}/{{x}}" }}
audience = "{audience}"
require = {{ scope = ["orders:read"] }}
upstream = "http://127.0.0.1:9"
{bind}
"""


def text(more: str = "") -> str:
    routes = (ROUTE.format(id=name, audience=AUDIENCE, bind=bind) for name, bind in ROUTES.items())
    return TEXT.format(more=more) + "".join(routes)


class Ground:
    """One gate, one caller with a key and a certificate."""

    def __init__(self, more: str = '[dpop]\nscheme = "https"\n', **options: Any) -> None:
        self.issuer = Issuer()
        self.issuer.issuer = "https://idp.example"
        self.log, self.now = Log(), Clock(float(int(time.time())))
        fetch = Fetcher({"https://idp.example/jwks": self.issuer.jwks()})
        self.gate = Gate(parse(text(more)), log=self.log, fetch=fetch, wall=self.now, **options)
        self.gate.sources["main"].refresh()
        self.key = Prover()

    def token(self, *, key: Prover | None = None, certificate: bytes | None = None, **changed: object) -> str:
        """A token bound to what is given."""
        cnf = {"jkt": key.jkt if key else None, "x5t#S256": thumbprint(certificate) if certificate else None}
        held = {name: value for name, value in cnf.items() if value is not None}
        return self.issuer.token(**{"cnf": held or None, **changed})

    def proof(self, token: str, route: str = "proved", *, key: Prover | None = None, **changed: Any) -> str:
        """A proof for one request."""
        given = {"iat": int(self.now.now), **changed}
        return (key or self.key).proof("GET", f"https://{HOST}/{route}/7", token, **given)

    def ask(
        self,
        route: str,
        token: str | None,
        *proofs: str,
        scheme: str = "DPoP",
        peer: str = STRANGER,
        headers: tuple[tuple[bytes, bytes], ...] = (),
    ) -> Decision:
        sent = [] if token is None else [(b"authorization", f"{scheme} {token}".encode())]
        sent += [(b"dpop", proof.encode()) for proof in proofs]
        request = Request(
            method="GET", target=f"/{route}/7?q=1".encode(), host=HOST.encode(), headers=[*sent, *headers], peer=peer
        )
        return self.gate.decide(request)


def shown(certificate: bytes) -> tuple[tuple[bytes, bytes], ...]:
    """The header of a front that has seen this certificate."""
    return ((b"client-cert", b":" + b64encode(certificate) + b":"),)


def challenges(decision: Decision) -> list[str]:
    """What the caller is asked for."""
    return [value.decode() for name, value in decision.answer()[1] if name == b"www-authenticate"]


def error(decision: Decision) -> str:
    """What the caller hears."""
    assert decision.refusal is not None
    return decision.refusal.error
