"""Our gateway as it is measured: `idp gateway run` with ten routes and a policy for each."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.contest import Sample
from tests.bench.wrk import load
from tests.gateway.issuer import AUDIENCE, Issuer
from tests.services.program import Program, free_port
from tests.services.provider import IDP

NAMES = ("orders", "invoices", "parcels", "people", "prices", "refunds", "reports", "stores", "stock", "teams")
ASKED = "/teams/0190-a-team"
SCOPE = 'require = { scope = ["orders:read"] }'
EVERYTHING = """
require = { scope = ["orders:read"], role_any = ["clerk", "boss"] }
when = [
  { any = [{ eq = ["claim.sub", "path.id"] }, { role = "clerk" }] },
  { ip_in = ["127.0.0.0/8", "192.0.2.0/24"] },
]
limit = [{ by = "ip", rate = "1000000/s" }, { by = "client", rate = "1000000/s" }]
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """A running gateway."""

    program: Program
    port: int

    def load(self, plan: Mapping[str, object], seconds: float) -> Sample:
        """Run one round of one request."""
        return load(f"http://127.0.0.1:{self.port}", "same", plan, seconds=seconds, pids=(self.program.pid,))


@contextmanager
def gateway(
    folder: Path, issuer: Issuer, *, shape: str, upstream: str | None = None, rules: str = SCOPE, top: str = ""
) -> Iterator[Gateway]:
    """Run it; the decisions go to a log file, as they would. `rules` is what each route asks for."""
    port = free_port()
    file = folder / f"gateway-{shape}.toml"
    file.write_text(_text(folder, issuer, port, shape, upstream, rules, top))
    with Program([IDP, "gateway", "run", "--config", file], log=folder / f"gateway-{shape}.log") as program:
        program.wait_for_port(port)
        yield Gateway(program=program, port=port)


def as_patterns() -> list[dict[str, object]]:
    """The same ten routes as regular expressions, for whoever has no templates."""
    return [{"method": "GET", "pattern": f"/{re.escape(name)}/[^/]+", "scopes": ["orders:read"]} for name in NAMES]


def _text(folder: Path, issuer: Issuer, port: int, shape: str, upstream: str | None, rules: str, top: str) -> str:
    head = f"""version = 1
trusted_proxies = ["127.0.0.1/32"]
[server]
shape = "{shape}"
listen = "127.0.0.1:{port}"
{top}
[log]
file = {json.dumps(str(folder / "decisions.log"))}
[issuers.main]
issuer = "{issuer.issuer}"
"""
    return head + "".join(
        f"""
[[routes]]
id = "{name}"
match = {{ method = ["GET", "POST"], path = "/{name}/{{id}}" }}
audience = "{AUDIENCE}"
{rules}
{f'upstream = "{upstream}"' if upstream else ""}
"""
        for name in NAMES
    )
