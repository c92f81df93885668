"""Refusals as those hear them who prove a key: in their scheme, with its algorithms (RFC 9449 section 7.1)."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Final

from idp.gateway import answers
from idp.gateway.answers import Headers, Refusal
from idp.gateway.binding.model import Bind
from idp.jose.dpop import ALGS
from idp.protocol.bearer import challenge

_CHALLENGE: Final = b"www-authenticate"
_NONCE: Final = b"dpop-nonce"
_BEARER: Final = b"Bearer"
_TOLD: Final = " ".join(ALGS)
_UNPROVED: Final = "the access token must be bound to a key, and come with a proof of that key"
_BAD_PROOF: Final = "the DPoP proof is missing, malformed, stale, used or not for this request"
_NO_NONCE: Final = "the DPoP proof needs the nonce of this answer"
_NO_STORE: Final = "whether the DPoP proof was used before cannot be known at the moment"


@lru_cache(maxsize=1_024)
def proved(refusal: Refusal) -> Refusal:
    """Say a refusal in the scheme of proofs instead of that of bearers."""
    headers = tuple((name, _spoken(value) if name == _CHALLENGE else value) for name, value in refusal.headers)
    return replace(refusal, headers=headers)


@lru_cache(maxsize=1_024)
def either(refusal: Refusal) -> Refusal:
    """Ask in both schemes: a token of either kind will do."""
    asked = tuple((name, _spoken(value)) for name, value in refusal.headers if name == _CHALLENGE)
    return replace(refusal, headers=refusal.headers + asked)


def _spoken(value: bytes) -> bytes:
    if not value.startswith(_BEARER):
        return value
    rest = value.removeprefix(_BEARER).strip(b" ")
    return b"DPoP " + (rest + b", " if rest else b"") + f'algs="{_TOLD}"'.encode("ascii")


def said(wanted: Bind, metadata: str) -> tuple[Refusal, Refusal]:
    """Give what a route answers when there is no token, and when it is none: in the schemes that the route takes."""
    absent, invalid = answers.no_credential(metadata), answers.invalid_token(metadata)
    if wanted.dpop == "required":
        return proved(absent), proved(invalid)
    return (either(absent) if wanted.dpop == "optional" else absent), invalid


def unproved(metadata: str = "") -> Refusal:
    """Answer 401 where a key was to be proved, and the token is bound to none, to another, or came without."""
    return proved(answers.invalid_token(metadata, _UNPROVED))


def bad_proof(metadata: str = "") -> Refusal:
    """Answer 401 to a proof that is none; one text, whatever is wrong with it."""
    return Refusal(
        status=401,
        reason="proof",
        error="invalid_dpop_proof",
        text=_BAD_PROOF,
        headers=_challenge("invalid_dpop_proof", _BAD_PROOF, metadata),
    )


def use_nonce(nonce: str, metadata: str = "") -> Refusal:
    """Answer 401 with the nonce to use (RFC 9449 section 9)."""
    headers = (*_challenge("use_dpop_nonce", _NO_NONCE, metadata), told(nonce))
    return Refusal(status=401, reason="proof nonce", error="use_dpop_nonce", text=_NO_NONCE, headers=headers)


def told(nonce: str) -> tuple[bytes, bytes]:
    """Give the header that brings a nonce."""
    return _NONCE, nonce.encode("ascii")


NO_STORE: Final = Refusal(
    status=503,
    reason="proof store",
    error="temporarily_unavailable",
    text=_NO_STORE,
    headers=((b"retry-after", b"5"),),
)


def _challenge(error: str, text: str, metadata: str) -> Headers:
    said = challenge(scheme="DPoP", error=error, description=text, resource_metadata=metadata, algs=_TOLD)
    return ((_CHALLENGE, said.encode("ascii")),)
