"""Gates with limits, and callers who want too much."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from idp.gateway.decide import Gate
from idp.gateway.load import parse
from idp.gateway.request import Decision, Request
from tests.gateway.fakes import Clock, Fetcher, Log
from tests.gateway.issuer import AUDIENCE, Issuer, a_key

JWKS = "https://idp.example/jwks"


def file(*limits: str, top: str = "", route: str = "", server: str = "") -> str:
    """Write a file with one route that has these limits."""
    listed = f"limit = [{', '.join(limits)}]" if limits else ""
    return f"""
version = 1
trusted_proxies = ["10.0.0.0/8"]
{top}
[server]
listen = "127.0.0.1:0"
{server}
[issuers.main]
issuer = "https://idp.example"
jwks = {{ uri = "{JWKS}" }}

[[routes]]
id = "orders"
match = {{ host = "api.example", method = ["GET"], path = "/orders/{{oid}}" }}
audience = "{AUDIENCE}"
upstream = "http://127.0.0.1:9"
{route}
{listed}

[[routes]]
id = "bills"
match = {{ host = "api.example", method = ["GET"], path = "/bills/{{oid}}" }}
audience = "{AUDIENCE}"
upstream = "http://127.0.0.1:9"
{listed}
"""


class Ground:
    """A gate whose clock stands still."""

    def __init__(self, *limits: str, text: str = "", shared: Any = None, **parts: str) -> None:
        self.issuer = Issuer()
        self.issuer.issuer = "https://idp.example"
        self.log = Log()
        self.clock = Clock()
        self.fetch = Fetcher({JWKS: self.issuer.jwks()})
        self.gate = Gate(parse(text or file(*limits, **parts)), log=self.log, fetch=self.fetch, monotonic=self.clock)
        if shared is not None:
            self.gate.limits.shared = shared
            self.gate.replace(self.gate.rules.config)
        self.gate.sources["main"].refresh()

    def request(
        self,
        path: str = "/orders/7",
        *,
        token: str | None = "",
        peer: str = "192.0.2.1",
        headers: Sequence[tuple[bytes, bytes]] = (),
        **claims: Any,
    ) -> Request:
        listed = list(headers)
        if token is not None:
            listed.append((b"authorization", b"Bearer " + (token or self.issuer.token(**claims)).encode()))
        return Request(method="GET", target=path.encode(), host=b"api.example", headers=listed, peer=peer)

    def ask(self, path: str = "/orders/7", **about: Any) -> Decision:
        return self.gate.decide(self.request(path, **about))

    def statuses(self, times: int, **about: Any) -> list[int]:
        return [self.ask(**about).status for _ in range(times)]

    def settle(self, path: str = "/orders/7", **about: Any) -> Decision:
        async def settled() -> Decision:
            request = self.request(path, **about)
            return await self.gate.settle(request, self.gate.decide_now(request))

        return asyncio.run(settled())


def told(decision: Decision) -> dict[str, str]:
    """Read what the caller is told beside the answer."""
    listed = decision.answer_headers if decision.refusal is None else decision.answer()[1]
    return {name.decode(): value.decode() for name, value in listed}


def strange_key() -> Any:
    return a_key(number=5)
