"""Prometheus metrics of all workers, on a port of their own that only loopback reaches."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.context import SpawnProcess

from idp.web import logs

MULTIPROCESS_DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"
LOOK_AGAIN = 0.5  # seconds


def _serve(port: int, parent: int) -> None:
    # Here, not above: whoever loads it before the folder is named counts for itself alone.
    from prometheus_client import CollectorRegistry, multiprocess, start_http_server  # noqa: PLC0415

    # Ctrl-C reaches every process of a terminal; this one ends with its parent, after the last answer.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logs.configure()
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # this class of it is untyped
    listening = told = False
    while os.getppid() == parent:
        if not listening:
            try:
                start_http_server(port, addr="127.0.0.1", registry=registry)
                listening = True
            except OSError as trouble:
                # Whoever holds the port may be the provider of before: try until it is gone, say so once.
                if not told:
                    logs.log.warning("metrics.unavailable", port=port, trouble=trouble.strerror, setting="metrics_port")
                told = True
        time.sleep(LOOK_AGAIN)


@contextmanager
def exposed(port: int) -> Iterator[None]:
    """Let workers started inside write their counters, and serve the sum on `port`; 0 serves none.

    A process of its own rather than a thread: servers fork their workers, and a fork beside a
    running thread may copy a held lock. A port that is taken costs the metrics, never the provider.
    """
    directory = tempfile.mkdtemp(prefix="gatehouse-metrics-")
    os.environ[MULTIPROCESS_DIRECTORY] = directory
    process: SpawnProcess | None = None
    if port:
        context = multiprocessing.get_context("spawn")
        process = context.Process(target=_serve, args=(port, os.getpid()), daemon=True)
        process.start()
    try:
        yield
    finally:
        if process is not None:
            process.terminate()
            process.join(5)
        shutil.rmtree(directory, ignore_errors=True)
