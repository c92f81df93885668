"""granian: the fast server, for loopback or behind a front that terminates TLS."""

from __future__ import annotations

import os
import time

import click
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server import MPServer

from idp.settings import Settings

TARGET = "idp.wsgi:app"

SHORTEST_PAUSE, LONGEST_PAUSE = 0.1, 10.0
CALM = 30.0  # seconds without trouble after which the pause is short again

# granian copies the environment into every request's environ: a short one is faster and shows less.
KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "PYTHONPATH", "VIRTUAL_ENV")


def trim_environment() -> None:
    """Forget every variable that neither the product nor its runtime reads."""
    for name in list(os.environ):
        if name not in KEPT and not name.startswith(("IDP_", "PROMETHEUS_", "PYTHON", "COVERAGE_")):
            del os.environ[name]


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; in-flight requests get their answer.

    granian ends when a worker dies twice within seconds. Whoever can make a worker die must not be able to end the
    provider, so it starts again, after a pause that grows while it keeps happening.
    """
    trim_environment()
    pause = SHORTEST_PAUSE
    while True:
        server, began = _server(settings), time.monotonic()
        try:
            server.serve()
        except SystemExit:
            if server.interrupt_signal:
                raise
        if server.interrupt_signal:
            return
        pause = SHORTEST_PAUSE if time.monotonic() - began > CALM else min(pause * 2, LONGEST_PAUSE)
        click.echo("workers died in quick succession; starting them again", err=True)
        time.sleep(pause)


def _server(settings: Settings) -> MPServer:
    return MPServer(
        TARGET,
        address=settings.host,
        port=settings.port,
        interface=Interfaces.WSGI,
        workers=settings.workers,
        blocking_threads=settings.threads,
        backlog=2048,
        http=HTTPModes.http1,
        # Header lines must arrive within the time, or the connection closes.
        http1_settings=HTTP1Settings(header_read_timeout=10_000, max_buffer_size=65_536),
        websockets=False,
        respawn_failed_workers=True,
        respawn_interval=0.2,
        workers_kill_timeout=10,
        log_enabled=False,
    )
