"""granian: the fast server, for loopback or behind a front that terminates TLS."""

from __future__ import annotations

import ctypes
import functools
import importlib
import os
import signal
import time
from typing import Any
from wsgiref.types import WSGIApplication

from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server import Server
from granian.server.common import AbstractServer

from idp.cli.serving import core, room
from idp.cli.serving.connections import Watch
from idp.cli.serving.room import Room
from idp.settings import Settings
from idp.web import logs

TARGET = "idp.wsgi"
PR_SET_PDEATHSIG = 1

SHORTEST_PAUSE, LONGEST_PAUSE = 0.1, 10.0
CALM = 30.0  # seconds without trouble after which the pause is short again
GRACE = 8  # seconds for requests in flight: container runtimes kill after ten

# granian copies the environment into every request's environ: a short one is faster and shows less.
KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "VIRTUAL_ENV", "REQUESTS_CA_BUNDLE")
# Ours, the runtime's, and libpq's: its certificates and password files have no other way in.
KEPT_FAMILIES = ("IDP_", "PROMETHEUS_", "PYTHON", "COVERAGE_", "SSL_CERT_", "LD_", "PG")


def trim_environment() -> None:
    """Forget every variable that neither the product nor its runtime reads."""
    for name in list(os.environ):
        if name not in KEPT and not name.startswith(KEPT_FAMILIES):
            del os.environ[name]


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; in-flight requests get their answer.

    granian ends when a worker dies twice within seconds. Whoever can make a worker die must not be able to end the
    provider, so it starts again, after a pause that grows while it keeps happening.
    """
    trim_environment()
    logs.configure(settings.log_level)
    logs.log.info("server.begins", server="granian", issuer=settings.issuer, host=settings.host, port=settings.port)
    # A worker that is told to end before it listens to signals would have its master's ears, and be waited for.
    os.register_at_fork(after_in_child=_hear_for_oneself)
    pause, server = SHORTEST_PAUSE, _server(settings)
    while True:
        began = time.monotonic()
        _run(server, settings)
        pause = SHORTEST_PAUSE if time.monotonic() - began > CALM else min(pause * 2, LONGEST_PAUSE)
        if not server.interrupt_signal:
            logs.log.error("server.workers_died", again_in=pause)
            # The signal handlers of the server that ended still stand: a stop during the pause is heard.
            server.main_loop_interrupt.clear()
            server.main_loop_interrupt.wait(pause)
        if server.interrupt_signal:
            return
        server = _after(server, settings)


def _hear_for_oneself() -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)


def _run(server: AbstractServer[Any], settings: Settings) -> None:
    try:
        server.serve(target_loader=functools.partial(_load, os.getpid(), settings), wrap_loader=False)
    except SystemExit:
        # Its word for a crash loop; after a stop, for workers that heard the same Ctrl-C and ended first.
        return
    except RuntimeError as trouble:
        # Its word for a socket it cannot have: free a moment ago, so likely free in a moment.
        logs.log.error("server.cannot_listen", trouble=str(trouble))


def _after(ended: AbstractServer[Any], settings: Settings) -> AbstractServer[Any]:
    """Return the next server, which also ends by a signal that only the last one heard."""
    server = _server(settings)

    def inherit() -> None:
        if ended.interrupt_signal:
            server.signal_handler_interrupt()  # type: ignore[no-untyped-call]  # granian types its arguments alone

    server.on_startup(inherit)
    return server


def _load(master: int, settings: Settings) -> WSGIApplication:
    """Import the application, once in each worker, and put the room before it."""
    end_with(master)
    app: WSGIApplication = importlib.import_module(TARGET).app
    if settings.worker_on_one_core:
        core.keep()
    waiting = Room(app, seats=settings.threads)
    Watch(waiting, settings.port).start()
    return waiting


def end_with(master: int) -> None:
    """End when the master does, however it does: a worker without one would keep the port, and serve what was."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != master:  # it was gone before it could be followed
        os.kill(os.getpid(), signal.SIGTERM)


def _server(settings: Settings) -> AbstractServer[Any]:
    return Server(
        f"{TARGET}:app",
        address=settings.host,
        port=settings.port,
        interface=Interfaces.WSGI,
        workers=settings.workers,
        blocking_threads=room.THREADS,
        backlog=2048,
        http=HTTPModes.http1,
        # Header lines must arrive within the time, or the connection closes.
        http1_settings=HTTP1Settings(header_read_timeout=10_000, max_buffer_size=65_536),
        websockets=False,
        respawn_failed_workers=True,
        respawn_interval=0.2,
        workers_kill_timeout=GRACE,
        log_enabled=False,
    )
