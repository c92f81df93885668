"""A provider, a gateway that exchanges, and a server behind it that keeps every byte it is sent."""

from __future__ import annotations

import base64
import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import requests

from idp.store import api, audit, exchange_policy, grant, group, refresh_token, role, session
from idp.store.digests import digest, new_secret
from tests.fixtures import clients, people
from tests.fixtures.clients import App
from tests.fixtures.dpop import Prover
from tests.fixtures.people import Person
from tests.gateway.upstream import Upstream
from tests.services import provider as providers
from tests.services.program import Program, free_port
from tests.services.provider import IDP, Provider

ORDERS, STOCK = "https://orders.example", "https://stock.example"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
REDIRECT = "https://app.example/cb"
PATIENCE = 20.0
ROUTES = """
version = 1

[server]
listen = "127.0.0.1:{port}"
hosts = ["127.0.0.1:{port}"]

[log]
file = "{folder}/decisions.log"

[issuers.main]
issuer = "{issuer}"
reference_tokens = true
client = {{ id = "gateway", key_file = "{folder}/gateway.pem" }}
revocation = {{ poll = "100ms" }}
jwks = {{ refresh = "1s", kid_cooldown = "1s" }}

[dpop]
scheme = "http"

[assertion]
issuer = "https://gateway.example"
key_files = ["{folder}/assertions.pem"]

[defaults]
on_revocation_stale = {{ after = "1h" }}

[[routes]]
id = "stock"
match = {{ method = ["GET"], path = "/stock" }}
audience = "https://orders.example"
upstream = "{upstream}"
require = {{ scope = ["orders:read"] }}
exchange = {{ audience = "https://stock.example", scope = ["orders:read"], ttl = "60s", actor = "gateway" }}

[[routes]]
id = "orders"
match = {{ method = ["GET"], path = "/orders" }}
audience = "https://orders.example"
upstream = "{upstream}"
require = {{ scope = ["orders:read"] }}
assertion = {{ audience = "orders" }}
"""


