"""gunicorn gthread: the server that terminates TLS itself and serves a renewed certificate at once."""

from __future__ import annotations

import importlib
import os
import ssl
import sys
from collections.abc import Callable
from typing import Any

from gunicorn.app.base import BaseApplication
from gunicorn.glogging import Logger

from idp.cli.serving import core, room
from idp.cli.serving.room import Room
from idp.cli.serving.tls import ReloadingContext
from idp.cli.serving.worker import CONNECTIONS, Worker
from idp.settings import Settings
from idp.web import logs

TARGET = "idp.wsgi"


class Log(Logger):  # type: ignore[misc]  # gunicorn is untyped
    """What gunicorn says goes the way of every other event: JSON, and masked, for it quotes requests."""

    def setup(self, cfg: Any) -> None:
        """Leave the writing to the root logger."""
        super().setup(cfg)
        self.error_log.propagate = True


class Gunicorn(BaseApplication):  # type: ignore[misc]  # gunicorn is untyped
    """gunicorn configured from the settings alone: no file, no GUNICORN_CMD_ARGS."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        super().__init__()

    def load_config(self) -> None:
        """Take the options over into gunicorn's own configuration."""
        for name, value in options(self._settings).items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        """Import the application, once in each worker, and put the room before it."""
        app = importlib.import_module(TARGET).app
        if self._settings.worker_on_one_core:
            core.keep()
        return Room(app, seats=self._settings.threads)


def options(settings: Settings) -> dict[str, Any]:
    """What gunicorn is told. Forwarded headers decide nothing here: the app reads trusted ones itself."""
    chosen: dict[str, Any] = {
        "bind": f"{settings.host}:{settings.port}",
        "workers": settings.workers,
        "threads": room.THREADS,
        "worker_class": Worker,
        "worker_connections": CONNECTIONS,
        "backlog": 2048,
        "keepalive": 15,
        "timeout": 30,
        "graceful_timeout": 8,  # for requests in flight: container runtimes kill after ten
        "limit_request_line": 8190,
        "limit_request_fields": 64,
        "limit_request_field_size": 32_768,  # a ticket of somebody in very many groups is one header
        "forwarded_allow_ips": "",
        "header_map": "drop",  # X_Forwarded_For must not pass for X-Forwarded-For
        "accesslog": None,
        "errorlog": None,
        "logger_class": Log,
        "loglevel": settings.log_level if settings.log_level != "info" else "warning",
        "control_socket_disable": True,
    }
    if settings.tls_certificate and settings.tls_key:
        context = ReloadingContext(settings.tls_certificate, settings.tls_key)
        chosen |= {
            "certfile": str(settings.tls_certificate),
            "keyfile": str(settings.tls_key),
            "ssl_context": _always(context.current),
        }
    return chosen


def _always(current: Callable[[], ssl.SSLContext]) -> Callable[[Any, Any], ssl.SSLContext]:
    def ssl_context(_config: Any, _default_factory: Any) -> ssl.SSLContext:
        return current()

    return ssl_context


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; in-flight requests get their answer."""
    logs.configure(settings.log_level)
    logs.log.info("server.begins", server="gunicorn", issuer=settings.issuer, host=settings.host, port=settings.port)
    master = os.getpid()
    try:
        Gunicorn(settings).run()
    except SystemExit as ended:
        if os.getpid() != master:
            # Workers are forked below this line and unwind through it: what our callers tidy up is the master's.
            sys.stderr.flush()
            os._exit(ended.code if isinstance(ended.code, int) else 1)
        raise
