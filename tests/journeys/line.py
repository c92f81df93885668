"""The whole line for a browser: provider, sample app, and nginx with the gateway's forward-auth before the API."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

from idp.demo import gateway_config
from idp.demo.facts import Facts
from idp.demo.places import LOOPBACK, Places
from idp.demo.processes import Parts
from tests.services.program import free_port

PYTHON = (sys.executable, "-m")


class Line:
    """Started in a folder of its own; nginx stands where the demo has its gateway."""

    def __init__(self, folder: Path, *, nginx_port: int) -> None:
        self.folder = folder
        self.gateway_port = free_port()
        self.facts = Facts.invent(Places(provider=free_port(), gateway=nginx_port, api=free_port(), app=free_port()))
        self._parts = Parts(folder=folder / "log")
        self._environment = {
            **os.environ,
            "IDP_DEMO": "true",
            "IDP_PORT": str(self.facts.places.provider),
            "IDP_METRICS_PORT": "0",
            "IDP_DATABASE_URL": f"sqlite:///{folder}/idp.db",
            "IDP_MASTER_KEY_FILE": str(folder / "master.key"),
        }

    def start(self, before: Callable[[Line], None]) -> None:
        """Fill the database, let `before` change it, then start everything."""
        places = self.facts.places
        environment = self._environment
        self._parts.complete("seed", [*PYTHON, "idp.demo.seed"], environment=environment, said=self.facts.to_json())()
        before(self)
        self._part("provider", places.provider, "idp.cli", "run", path="/readyz")
        self._part(
            "gateway", self.gateway_port, "idp.cli", "gateway", "run", "--config", str(self._rules()),
            path="/.gatehouse/readyz",
        )  # fmt: skip
        self._part("api", places.api, "idp.demo.api", str(places.api), path="/orders")
        self._part("app", places.app, "idp.demo.app", path="/", said=self.facts.to_json())
        self._parts.wait_until_ready(lambda: False)

    def end(self) -> None:
        """End everything."""
        self._parts.end()

    def database_url(self) -> str:
        """Where the provider keeps what it knows."""
        return self._environment["IDP_DATABASE_URL"]

    def _part(self, name: str, port: int, *module: str, path: str, said: str = "") -> None:
        where = ("localhost" if name == "provider" else LOOPBACK, port)
        self._parts.start(name, [*PYTHON, *module], environment=self._environment, where=where, path=path, said=said)

    def _rules(self) -> Path:
        """The demo's own rules, asked by nginx instead of standing in front."""
        written = gateway_config.text(self.facts.places, snapshot=self.folder / "jwks.json")
        rules = (
            written.replace('shape = "proxy"', 'shape = "forward_auth"')
            .replace(f'listen = "{LOOPBACK}:{self.facts.places.gateway}"', f'listen = "{LOOPBACK}:{self.gateway_port}"')
            .replace("version = 1", f'version = 1\ntrusted_proxies = ["{LOOPBACK}/32"]')
            .replace("hosts = [", f'hosts = ["{LOOPBACK}:{self.gateway_port}", ')
        )
        file = self.folder / "gateway.toml"
        file.write_text(rules, "utf-8")
        return file
