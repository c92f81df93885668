"""A gate whose provider exchanges, without a network."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from idp.gateway.decide import Gate
from idp.gateway.load import parse
from idp.gateway.request import Decision, Request
from tests.gateway.exchanging import GATEWAY, ISSUER, NOW, Provider, a_token
from tests.gateway.fakes import Clock, Fetcher, Log
from tests.gateway.issuer import a_key
from tests.gateway.stream import Stream

FILE = """
version = 1
{top}
[issuers.main]
issuer = "https://id.example"
client = {{ id = "gateway", key_file = "{folder}/gateway.pem" }}
{issuer}

[[routes]]
id = "stock"
match = {{ host = "api.example", method = ["GET"], path = "/stock" }}
audience = "https://orders.example"
{upstream}
exchange = {exchange}

[[routes]]
id = "other"
match = {{ host = "api.example", method = ["GET"], path = "/other" }}
audience = "https://orders.example"
{upstream}
exchange = {{ audience = "https://stock.example", scope = ["orders:read"] }}
"""
EXCHANGE = '{ audience = "https://stock.example", scope = ["orders:read"], ttl = "60s" }'


BEHIND = 'upstream = "http://127.0.0.1:9"'


class Ground:
    """A gate with a clock of its own."""

    def __init__(
        self, folder: Path, *, exchange: str = EXCHANGE, issuer: str = "", top: str = "", upstream: str = BEHIND
    ) -> None:
        (folder / "gateway.pem").write_bytes(a_key("ES256", 7).private_pem())
        self.wall, self.clock, self.log = Clock(NOW), Clock(), Log()
        self.provider = Provider(wall=self.wall)
        said = {
            "issuer": ISSUER,
            "jwks_uri": f"{ISSUER}/jwks",
            "token_endpoint": f"{ISSUER}/token",
            "introspection_endpoint": f"{ISSUER}/introspect",
            "events_endpoint": f"{ISSUER}/events",
        }
        keys = json.dumps({"keys": [a_key().public_jwk()]}).encode()
        where = f"{ISSUER}/.well-known/openid-configuration"
        self.fetch = Fetcher({where: json.dumps(said).encode(), f"{ISSUER}/jwks": keys})
        self.text = FILE.format(folder=folder, exchange=exchange, issuer=issuer, top=top, upstream=upstream)
        self.gate = Gate(parse(self.text), log=self.log, fetch=self.fetch, wall=self.wall, monotonic=self.clock)
        self.exchanger = self.gate._issuers.exchangers["main"]
        self.exchanger._asks._sender = lambda: self.provider
        for references in self.gate._issuers.references.values():
            references._endpoint._sender = lambda: self.provider
        self.gate.sources["main"].refresh()
        self.stream = Stream(a_key(), wall=self.wall)
        self.stream.changed = {"aud": GATEWAY}
        for feed in self.gate.feeds.values():
            feed._caller = self.stream
            feed.restore()
            feed.poll()

    def request(self, token: str, path: str = "/stock", **headers: str) -> Request:
        return Request(
            method="GET",
            target=path.encode(),
            host=b"api.example",
            headers=[
                (b"authorization", b"Bearer " + token.encode()),
                *((name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()),
            ],
        )

    def ask(self, token: str | None = None, path: str = "/stock", **headers: str) -> Decision:
        """Decide in a thread of its own, as a WSGI server would."""
        return self.gate.decide(self.request(token or a_token(), path, **headers))

    def ask_loop(self, token: str | None = None, path: str = "/stock") -> Decision:
        """Decide on an event loop."""
        request = self.request(token or a_token(), path)
        return asyncio.run(self.gate.settle(request, self.gate.decide_now(request)))


def sent(decision: Decision) -> str:
    """The token that goes on."""
    assert decision.allowed, decision.reason
    found = dict(decision.upstream_headers)[b"authorization"]
    assert found.startswith(b"Bearer ")
    return found[7:].decode()
