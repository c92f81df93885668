"""Certificates and proofs on the wire: a real nginx ends TLS before the provider's two workers and the gateway."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import requests
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.fixtures.browser import claims
from tests.fixtures.certificates import Certified, make
from tests.fixtures.dpop import Prover
from tests.fixtures.race import at_once
from tests.services.authority import Authority, Certificate
from tests.services.gateway import api
from tests.services.nginx import Nginx
from tests.services.program import Program, free_port
from tests.services.provider import IDP, Provider, session

pytestmark = pytest.mark.xdist_group("certificates")

ORDERS = "https://orders.example"
DN = "CN=orders,O=Example,C=FR"
# As docs/how-to/bind-tokens.md has it: one host asks for certificates, and every host says what it has seen.
FRONT = """
  map $http_upgrade $nothing {{ default ""; }}
  server {{
    listen 127.0.0.1:{plain} ssl;
    ssl_certificate {chain};
    ssl_certificate_key {key};
    location / {{
      proxy_pass http://127.0.0.1:{provider};
      proxy_set_header Host $http_host;
      proxy_set_header ClientCert "";
    }}
  }}
  server {{
    listen 127.0.0.1:{mtls} ssl;
    ssl_certificate {chain};
    ssl_certificate_key {key};
    ssl_verify_client optional_no_ca;
    location / {{
      proxy_pass http://127.0.0.1:{provider};
      proxy_set_header Host $http_host;
      proxy_set_header ClientCert $ssl_client_escaped_cert;
    }}
    location /orders {{
      proxy_pass http://127.0.0.1:{gateway};
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header ClientCert $ssl_client_escaped_cert;
    }}
  }}
