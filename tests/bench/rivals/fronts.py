"""Servers that stand before an API: nginx asking us, HAProxy checking by itself, Caddy checking nothing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from idp.jose.keys import SigningKey
from tests.bench.contest import Sample
from tests.bench.gateways import ASKED, NAMES
from tests.bench.rivals import BIN
from tests.bench.wrk import CONNECTIONS, load
from tests.fronts.places import written
from tests.gateway.issuer import AUDIENCE
from tests.gateway.raw import ask, request
from tests.services.nginx import Nginx
from tests.services.program import Program, free_port

BODY = "x" * 1_000
API = """
  access_log off;
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    keepalive_requests 100000000;
    location / {{ return 200 "{body}"; }}
  }}
"""
ASKING = """
  access_log off;
  include {snippet};
  server {{
    listen 127.0.0.1:{bare};
    location / {{ proxy_pass http://api; proxy_http_version 1.1; proxy_set_header Connection ""; }}
  }}
"""
# As HAProxy's own tutorial verifies tokens, with everything that our routes look at.
HAPROXY = """
global
  nbthread 1
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
frontend front
  bind 127.0.0.1:{port}
  http-request deny deny_status 401 unless {{ req.hdr(authorization) -m found }}
  http-request set-var(txn.bearer) http_auth_bearer
  http-request set-var(txn.alg) var(txn.bearer),jwt_header_query('$.alg')
  http-request set-var(txn.iss) var(txn.bearer),jwt_payload_query('$.iss')
  http-request set-var(txn.aud) var(txn.bearer),jwt_payload_query('$.aud')
  http-request set-var(txn.exp) var(txn.bearer),jwt_payload_query('$.exp','int')
  http-request set-var(txn.scope) var(txn.bearer),jwt_payload_query('$.scope')
  http-request deny deny_status 401 unless {{ var(txn.alg) -m str ES256 }}
  http-request deny deny_status 401 unless {{ var(txn.iss) -m str {issuer} }}
  http-request deny deny_status 401 unless {{ var(txn.aud) -m str {audience} }}
  http-request deny deny_status 401 unless {{ var(txn.bearer),jwt_verify(txn.alg,"{key}") -m int 1 }}
  http-request set-var(txn.now) date()
  http-request deny deny_status 401 if {{ var(txn.exp),sub(txn.now) -m int lt 0 }}
{routes}
  http-request deny deny_status 403 unless known scoped
  default_backend api
backend api
  server one 127.0.0.1:{api}
"""
CADDY = """
{{
  admin off
  auto_https off
}}
http://:{port} {{
  bind 127.0.0.1
  reverse_proxy 127.0.0.1:{api}
}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """A running server, and whoever works for it."""

    port: int
    pids: tuple[int, ...]

    def refuses_strangers(self) -> bool:
        """Tell whether somebody without a token is refused: a front that checks nothing would win every contest."""
        asked = request(target=ASKED)
        return ask(("127.0.0.1", self.port), asked).status == HTTPStatus.UNAUTHORIZED

    def load(self, plan: Mapping[str, object], seconds: float, *, connections: int = CONNECTIONS) -> Sample:
        """Run one round of one request."""
        base = f"http://127.0.0.1:{self.port}"
        return load(base, "same", plan, seconds=seconds, pids=self.pids, connections=connections)


@contextmanager
def api(folder: Path) -> Iterator[int]:
    """Answer a kilobyte, as fast as nginx can; give the port."""
    port = free_port()
    with _nginx(folder / "api", port, API.format(port=port, body=BODY)):
        yield port


@contextmanager
def nginx(folder: Path, *, gateway: int, pids: tuple[int, ...], behind: int) -> Iterator[tuple[Front, Front]]:
    """nginx that asks the gateway as docs/deploy sets it up, and the same nginx asking nobody."""
    port, bare = free_port(), free_port()
    snippet = written(
        "nginx/gatehouse.conf",
        folder / "gatehouse.conf",
        {
            "unix:/run/gatehouse/gateway.sock": f"127.0.0.1:{gateway}",
            "127.0.0.1:8090": f"127.0.0.1:{behind}",
            "127.0.0.1:8088": f"127.0.0.1:{port}",
        },
    )
    with _nginx(folder / "nginx", port, ASKING.format(snippet=snippet, bare=bare)) as pid:
        yield Front(port=port, pids=(pid, *pids)), Front(port=bare, pids=(pid,))


@contextmanager
def haproxy(folder: Path, *, issuer: str, key: SigningKey, behind: int) -> Iterator[Front]:
    """HAProxy with its own JWT check, and the same ten routes."""
    port, public, file = free_port(), folder / "key.pem", folder / "haproxy.cfg"
    private = load_pem_private_key(key.private_pem(), None)
    public.write_bytes(private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    routes = "".join(f"  acl known path_reg ^/{name}/[^/]+$\n" for name in NAMES)
    routes += "  acl scoped var(txn.scope) -m reg (^|\\ )orders:read(\\ |$)"
    file.write_text(HAPROXY.format(port=port, issuer=issuer, audience=AUDIENCE, key=public, api=behind, routes=routes))
    command = shutil.which("haproxy") or "/usr/sbin/haproxy"
    with Program([command, "-db", "-f", file], log=folder / "haproxy.log") as program:
        program.wait_for_port(port)
        yield Front(port=port, pids=(program.pid,))


@contextmanager
def caddy(folder: Path, *, behind: int, cores: int | None = None) -> Iterator[Front]:
    """Caddy's plain `reverse_proxy`."""
    port, file = free_port(), folder / f"Caddyfile-{cores}"
    file.write_text(CADDY.format(port=port, api=behind))
    env = {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    env |= {"GOMAXPROCS": str(cores)} if cores else {}
    argv = [BIN / "caddy", "run", "--adapter", "caddyfile", "--config", file]
    with Program(argv, log=folder / f"caddy-{cores}.log", env=env) as program:
        program.wait_for_port(port)
        yield Front(port=port, pids=(program.pid,))


@contextmanager
def _nginx(folder: Path, port: int, inside: str) -> Iterator[int]:
    running = Nginx(folder, port=port, inside=inside)
    try:
        yield running.program.pid
    finally:
        running.stop()