class Ground:
    """Everything at work."""

    def __init__(self, folder: Path, upstream: Upstream) -> None:
        self.folder = folder
        self.upstream = upstream
        self.prover: Prover | None = None  # whose key tokens are bound to
        self.provider = Provider(folder / "provider", publish_lead="1s").start()
        self.staff = self._apis()
        self.app = self._app("web-app")
        self.shop = self._app("shop", access_token_format="reference")
        self._register_gateway()
        self.port = free_port()
        config = folder / "gateway.toml"
        text = ROUTES.format(port=self.port, folder=folder, issuer=self.provider.issuer, upstream=upstream.url)
        config.write_text(text)
        self.gateway = Program([IDP, "gateway", "run", "--config", config], log=folder / "gateway.log")
        self.gateway.wait_for_port(self.port)

    def stop(self) -> None:
        self.gateway.stop()
        self.provider.stop()

    def _apis(self) -> str:
        """Orders and stock behind it; members of `staff` may read at both."""
        provider = self.provider
        with provider.db.write() as tx:
            staff = group.create(tx, name="staff")
            for audience, name in ((ORDERS, "Orders"), (STOCK, "Stock")):
                made = api.create(tx, audience=audience, name=name, now=provider.clock())
                clerk = role.create(tx, api_id=made.id, name="clerk")
                role.add_scope(tx, clerk.id, api.add_scope(tx, made.id, "orders:read").id)
                group.add_role(tx, staff.id, clerk.id)
        return staff.id

    def _app(self, name: str, **facts: object) -> App:
        return clients.register(
            self.provider.services,
            name,
            scopes=("orders:read", "openid", "offline_access"),
            grant_types=clients.CODE_AND_REFRESH,
            redirect_uris=[REDIRECT],
            require_consent=False,
            **facts,
        )

    def _register_gateway(self) -> None:
        """As an operator would: docs/how-to/exchange-at-the-gateway.md."""
        public = self.folder / "gateway.jwks"
        public.write_text(_run([IDP, "gateway", "key", self.folder / "gateway.pem"]))
        _run([IDP, "gateway", "key", self.folder / "assertions.pem"])
        idp = self.provider.idp
        idp("client", "create", "gateway", "--service", "--auth-method", "private_key_jwt", "--jwks", str(public))
        idp("api", "resource-client", ORDERS, "gateway")
        idp("exchange", "allow", "gateway", STOCK, "--scope", "orders:read", "--max-ttl", "60s")

    def person(self, name: str) -> Person:
        """Somebody of the staff."""
        with self.provider.db.write() as tx:
            person = people.register(tx, name, self.provider.services)
            group.add_member(tx, self.staff, person.id)
        return person

    def token(self, person: Person, app: App | None = None) -> str:
        """What an app holds after this person has signed in."""
        provider, app, now = self.provider, app or self.app, self.provider.clock()
        later, secret = now + timedelta(days=1), new_secret()
        times = {"idle_expires_at": later, "expires_at": later}
        scopes = {ORDERS: ["orders:read"], provider.issuer: ["openid", "offline_access"]}
        with provider.db.write() as tx:
            opened = session.create(
                tx, cookie_hash=digest(secret), account_id=person.id, acr="aal1", amr=["pwd"], now=now, **times
            )
            held = grant.create(
                tx, account_id=person.id, client_id=app.client_id, session_id=opened.id, scopes=scopes, auth_time=now,
                acr="aal1", amr=["pwd"], now=now, expires_at=later,
            )  # fmt: skip
            refresh_token.create(
                tx, token_hash=digest(secret), grant_id=held.id, client_id=app.client_id, scopes=scopes, now=now,
                idle_expires_at=later,
            )  # fmt: skip
        return self.redeemed(app, grant_type="refresh_token", refresh_token=secret)

    def redeemed(self, app: App, **form: str) -> str:
        """Ask the token endpoint for a token for orders; bound to a key if there is one."""
        url = self.provider.url("/token")
        headers = app.basic | ({} if self.prover is None else {"DPoP": self.prover.proof("POST", url)})
        answer = providers.session().post(url, data={**form, "resource": ORDERS}, headers=headers, timeout=20)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])

    def post(self, path: str, app: App, **form: str) -> requests.Response:
        """Ask the provider as an app."""
        answer = providers.session().post(self.provider.url(path), data=form, headers=app.basic, timeout=20)
        assert answer.status_code == 200, answer.text
        return answer

    def ask(self, token: str, path: str = "/stock", caller: requests.Session | None = None) -> requests.Response:
        """Call the API through the gateway."""
        url = f"http://127.0.0.1:{self.port}{path}"
        headers = {"Authorization": f"Bearer {token}"}
        if self.prover is not None:
            headers = {"Authorization": f"DPoP {token}", "DPoP": self.prover.proof("GET", url, token)}
        return (caller or providers.session()).get(url, headers=headers, timeout=20)

    def explained(self, token: str, path: str) -> str:
        """What the command says about a token."""
        argv = [IDP, "gateway", "explain", "--config", self.folder / "gateway.toml", "--token", "-"]
        url = f"http://127.0.0.1:{self.port}{path}"
        return _run([*argv, "--url", url], said=token)

    def sent(self) -> str:
        """The token with which the last request went on."""
        found = self.upstream.last.header(b"authorization")
        assert found is not None
        return found.partition(b" ")[2].decode()

    def exchanged(self) -> list[dict[str, Any]]:
        """What the provider's audit says of exchanges, the latest last."""
        with self.provider.db.read() as tx:
            return [row.detail for row in audit.recent(tx, 1000) if row.event == "token.exchanged"]

    def events(self, name: str) -> list[dict[str, Any]]:
        """What the gateway's log says so far; it is written ten times a second."""
        whole, _, _ = (self.folder / "decisions.log").read_text().rpartition("\n")
        return [line for line in map(json.loads, whole.splitlines()) if line["event"] == name]

    @contextmanager
    def told(self, name: str) -> Iterator[dict[str, Any]]:
        """Wait until the log tells of what is done within; then what it tells is there."""
        before, event = len(self.events(name)), dict[str, Any]()
        yield event
        since = time.monotonic()
        while len(found := self.events(name)) == before:
            assert time.monotonic() - since < PATIENCE, f"nothing is said of {name}"
            time.sleep(0.05)
        event.update(found[-1])

    def allow(self, **facts: object) -> None:
        """Change the one exchange that is allowed."""
        usual: dict[str, object] = {"allowed_scopes": ["orders:read"], "allow_delegation": True, "max_ttl": 60}
        usual |= {"require_acr": None, "allow_impersonation": False}
        with self.provider.db.write() as tx:
            target = api.find(tx, STOCK)
            assert target is not None
            exchange_policy.put(
                tx, client_id="gateway", api_id=target.id, now=self.provider.clock(), **{**usual, **facts}
            )


def claims(token: str) -> dict[str, Any]:
    """Read claims without believing them."""
    body = token.split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return found


def _run(argv: list[object], *, said: str = "") -> str:
    words = [str(each) for each in argv]
    return subprocess.run(words, input=said, check=True, capture_output=True, text=True, timeout=60).stdout