"""
GATEWAY = """
version = 1
trusted_proxies = ["127.0.0.1/32"]
[server]
listen = "127.0.0.1:{gateway}"
[issuers.main]
issuer = "https://localhost:{plain}"
jwks = {{ uri = "http://127.0.0.1:{provider}/jwks" }}
[headers]
client_certificate = "ClientCert"
[[routes]]
id = "orders"
match = {{ method = ["GET"], path = "/orders" }}
audience = "https://orders.example"
bind = {{ mtls = "required" }}
upstream = "http://127.0.0.1:{api}"
"""


@dataclass(frozen=True, kw_only=True)
class Line:
    """What runs, and who calls."""

    plain: str  # where nobody is asked for a certificate
    mtls: str
    provider: Provider
    gateway: int
    ours: Path
    trust: Path
    certificates: dict[str, tuple[Certified, tuple[str, str]]]

    def caller(self, name: str | None = None) -> requests.Session:
        """Somebody with a certificate, or with none."""
        made = session(self.trust)
        if name is not None:
            made.cert = self.certificates[name][1]
        return made

    def ask(
        self, client_id: str, *, by: str | None, at: str | None = None, headers: dict[str, str] | None = None
    ) -> requests.Response:
        """Ask for a token."""
        form = {"grant_type": "client_credentials", "client_id": client_id, "resource": ORDERS}
        with self.caller(by) as caller:
            return caller.post(f"{at or self.mtls}/token", data=form, headers=headers, timeout=10)


def _connection(port: int, source: str) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", port, timeout=10, source_address=(source, 0))


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory, authority: Authority, certificate: Certificate) -> Iterator[Line]:
    folder = tmp_path_factory.mktemp("certificates")
    ca = make("Authority", authority=True)
    named = {
        "orders": make(by=ca, uses=(ExtendedKeyUsageOID.CLIENT_AUTH,)),
        "stock": make("stock", by=ca),
        "forged": make(),
        "own": make("own"),
    }
    files = {name: tuple(map(str, each.write(folder, name))) for name, each in named.items()}
    (folder / "clients.pem").write_bytes(ca.pem)
    ports = {name: free_port() for name in ("plain", "mtls", "gateway")}
    provider = Provider(
        folder / "provider",
        issuer=f"https://localhost:{ports['plain']}",
        workers=2,
        trusted_proxies="127.0.0.1/32",
        client_certificate_header="ClientCert",
        client_ca_file=str(folder / "clients.pem"),
        mtls_base_url=f"https://localhost:{ports['mtls']}",
    )
    _set_up(provider, folder, named["own"])
    with provider, api() as upstream:
        facts: dict[str, Any] = {**ports, "provider": provider.port, "api": upstream}
        facts |= {"chain": certificate.chain, "key": certificate.key}
        (folder / "gateway.toml").write_text(GATEWAY.format(**facts))
        nginx = Nginx(folder / "nginx", port=ports["mtls"], inside=FRONT.format(**facts))
        argv = [IDP, "gateway", "run", "--config", folder / "gateway.toml"]
        with Program(argv, log=folder / "gateway.log") as gateway:
            gateway.wait_for_port(ports["gateway"])
            yield Line(
                plain=f"https://localhost:{ports['plain']}",
                mtls=f"https://localhost:{ports['mtls']}",
                provider=provider,
                gateway=ports["gateway"],
                ours=folder,
                trust=authority.file,
                certificates={name: (each, files[name]) for name, each in named.items()},  # type: ignore[misc]
            )
        nginx.stop()


def _set_up(provider: Provider, folder: Path, own: Certified) -> None:
    (folder / "own.jwks").write_text(json.dumps(own.jwks))
    provider.idp("api", "create", ORDERS, "--name", "Orders", "--scope", "orders:read=See orders")
    provider.idp("role", "create", ORDERS, "clerk", "--scope", "orders:read")
    kinds = {
        "orders": ("--auth-method", "tls_client_auth", "--tls-subject-dn", DN, "--certificate-bound"),
        "own": ("--auth-method", "self_signed_tls_client_auth", "--jwks", str(folder / "own.jwks")),
        "proved": ("--auth-method", "client_secret_post", "--dpop-bound"),
    }
    for name, more in kinds.items():
        said = provider.idp("client", "create", name, "--service", "--api", ORDERS, *more)
        provider.idp("role", "client", ORDERS, "clerk", name)
        if "client_secret" in said:
            (folder / "secret").write_text(said["client_secret"])


@pytest.mark.spec("RFC 8705 section 2", "RFC 8705 section 5")
@pytest.mark.parametrize("name", ["orders", "own"])
def test_a_client_is_known_by_its_certificate(line: Line, name: str) -> None:
    with line.caller() as anybody:
        told = anybody.get(f"{line.plain}/.well-known/openid-configuration", timeout=10).json()
    assert told["mtls_endpoint_aliases"]["token_endpoint"] == f"{line.mtls}/token"
    assert line.ask(name, by=name).status_code == 200


@pytest.mark.attack("TK35")
@pytest.mark.parametrize(
    ("name", "by"), [("orders", None), ("orders", "stock"), ("orders", "forged"), ("own", "orders")]
)
def test_a_certificate_cannot_be_left_out_or_exchanged(line: Line, name: str, by: str | None) -> None:
    refused = line.ask(name, by=by)
    assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")


@pytest.mark.attack("TK35")
@pytest.mark.parametrize("header", ["ClientCert", "Clientcert", "Client-Cert", "Client_Cert", "X-SSL-Client-Cert"])
@pytest.mark.parametrize("form", ["as_nginx", "as_rfc_9440"])
def test_a_certificate_cannot_be_claimed_by_a_header(line: Line, header: str, form: str) -> None:
    claimed = {header: getattr(line.certificates["orders"][0], form)}
    for at, by in ((line.plain, None), (line.mtls, None), (line.mtls, "stock")):
        refused = line.ask("orders", by=by, at=at, headers=claimed)
        assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client"), at


@pytest.mark.attack("TK35")
def test_a_stranger_who_reaches_the_provider_itself_is_not_believed(line: Line) -> None:
    claimed = {"ClientCert": line.certificates["orders"][0].as_nginx}
    form = urlencode({"grant_type": "client_credentials", "client_id": "orders", "resource": ORDERS})
    for source, status in (("127.0.0.2", 401), ("127.0.0.1", 200)):
        headers = {**claimed, "Content-Type": "application/x-www-form-urlencoded"}
        with closing(_connection(line.provider.port, source)) as connection:
            connection.request("POST", "/token", form, headers)
            assert connection.getresponse().status == status


@pytest.mark.spec("RFC 8705 section 3")
def test_the_gateway_lets_the_holder_of_the_certificate_through(line: Line) -> None:
    token = line.ask("orders", by="orders").json()["access_token"]
    assert claims(token)["cnf"] == {"x5t#S256": line.certificates["orders"][0].x5t}
    with line.caller("orders") as holder:
        assert holder.get(f"{line.mtls}/orders", headers={"Authorization": f"Bearer {token}"}, timeout=10).text == "ok"


@pytest.mark.attack("TK33", "TK35")
@pytest.mark.parametrize("by", [None, "stock", "own"])
def test_a_stolen_token_opens_nothing(line: Line, by: str | None) -> None:
    token = line.ask("orders", by="orders").json()["access_token"]
    claimed = {"ClientCert": line.certificates["orders"][0].as_nginx}
    for more in ({}, claimed):
        with line.caller(by) as thief:
            headers = {"Authorization": f"Bearer {token}", **more}
            refused = thief.get(f"{line.mtls}/orders", headers=headers, timeout=10)
        assert refused.status_code == 401
        assert 'error="invalid_token"' in refused.headers["WWW-Authenticate"]


@pytest.mark.attack("TK35")
def test_a_stranger_who_reaches_the_gateway_itself_is_not_believed(line: Line) -> None:
    token = line.ask("orders", by="orders").json()["access_token"]
    headers = {
        "Authorization": f"Bearer {token}",
        "ClientCert": line.certificates["orders"][0].as_nginx,
        "Host": "localhost",
    }
    for source, status in (("127.0.0.2", 401), ("127.0.0.1", 200)):
        with closing(_connection(line.gateway, source)) as connection:
            connection.request("GET", "/orders", headers=headers)
            assert connection.getresponse().status == status


@pytest.fixture
def prove(line: Line) -> Callable[..., int]:
    """Ask for a token with proofs, on a connection of its own."""
    secret = (line.ours / "secret").read_text()

    def prove(*proofs: str) -> int:
        form = {"grant_type": "client_credentials", "client_id": "proved", "client_secret": secret, "resource": ORDERS}
        connection = http.client.HTTPConnection("127.0.0.1", line.provider.port, timeout=30)
        body = urlencode(form).encode()
        connection.putrequest("POST", "/token")
        connection.putheader("Content-Type", "application/x-www-form-urlencoded")
        connection.putheader("Content-Length", str(len(body)))
        for proof in proofs:
            connection.putheader("DPoP", proof)
        connection.endheaders(body)
        status = connection.getresponse().status
        connection.close()
        return status

    return prove


@pytest.mark.attack("TK31")
@pytest.mark.spec("RFC 9449 section 11.1")
def test_of_fifty_at_once_at_two_workers_one_gets_a_token(line: Line, prove: Callable[..., int]) -> None:
    prover = Prover()
    for _ in range(3):
        proof = prover.proof("POST", f"{line.plain}/token")
        assert sorted(at_once(50, lambda given=proof: prove(given))) == [200] + [400] * 49


@pytest.mark.attack("TK30")
@pytest.mark.parametrize("number", [0, 2])
def test_a_server_joins_no_two_proofs_to_one(line: Line, prove: Callable[..., int], number: int) -> None:
    prover = Prover()
    assert prove(*(prover.proof("POST", f"{line.plain}/token") for _ in range(number))) == 400
    assert prove(prover.proof("POST", f"{line.mtls}/token")) == 200
