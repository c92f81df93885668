"""Where each part of the demo listens, and who may be asked for it. Standard library only."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass, fields

LOOPBACK = "127.0.0.1"
VARIABLES = {
    "provider": "IDP_PORT",
    "gateway": "IDP_GATEWAY_PORT",
    "api": "IDP_DEMO_API_PORT",
    "app": "IDP_DEMO_APP_PORT",
}
NAMES = {
    "provider": "the provider",
    "gateway": "the gateway",
    "api": "the demo API",
    "app": "the sample app",
}
HIGHEST_PORT = 65_535


class NoPlace(Exception):
    """A port cannot be used; the text says which, and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """The four ports, all on loopback."""

    provider: int = 8000
    gateway: int = 8080
    api: int = 8090
    app: int = 8070

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Places:
        """Read the ports from the environment; a wrong one is named with its variable."""
        given = {
            name: _port(variable, environment[variable])
            for name, variable in VARIABLES.items()
            if environment.get(variable)
        }
        places = cls(**given)
        ports = [getattr(places, part.name) for part in fields(places)]
        if len(set(ports)) < len(ports):
            raise NoPlace(f"{', '.join(VARIABLES.values())}: each needs a port of its own")
        return places

    @property
    def issuer(self) -> str:
        """`localhost`, because passkeys refuse IP addresses."""
        return f"http://localhost:{self.provider}"

    @property
    def gateway_url(self) -> str:
        """The address of the gateway."""
        return f"http://{LOOPBACK}:{self.gateway}"

    @property
    def api_url(self) -> str:
        """The address of the API, which people reach through the gateway only."""
        return f"http://{LOOPBACK}:{self.api}"

    @property
    def app_url(self) -> str:
        """The address of the sample app: another host name than the provider's, so cookies cannot meet."""
        return f"http://{LOOPBACK}:{self.app}"

    def refuse_busy(self) -> None:
        """Refuse, in words, a port that another program holds."""
        for name, variable in VARIABLES.items():
            port = getattr(self, name)
            if not _free(port):
                raise NoPlace(
                    f"port {port} is already in use, and {NAMES[name]} needs it: "
                    f"end the program that holds it, or choose another with {variable}=..."
                )


def _port(variable: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= HIGHEST_PORT):
        raise NoPlace(f"{variable}: write a port number from 1 to {HIGHEST_PORT}")
    return int(text)


def _free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers bind: a port that only lingers from the last run is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
