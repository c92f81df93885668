"""at_hash and c_hash: what ties a token or code to an ID token (OpenID Connect Core section 3.1.3.6)."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256, sha512
from typing import Any, Final

from idp.jose.jwk import canonical_alg
from idp.jose.strict import JoseError, b64encode

# The hash inside the signature algorithm; Ed25519 uses SHA-512 (RFC 8032 section 5.1).
_HASHES: Final[dict[str, Callable[[bytes], Any]]] = {
    "ES256": sha256,
    "RS256": sha256,
    "PS256": sha256,
    "EdDSA": sha512,
}


def half_hash(value: str, alg: str) -> str:
    """Give the left half of the hash of `value`. An unknown alg is refused, so a check fails closed."""
    if not value.isascii():
        raise JoseError("hashed value is not ASCII")
    full: bytes = _HASHES[canonical_alg(alg)](value.encode("ascii")).digest()
    return b64encode(full[: len(full) // 2]).decode("ascii")
