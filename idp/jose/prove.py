"""Making a proof of possession for one request of our own (RFC 9449 section 4.2)."""

from __future__ import annotations

import json
import secrets
from functools import lru_cache
from hashlib import sha256
from typing import Final

from idp.jose.dpop import TYP
from idp.jose.jwk import KIND_OF, REQUIRED
from idp.jose.keys import SigningKey
from idp.jose.strict import b64encode

_JTI_BYTES: Final = 16


def prove(
    key: SigningKey, *, method: str, address: str, now: float, access_token: str | None = None, nonce: str | None = None
) -> str:
    """Sign for one method at one address, with one token if there is one, and the nonce that was asked for."""
    claims = {
        "jti": secrets.token_urlsafe(_JTI_BYTES),
        "htm": method,
        "htu": address.partition("#")[0].partition("?")[0],
        "iat": int(now),
        **({} if access_token is None else {"ath": b64encode(sha256(access_token.encode("ascii")).digest()).decode()}),
        **({} if nonce is None else {"nonce": nonce}),
    }
    signing_input = _header(key) + b"." + b64encode(json.dumps(claims, separators=(",", ":")).encode("utf-8"))
    return (signing_input + b"." + b64encode(key.sign(signing_input))).decode("ascii")


@lru_cache(maxsize=16)
def _header(key: SigningKey) -> bytes:
    """Write the header, which carries the public key and nothing of the private one."""
    public = key.public_jwk()
    jwk = {name: public[name] for name in ("kty", *REQUIRED[KIND_OF[key.alg]])}
    return b64encode(json.dumps({"typ": TYP, "alg": key.alg, "jwk": jwk}, separators=(",", ":")).encode("ascii"))
