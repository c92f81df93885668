"""What each API says about itself (RFC 9728), from the same file that guards it, so that the two cannot drift.

An audience that is an address of this gateway has a document, and every challenge of its routes names it. An audience
that is only a name, or an address elsewhere, has none here: a client must find the document where the name points.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from idp.gateway.address import sound
from idp.gateway.answers import Headers
from idp.gateway.config import Config
from idp.gateway.policy.judge import Judge
from idp.gateway.policy.model import Scope
from idp.gateway.routes import bare
from idp.jose.dpop import ALGS

WELL_KNOWN: Final = "/.well-known/oauth-protected-resource"
PREFIX: Final = WELL_KNOWN.encode()
_READ: Final = frozenset({"GET", "HEAD"})

Answer = tuple[int, Headers, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One audience's description and where it is found."""

    url: str
    host: str
    path: str
    body: bytes


def documents(config: Config, *, ours: Callable[[str], bool]) -> Mapping[str, Document]:
    """Write a document for each audience that is an address of ours."""
    found: dict[str, Document] = {}
    for audience in sorted({route.audience for route in config.routes}):
        if not sound(audience) or not ours(urlsplit(audience).netloc.lower()):
            continue
        url = urlsplit(audience)
        path = WELL_KNOWN + url.path.rstrip("/")  # RFC 9728 section 3.1: inserted before the path
        host = url.netloc.lower()
        found[audience] = Document(
            url=f"{url.scheme}://{host}{path}", host=host, path=path, body=json.dumps(_facts(config, audience)).encode()
        )
    return found


def _facts(config: Config, audience: str) -> dict[str, object]:
    """RFC 9728 section 2."""
    routes = [route for route in config.routes if route.audience == audience]
    issuers = {issuer.name: issuer.issuer for issuer in config.issuers}
    scopes: set[str] = set()
    for route in routes:
        for _, condition in Judge(route.require, route.when, None, template=route.path).nodes():
            if isinstance(condition, Scope):
                scopes |= condition.names
    return {
        "resource": audience,
        "authorization_servers": sorted({issuers[route.issuer] for route in routes}),
        "scopes_supported": sorted(scopes),
        "bearer_methods_supported": ["header"],
        "dpop_signing_alg_values_supported": list(ALGS),
        "dpop_bound_access_tokens_required": all(route.bind.dpop == "required" for route in routes),
        "tls_client_certificate_bound_access_tokens": any(route.bind.mtls for route in routes),
    }


def answer(found: Mapping[str, Document], method: str, host: bytes, target: bytes) -> Answer | None:
    """Answer a request for a document; None when it is for something else."""
    if not target.startswith(PREFIX) or method not in _READ:
        return None
    asked, path = host.decode("latin-1").lower(), target.partition(b"?")[0].decode("latin-1")
    for document in found.values():
        # As with routes: a host that names no port is meant at every port.
        if document.path == path and document.host in {asked, bare(asked)}:
            head = (
                (b"content-type", b"application/json"),
                (b"content-length", b"%d" % len(document.body)),
                (b"cache-control", b"public, max-age=300"),
            )
            return 200, head, document.body
    return None
