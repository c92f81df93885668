"""Making tokens: compact JWS, one key, its kid, an explicit typ (RFC 7515 section 5.1, RFC 8725 section 3.11)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from idp.jose.keys import SigningKey
from idp.jose.strict import MAX_TOKEN, JoseError, b64encode

_ENCODE: Final = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


def sign(claims: Mapping[str, object], key: SigningKey, *, typ: str) -> str:
    """Sign claims with exactly this key; joserfc given a key set would pick one at random."""
    try:
        payload = b64encode(_ENCODE(dict(claims)).encode("utf-8"))
    except (TypeError, ValueError):
        raise JoseError("claims are not JSON") from None
    signing_input = _header(key.alg, key.kid, typ) + b"." + payload
    token = signing_input + b"." + b64encode(key.sign(signing_input))
    if len(token) > MAX_TOKEN:  # nobody, ourselves included, would accept it
        raise JoseError("token would be too long")
    return token.decode("ascii")


@lru_cache(maxsize=64)
def _header(alg: str, kid: str, typ: str) -> bytes:
    header = {"alg": alg, "typ": typ, "kid": kid}
    return b64encode(json.dumps(header, separators=(",", ":")).encode("ascii"))
