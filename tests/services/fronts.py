"""nginx, Caddy, Traefik and Envoy as docs/deploy sets them up, each in a folder of its own."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.fronts.places import Places, written
from tests.gateway.raw import ask, request
from tests.services.nginx import Nginx
from tests.services.program import Program

Start = Callable[[Places], "Nginx | Program"]
UNKNOWN = 404
HERE = Path(sys.executable).parent  # caddy, traefik and envoy come as wheels


def nginx(places: Places) -> Nginx:
    """nginx with `auth_request`."""
    snippet = written(
        "nginx/gatehouse.conf",
        places.folder / "gatehouse.conf",
        {
            "unix:/run/gatehouse/gateway.sock": f"unix:{places.socket}",
            "127.0.0.1:8090": f"127.0.0.1:{places.api}",
            "127.0.0.1:8088": f"127.0.0.1:{places.front}",
        },
    )
    return Nginx(places.folder / "nginx", port=places.front, inside=f"include {snippet};")


def caddy(places: Places) -> Program:
    """Caddy with `forward_auth`."""
    file = written(
        "caddy/Caddyfile",
        places.folder / "Caddyfile",
        {
            "/run/gatehouse/gateway.sock": str(places.socket),
            "127.0.0.1:8090": f"127.0.0.1:{places.api}",
            ":8088": f":{places.front}",
        },
    )
    return _started([HERE / "caddy", "run", "--adapter", "caddyfile", "--config", file], places)


def traefik(places: Places, *, provider_name: str = "idp.example") -> Program:
    """Traefik with `forwardAuth`; it asks over TCP."""
    rules = written(
        "traefik/gatehouse.yaml",
        places.folder / "gatehouse.yaml",
        {
            "127.0.0.1:8080": f"127.0.0.1:{places.gateway}",
            "127.0.0.1:8090": f"127.0.0.1:{places.api}",
            "127.0.0.1:8000": f"127.0.0.1:{places.provider}",
            "idp.example": provider_name,
        },
    )
    static = written(
        "traefik/traefik.yaml",
        places.folder / "traefik.yaml",
        {"127.0.0.1:8088": f"127.0.0.1:{places.front}", "/etc/traefik/gatehouse.yaml": str(rules)},
    )
    started = _started([HERE / "traefik", f"--configfile={static}"], places)
    _wait_for_rules(places)
    return started


def _wait_for_rules(places: Places) -> None:
    """Traefik listens before it has read its rules, and answers 404 until then."""
    asked = request("GET", "/.well-known/oauth-protected-resource")
    deadline = time.monotonic() + 15
    while ask(("127.0.0.1", places.front), asked).status == UNKNOWN:
        assert time.monotonic() < deadline, "Traefik does not read its rules"
        time.sleep(0.05)


def envoy(places: Places) -> Program:
    """Envoy with `ext_authz`."""
    file = written(
        "envoy/envoy.yaml",
        places.folder / "envoy.yaml",
        {
            "/run/gatehouse/gateway.sock": str(places.socket),
            "port_value: 8088": f"port_value: {places.front}",
            "port_value: 8090": f"port_value: {places.api}",
        },
    )
    # One worker, and no hot restart: several may run beside each other.
    quiet = ["--concurrency", "1", "--disable-hot-restart", "--log-level", "warn"]
    return _started([HERE / "envoy", "-c", file, *quiet], places)


def _started(argv: Sequence[str | Path], places: Places) -> Program:
    assert shutil.which(argv[0]), f"{argv[0]} is not installed: run `make install`"
    home = {"HOME": str(places.folder), "XDG_DATA_HOME": str(places.folder), "XDG_CONFIG_HOME": str(places.folder)}
    program = Program(argv, log=places.folder / "front.log", env=home)
    program.wait_for_port(places.front)
    return program


FRONTS: dict[str, Start] = {"nginx": nginx, "caddy": caddy, "traefik": traefik, "envoy": envoy}
