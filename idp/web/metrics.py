"""Counters for Prometheus; several workers share them through files when the server says so.

prometheus_client decides at import, by PROMETHEUS_MULTIPROC_DIR: `idp run` sets it before it starts workers.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from typing import Final

from prometheus_client import REGISTRY as PROCESS_REGISTRY
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_issued: Final = Counter("idp_tokens_issued_total", "Access tokens issued", ["grant_type"])
_refused: Final = Counter("idp_refusals_total", "Requests refused, by endpoint and error", ["endpoint", "error"])
_faults: Final = Counter("idp_faults_total", "Requests that broke on our side", ["endpoint"])
_authorized: Final = Counter("idp_authorizations_total", "Authorization codes issued")
_signins: Final = Counter("idp_signins_total", "Sign-in steps, by step and outcome", ["step", "outcome"])

# Each worker looks at the same store, so the latest word counts for all.
_NEWEST: Final = "mostrecent"
_outbox: Final = Gauge("idp_event_outbox", "Events kept for gateways", multiprocess_mode=_NEWEST)
_streams: Final = Gauge("idp_event_streams", "Gateways that listen", ["client"], multiprocess_mode=_NEWEST)
_waiting: Final = Gauge("idp_events_waiting", "Events not yet acknowledged", ["client"], multiprocess_mode=_NEWEST)
_lag: Final = Gauge(
    "idp_event_lag_seconds", "Age of the oldest event not yet acknowledged", ["client"], multiprocess_mode=_NEWEST
)
_heard: Final[set[str]] = set()


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


def events(outbox: int, streams: Mapping[str, tuple[int, int, float]]) -> None:
    """Say how far gateways are: by client how many listen, how much waits for them, and for how long."""
    _outbox.set(outbox)
    for client in _heard - streams.keys():  # a series cannot be taken back from every worker: it says nothing waits
        _set(client, (0, 0, 0.0))
    for client, figures in streams.items():
        _set(client, figures)
    _heard.update(streams)


def _set(client: str, figures: tuple[int, int, float]) -> None:
    for gauge, value in zip((_streams, _waiting, _lag), figures, strict=True):
        gauge.labels(client).set(value)


def render() -> bytes:
    """Return everything counted, over all workers, as Prometheus reads it."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest(PROCESS_REGISTRY)
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # this class of it is untyped
    return generate_latest(registry)


@cache
def _issued_by(grant_type: str) -> Counter:
    # labels() takes a lock and builds a key; the few grant types are looked up once.
    return _issued.labels(grant_type)
