"""Opening what was encrypted to a key of ours: two ways to come to a key, two ways to encrypt, no compression.

RFC 7516 section 5.2. That something was encrypted says nothing of who wrote it: everybody has the public key. So what
is inside is believed for its own signature, or for the TLS it came over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

from cryptography.exceptions import UnsupportedAlgorithm
from joserfc.errors import JoseError as JoserfcError
from joserfc.jwe import JWERegistry, decrypt_compact
from joserfc.jwk import ECKey, RSAKey

from idp.jose.jwk import PRIVATE_MEMBERS, REQUIRED, check_numbers, thumbprint
from idp.jose.strict import JoseError, b64decode, loads

MAX_ENCRYPTED: Final = 24_576  # a token of full size inside
ALGS: Final = {"EC": "ECDH-ES", "RSA": "RSA-OAEP-256"}  # RFC 7518 section 4; RSA1_5 tells by its failures (RFC 8725)
ENCS: Final = ("A256GCM", "A128CBC-HS256")
_PARTS: Final = 5  # header, encrypted key, initialization vector, ciphertext, tag
_TAG_OCTETS: Final = 16  # of both: a shorter one is easier to guess
_CLASSES: Final[dict[str, Any]] = {"EC": ECKey, "RSA": RSAKey}
_UNREADABLE: Final = (JoserfcError, ValueError, TypeError, KeyError, AssertionError, UnsupportedAlgorithm)
# Our own parser has looked at the header; names that it does not know are none of ours.
_REGISTRY: Final = JWERegistry(algorithms=[*ALGS.values(), *ENCS], strict_check_header=False)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DecryptionKey:
    """A private key to which others encrypt, in one way."""

    kid: str
    alg: str
    _kind: str = field(repr=False)
    _key: Any = field(repr=False)

    @classmethod
    def read_pem(cls, pem: bytes) -> Self:
        """Read an RSA or P-256 key, checking that it is fit for this."""
        for kind, family in _CLASSES.items():
            try:
                raw = family.binding.import_from_bytes(pem)
                key = family(raw, raw)
                public = key.as_dict(private=False)
            except _UNREADABLE:
                continue
            if not key.is_private:
                raise JoseError("private key is public")
            check_numbers(kind, public)
            return cls(kid=thumbprint(kind, public), alg=ALGS[kind], _kind=kind, _key=key)
        raise JoseError("private key cannot be read")

    def public_jwk(self) -> dict[str, str]:
        """Write the public half, for whoever encrypts (RFC 7517 section 4)."""
        public = self._key.as_dict(private=False)
        members = {name: str(public[name]) for name in REQUIRED[self._kind]}
        return {"kty": self._kind, "kid": self.kid, "use": "enc", "alg": self.alg, **members}

    def open(self, token: str) -> bytes:
        """Decrypt a compact JWE; whatever fails inside fails with one word (RFC 7516 section 11.5)."""
        _check_shape(token, self.alg)
        try:
            plain = decrypt_compact(token, self._key, registry=_REGISTRY).plaintext
        except _UNREADABLE:
            plain = None
        if plain is None:
            raise JoseError("cannot be decrypted")
        return plain


def _check_shape(token: str, alg: str) -> None:
    """Refuse what has another shape than one reading, before any key is used (RFC 7516 section 5.2)."""
    if len(token) > MAX_ENCRYPTED:
        raise JoseError("encrypted token is too long")
    if not token.isascii():
        raise JoseError("token is not ASCII")
    parts = token.encode("ascii").split(b".")
    if len(parts) != _PARTS:
        raise JoseError("token is not encrypted")
    header, encrypted_key, _, _, tag = (b64decode(part) for part in parts)
    _check_header(loads(header), alg)
    if len(tag) != _TAG_OCTETS:
        raise JoseError("tag has another length")
    if alg == ALGS["EC"] and encrypted_key:  # RFC 7516 section 5.2 step 10: the agreed key is the key
        raise JoseError("encrypted key is not empty")


def _check_header(header: Mapping[str, object], alg: str) -> None:
    if header.get("alg") != alg:  # RFC 8725 section 3.1: the key says which, never the token
        raise JoseError("alg is another")
    if header.get("enc") not in ENCS:
        raise JoseError("enc is not allowed here")
    if "crit" in header:  # we understand no extension
        raise JoseError("header has crit")
    if "zip" in header:  # RFC 8725 section 3.6: lengths tell of contents, and little unfolds to much
        raise JoseError("header has zip")
    if not all(isinstance(header.get(name, ""), str) for name in ("kid", "typ", "cty", "apu", "apv")):
        raise JoseError("header is not text where it must be")
    if str(header.get("cty", "JWT")).upper().removeprefix("APPLICATION/") not in {"JWT", "JSON"}:
        raise JoseError("cty is another")
    if alg == ALGS["EC"]:
        _check_ephemeral(header.get("epk"))


def _check_ephemeral(jwk: object) -> None:
    """Refuse a key of another curve, or one that brings more than its public half (RFC 7518 section 4.6)."""
    if not isinstance(jwk, dict) or jwk.get("kty") != "EC" or not PRIVATE_MEMBERS.isdisjoint(jwk):
        raise JoseError("epk is not a public key")
    check_numbers("EC", jwk)
