"""Proof key for code exchange, S256 alone (RFC 7636)."""

from __future__ import annotations

import hashlib
import hmac
import re
from base64 import urlsafe_b64encode

from idp.protocol.errors import InvalidGrant, InvalidRequest

METHODS = frozenset({"S256"})
CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")


def challenge_of(verifier: str) -> str:
    """Hash a verifier to its challenge (RFC 7636 section 4.2)."""
    return urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def check_request(challenge: str | None, method: str | None, *, required: bool) -> None:
    """Refuse an authorization request whose proof key is missing or weak (RFC 7636 section 4.4.1)."""
    if challenge is None:
        if required:
            raise InvalidRequest("code_challenge is required")
        if method is not None:
            raise InvalidRequest("code_challenge_method came without code_challenge")
        return
    # RFC 7636 section 4.3: an absent method means plain, which shows the verifier to whoever sees the request.
    if method not in METHODS:
        raise InvalidRequest("code_challenge_method must be S256")
    if CHALLENGE.fullmatch(challenge) is None:
        raise InvalidRequest("code_challenge must be 43 base64url characters")


def verify(verifier: str | None, challenge: str | None) -> None:
    """Refuse a verifier that does not hash to the challenge (RFC 7636 section 4.6)."""
    if challenge is None:
        # RFC 9700 section 4.8.2: a verifier without a challenge is a downgrade that someone else began.
        if verifier is not None:
            raise InvalidGrant("code_verifier came for a code without challenge")
        return
    if verifier is None:
        raise InvalidGrant("code_verifier is missing")
    if VERIFIER.fullmatch(verifier) is None:
        raise InvalidGrant("code_verifier does not match")
    if not hmac.compare_digest(challenge_of(verifier).encode(), challenge.encode()):
        raise InvalidGrant("code_verifier does not match")
