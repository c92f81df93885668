"""A provider with two workers, a service that calls an API, and gateways before it."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from idp.store import api, role
from tests.fixtures import clients
from tests.services.gateway import Gateway
from tests.services.provider import Provider, session

AUDIENCE = "https://orders.example"


class Guarded:
    """Everything at work; what is started here ends with it."""

    def __init__(self, folder: Path, ends: ExitStack, *, database_url: str) -> None:
        self._ends = ends
        self.provider = ends.enter_context(
            Provider(folder / "provider", database_url=database_url, workers=2, publish_lead="1s")
        )
        with self.provider.db.write() as tx:
            orders = api.create(tx, audience=AUDIENCE, name="Orders", now=self.provider.clock())
            scope = api.add_scope(tx, orders.id, "orders:read", "Read orders")
            reader = role.create(tx, api_id=orders.id, name="reader")
            role.add_scope(tx, reader.id, scope.id)
        self._api = orders.id
        self.service = clients.register(
            self.provider.services, "reporter", scopes=("orders:read",), grant_types=["client_credentials"]
        )
        with self.provider.db.write() as tx:
            role.add_client(tx, reader.id, self.service.client_id)

    def gateway(self, folder: Path, **chosen: str) -> Gateway:
        """Start one."""
        started = Gateway(folder, issuer=self.provider.issuer, audience=AUDIENCE, **chosen)
        self._ends.callback(started.stop)
        return started

    def proof(self, name: str, file: Path) -> str:
        """Register a gateway that may hear what is revoked; give the line that says who it is."""
        made = clients.register(self.provider.services, name, grant_types=[])
        file.write_text(f"{made.secret}\n")
        with self.provider.db.write() as tx:
            api.add_resource_client(tx, self._api, name)
        return f'client = {{ id = "{name}", secret_file = "{file}" }}'

    def token(self) -> str:
        """Ask for a token."""
        return self.tokens(1)[0]

    def tokens(self, number: int) -> list[str]:
        """Ask for many."""
        caller, url = session(), self.provider.url("/token")
        tokens = []
        for _ in range(number):
            answer = caller.post(url, data={"grant_type": "client_credentials"}, headers=self.service.basic, timeout=20)
            assert answer.ok, answer.text
            tokens.append(str(answer.json()["access_token"]))
        return tokens
