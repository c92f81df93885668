"""The gateway's own addresses, under one reserved prefix that no route can claim."""

from __future__ import annotations

import json
from collections.abc import Sequence
from math import isinf
from typing import Final

from idp.gateway.decide import Gate
from idp.gateway.server.exchange import Answer

PREFIX: Final = b"/.gatehouse/"
_HEADERS: Final = ((b"content-type", b"application/json"), (b"cache-control", b"no-store"))


def answer(gate: Gate, method: str, target: bytes, headers: Sequence[tuple[bytes, bytes]] = ()) -> Answer:
    """Answer for a target under the prefix; a query means nothing here."""
    path = target.partition(b"?")[0]
    if method not in {"GET", "HEAD"}:
        return _json(405, {"error": "method not allowed"})
    if path == PREFIX + b"healthz":
        return _json(200, {"status": "ok"})
    if path == PREFIX + b"readyz":
        return _ready(gate)
    if path == PREFIX + b"jwks.json" and gate.rules.jwks is not None:
        return gate.rules.jwks.answer(headers)
    return _json(404, {"error": "not found"})


def _ready(gate: Gate) -> Answer:
    """Ready means: tokens of every issuer can be checked. Keys warn of their age before they end."""
    issuers = {
        name: {
            "usable": source.usable() is not None,
            "jwks_age": None if (age := source.age()) is None else round(age, 1),
            "warning": "the last fetch of keys failed" if source.failing else None,
            **_revocation(gate, name),
        }
        for name, source in gate.sources.items()
    }
    ready = gate.ready()
    return _json(200 if ready else 503, {"status": "ready" if ready else "no usable keys", "issuers": issuers})


def _revocation(gate: Gate, name: str) -> dict[str, object]:
    """Say since when the provider has told nothing, and how late it told the latest."""
    feed = gate.feeds.get(name)
    if feed is None:
        return {}
    silence = feed.silence()
    return {
        "revocation_silence": None if isinf(silence) else round(silence, 1),
        "revocation_delay": None if feed.delay is None else round(feed.delay, 1),
        "revoked": len(feed.revoked),
    }


def _json(status: int, value: object) -> Answer:
    body = json.dumps(value).encode()
    return status, (*_HEADERS, (b"content-length", b"%d" % len(body))), body
