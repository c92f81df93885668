"""Which addresses programs ask: they get JSON, and neither pages nor cookies."""

from __future__ import annotations

from typing import Final

PROBES: Final = frozenset({"/healthz", "/readyz"})
MACHINES: Final = (
    "/token",
    "/introspect",
    "/revoke",
    "/userinfo",
    "/jwks",
    "/events",
    "/federation/signed-out/",
    "/.well-known/",
    *sorted(PROBES),
)
