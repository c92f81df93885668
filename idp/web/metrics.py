"""Counters for Prometheus; several workers share them through files when the server says so.

prometheus_client decides at import, by PROMETHEUS_MULTIPROC_DIR: `idp run` sets it before it starts workers.
"""

from __future__ import annotations

import os
from functools import cache
from typing import Final

from prometheus_client import REGISTRY as PROCESS_REGISTRY
from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_issued: Final = Counter("idp_tokens_issued_total", "Access tokens issued", ["grant_type"])
_refused: Final = Counter("idp_refusals_total", "Requests refused, by endpoint and error", ["endpoint", "error"])
_faults: Final = Counter("idp_faults_total", "Requests that broke on our side", ["endpoint"])
_authorized: Final = Counter("idp_authorizations_total", "Authorization codes issued")
_signins: Final = Counter("idp_signins_total", "Sign-in steps, by step and outcome", ["step", "outcome"])


def issued(grant_type: str) -> None:
    """Count an issued access token."""
    _issued_by(grant_type).inc()


def refused(endpoint: str | None, error: str) -> None:
    """Count a refusal; both labels are ours, never the caller's words."""
    _refused.labels(endpoint or "none", error).inc()


def fault(endpoint: str | None) -> None:
    """Count a fault of ours."""
    _faults.labels(endpoint or "none").inc()


def authorized() -> None:
    """Count an authorization that ended with a code."""
    _authorized.inc()


def signin(step: str, outcome: str) -> None:
    """Count one step of a sign-in: password, totp, recovery, consent."""
    _signins.labels(step, outcome).inc()


def render() -> bytes:
    """Return everything counted, over all workers, as Prometheus reads it."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest(PROCESS_REGISTRY)
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)


@cache
def _issued_by(grant_type: str) -> Counter:
    # labels() takes a lock and builds a key; the few grant types are looked up once.
    return _issued.labels(grant_type)
