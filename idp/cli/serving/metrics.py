"""Prometheus metrics of all workers, on a port of their own that only loopback reaches."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.context import SpawnProcess

MULTIPROCESS_DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"


def _serve(port: int, parent: int) -> None:
    from prometheus_client import CollectorRegistry, multiprocess, start_http_server  # noqa: PLC0415

    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    start_http_server(port, addr="127.0.0.1", registry=registry)
    while os.getppid() == parent:
        time.sleep(0.5)


@contextmanager
def exposed(port: int) -> Iterator[None]:
    """Let workers started inside write their counters, and serve the sum on `port`; 0 serves none.

    A process of its own rather than a thread: servers fork their workers, and a fork beside a
    running thread may copy a held lock.
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
