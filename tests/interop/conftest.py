"""A provider set up as its operator would, by the `idp` command alone, and foreign programs that use it."""

from __future__ import annotations

import functools
import json
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from idp.jose.keys import ALGS, SigningKey
from tests.services.authority import Authority, Certificate
from tests.services.gateway import api
from tests.services.program import Program, free_port
from tests.services.provider import IDP

HERE = Path(__file__).parent
AUDIENCES = {alg: f"https://{alg.lower()}.example" for alg in ALGS}
RESOURCE = AUDIENCES["ES256"]
REDIRECT, SIGNED_OUT = "https://app.example/cb", "https://app.example/signed-out"
PERSON = {"username": "ada", "password": "seven purple herons walk", "email": "ada@people.example", "name": "Ada King"}
GATEWAY = """
version = 1
[server]
listen = "127.0.0.1:{port}"
hosts = ["127.0.0.1:{port}"]
[issuers.main]
issuer = "{issuer}"
jwks = {{ ca_file = "{ca}" }}
[dpop]
nonce = true
[[routes]]
id = "orders"
match = {{ method = ["GET"], path = "/orders" }}
audience = "{audience}"
require = {{ scope = ["orders:read"] }}
bind = {{ dpop = "required" }}
upstream = "http://127.0.0.1:{upstream}"
"""
Walks = Callable[[str], dict[str, dict[str, Any]]]
SCOPE = "openid profile email offline_access orders:read"


@dataclass(kw_only=True)
class Installation:
    """A folder with idp.toml in it, a running `idp run`, and what its operator noted down."""

    folder: Path
    issuer: str
    authority: Path
    gateway: str
    clients: dict[str, dict[str, Any]] = field(default_factory=dict)

    def idp(self, *words: str, typed: str | None = None) -> dict[str, Any]:
        """Run a command in the folder."""
        ended = subprocess.run(
            [IDP, *words, "--json"],
            input=typed,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            cwd=self.folder,
        )
        assert ended.returncode == 0, f"idp {' '.join(words)}: {ended.stdout}{ended.stderr}"
        said: dict[str, Any] = json.loads(ended.stdout)
        return said


