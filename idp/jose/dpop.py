"""Proofs of possession: a JWT for one request, signed with the key that it brings along (RFC 9449 section 4).

The one place where a key inside a token is used. It proves nothing but itself: whoever asks compares its thumbprint
with the one a token is bound to, or binds a token to it.
"""

from __future__ import annotations

import hmac
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Final

from idp.jose.jwk import ALGS, canonical_alg, thumbprint
from idp.jose.keys import VerifyingKey
from idp.jose.strict import JoseError, b64encode, loads, split
from idp.jose.verify import check_times, date, media_type
from idp.protocol.dpop import same_address

__all__ = ["ALGS", "TYP", "WINDOW", "Proof", "verify_proof"]

TYP: Final = "dpop+jwt"
WINDOW: Final = 60  # seconds that a proof may be old, or ahead of our clock
_MAX_JTI: Final = 256
_MAX_PROOF: Final = 8_192
_OTHER_KEYS: Final = frozenset({"jku", "x5u", "x5c"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """A good proof. Whether it was used before is for a store to say."""

    jkt: str
    jti: str
    nonce: str | None
    ends: float  # nobody takes it from then on

    @property
    def made(self) -> float:
        """Say when it was made, by its maker's clock."""
        return self.ends - WINDOW

    @property
    def key(self) -> str:
        """Under what name it is used up: the key is part of it, so that nobody can use up what is another's."""
        return sha256(f"dpop\0{self.jkt}\0{self.jti}".encode()).hexdigest()


def verify_proof(
    given: str,
    *,
    method: str,
    addresses: Collection[str],
    now: float,
    access_token: str | None = None,
) -> Proof:
    """Check everything about a proof that needs no memory (RFC 9449 section 4.3).

    `given` is the header as it came: two joined by a server have a comma, which no proof has. `addresses` are the names
    that the place has where the proof was brought.
    """
    if len(given) > _MAX_PROOF:
        raise JoseError("proof is too long")
    compact = split(given)
    if media_type(compact) != TYP:
        raise JoseError("proof typ is another")
    head = given.partition(".")[0]
    key, jkt = _remembered(head) if len(head) <= _MAX_REMEMBERED else _key(compact.header)
    if not key.verify(canonical_alg(compact.header["alg"]), compact.signing_input, compact.signature):
        raise JoseError("proof signature is wrong")
    claims = loads(compact.payload)
    if claims.get("htm") != method:
        raise JoseError("proof htm is another")
    htu = claims.get("htu")
    if not isinstance(htu, str) or not any(same_address(htu, each) for each in addresses):
        raise JoseError("proof htu is another")
    if access_token is not None:
        _check_ath(claims, access_token)
    issued = _issued(claims, now)
    return Proof(jkt=jkt, jti=_jti(claims), nonce=_nonce(claims), ends=issued + WINDOW)


def _key(header: Mapping[str, object]) -> tuple[VerifyingKey, str]:
    """Read the public key out of a header; one with private members is refused (RFC 9449 section 4.3, item 7)."""
    jwk = header.get("jwk")
    if not isinstance(jwk, dict):
        raise JoseError("proof has no key")
    if not _OTHER_KEYS.isdisjoint(header):
        raise JoseError("proof has more than one key")
    return VerifyingKey.from_jwk(jwk), thumbprint(str(jwk["kty"]), jwk)


# A client signs proof after proof with one key, so its header stays the same.
_MAX_REMEMBERED: Final = 1_024


@lru_cache(maxsize=1_024)
def _remembered(head: str) -> tuple[VerifyingKey, str]:
    return _key(split(f"{head}.e30.AA").header)


def _check_ath(claims: Mapping[str, object], access_token: str) -> None:
    """Refuse a proof made for another token (RFC 9449 section 4.3, item 12)."""
    ath = claims.get("ath")
    wanted = b64encode(sha256(access_token.encode("ascii")).digest())
    if not isinstance(ath, str) or not hmac.compare_digest(ath.encode(), wanted):
        raise JoseError("proof ath is another")


def _issued(claims: Mapping[str, object], now: float) -> float:
    """RFC 9449 section 4.3, item 11: made just now. An end or a beginning, where given, hold as everywhere."""
    check_times(claims, now, leeway=WINDOW, require_exp=False)
    issued = date(claims, "iat")
    if issued is None:
        raise JoseError("proof iat is absent")
    if issued < now - WINDOW:
        raise JoseError("proof is too old")
    return issued


def _jti(claims: Mapping[str, object]) -> str:
    jti = claims.get("jti")
    if not isinstance(jti, str) or not 0 < len(jti) <= _MAX_JTI:
        raise JoseError("proof jti is absent or too long")
    return jti


def _nonce(claims: Mapping[str, object]) -> str | None:
    nonce = claims.get("nonce")
    if nonce is not None and not isinstance(nonce, str):
        raise JoseError("proof nonce is not text")
    return nonce