@dataclass(frozen=True, kw_only=True)
class Node:
    """Runs our scripts on the foreign libraries beside them."""

    program: Path
    authority: Path

    def run(self, script: str, given: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Give a script its input and return the lines that it prints."""
        ended = subprocess.run(
            [self.program, HERE / script],
            input=json.dumps(given),
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            env={"NODE_EXTRA_CA_CERTS": str(self.authority), "PATH": "/usr/bin:/bin"},
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return [json.loads(line) for line in ended.stdout.splitlines()]


@pytest.fixture(scope="session")
def foreign(node: Path, authority: Authority) -> Node:
    """Node, which trusts our authority."""
    return Node(program=node, authority=authority.file)


@pytest.fixture(scope="session")
def installation(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority, certificate: Certificate
) -> Iterator[Installation]:
    """The provider over https, with a person, APIs and every kind of client."""
    folder, port, gateway = tmp_path_factory.mktemp("interop"), free_port(), free_port()
    made = Installation(
        folder=folder,
        issuer=f"https://localhost:{port}",
        authority=authority.file,
        gateway=f"http://127.0.0.1:{gateway}/orders",
    )
    facts: dict[str, Any] = {
        "port": port,
        "front": "tls",
        "tls_certificate": str(certificate.chain),
        "tls_key": str(certificate.key),
        "signing_algs": list(ALGS),
        "metrics_port": 0,
        "workers": 2,
        "dpop_nonce": True,  # whoever proves a key has to learn it
    }
    (folder / "idp.toml").write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in facts.items()))
    _set_up(made)
    with Program([IDP, "run"], log=folder / "provider.log", cwd=folder) as program:
        program.wait_for_port(port)
        with api() as upstream, _gateway(made, gateway, upstream):
            yield made


@pytest.fixture(scope="session")
def walks(foreign: Node, installation: Installation) -> Walks:
    """Run the foreign client once for each registration; return its checks by name."""

    @functools.cache
    def walk(kind: str) -> dict[str, dict[str, Any]]:
        return {line["check"]: line for line in foreign.run("client.mjs", installation.clients[kind])}

    return walk


@contextmanager
def _gateway(made: Installation, port: int, upstream: int) -> Iterator[None]:
    file = made.folder / "gateway.toml"
    facts = {"port": port, "issuer": made.issuer, "ca": made.authority, "audience": RESOURCE, "upstream": upstream}
    file.write_text(GATEWAY.format(**facts))
    with Program([IDP, "gateway", "run", "--config", file], log=made.folder / "gateway.log") as program:
        program.wait_for_port(port)
        yield


def _set_up(made: Installation) -> None:
    made.idp("key", "init")
    made.idp("db", "upgrade")
    made.idp("group", "create", "staff")
    for alg, audience in AUDIENCES.items():
        scope = ("--scope", "orders:read=See orders") if audience == RESOURCE else ("--scope", f"{alg.lower()}:use")
        made.idp("api", "create", audience, "--name", f"Orders {alg}", "--alg", alg, *scope)
        made.idp("role", "create", audience, "clerk", "--scope", scope[1].partition("=")[0])
        made.idp("group", "role", "staff", audience, "clerk")
    person = ("--email", PERSON["email"], "--name", PERSON["name"], "--email-verified", "--group", "staff")
    made.idp("user", "create", PERSON["username"], *person, "--password-stdin", typed=f"{PERSON['password']}\n")
    _apps(made)
    _programs(made)


def _apps(made: Installation) -> None:
    """Five apps: every way to prove oneself, and among them every algorithm of ID tokens."""
    key = SigningKey.generate("ES256")
    (made.folder / "app.jwks").write_text(json.dumps({"keys": [key.public_jwk()]}))
    kinds = {
        "client_secret_post": ("RS256", ()),
        "client_secret_basic": ("PS256", ()),
        "private_key_jwt": ("EdDSA", ("--jwks", "app.jwks")),
        "none": ("ES256", ("--public",)),
        "dpop": ("ES256", ("--public", "--dpop-bound")),
    }
    ways = ("--redirect-uri", REDIRECT, "--post-logout-redirect-uri", SIGNED_OUT)
    scopes = [word for name in SCOPE.split() for word in ("--scope", name)]
    for method, (alg, more) in kinds.items():
        chosen = more if method in {"none", "dpop"} else ("--auth-method", method, *more)
        told = made.idp("client", "create", f"app-{method}", *ways, *scopes, *chosen, "--id-token-alg", alg)
        made.clients[method] = {
            **PERSON,
            "issuer": made.issuer,
            "client_id": told["client_id"],
            "client_secret": told.get("client_secret"),
            "jwk": _private_jwk(key) if method == "private_key_jwt" else None,
            "method": told["auth_method"],
            "dpop": "ES256" if method == "dpop" else None,
            "gateway": made.gateway if method == "dpop" else None,
            "id_token_alg": alg,
            "redirect_uri": REDIRECT,
            "post_logout_redirect_uri": SIGNED_OUT,
            "scope": SCOPE,
            "resource": RESOURCE,
        }


def _programs(made: Installation) -> None:
    """A service that acts for itself, the gateway of the orders API, and a stranger."""
    audiences = [word for audience in AUDIENCES.values() for word in ("--api", audience)]
    secrets = {
        name: made.idp("client", "create", name, "--service", *more)["client_secret"]
        for name, more in {"batch": audiences, "gateway": (), "stranger": ()}.items()
    }
    for audience in AUDIENCES.values():
        made.idp("role", "client", audience, "clerk", "batch")
    made.idp("api", "resource-client", RESOURCE, "gateway")
    made.clients["service"] = {
        "issuer": made.issuer,
        "client_id": "batch",
        "client_secret": secrets["batch"],
        "method": "client_secret_basic",
        "resource": RESOURCE,
        "gateway": {"client_id": "gateway", "client_secret": secrets["gateway"]},
        "stranger": {"client_id": "stranger", "client_secret": secrets["stranger"]},
    }


def _private_jwk(key: SigningKey) -> dict[str, Any]:
    # As the app's own developer would keep it.
    from joserfc.jwk import ECKey  # noqa: PLC0415

    return {**ECKey.import_key(key.private_pem().decode()).as_dict(private=True), "kid": key.kid, "alg": key.alg}
