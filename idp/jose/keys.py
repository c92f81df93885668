"""Keys that sign and keys that verify: one algorithm each, chosen by us and never by a token.

kid is the RFC 7638 thumbprint, so a key has the same name everywhere and two keys never share one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

from cryptography.exceptions import UnsupportedAlgorithm
from joserfc.errors import JoseError as JoserfcError
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from idp.jose.jwk import (
    ALGS,
    CURVES,
    KIND_OF,
    PRIVATE_MEMBERS,
    REQUIRED,
    RSA_BITS,
    canonical_alg,
    check_numbers,
    check_purpose,
    thumbprint,
)
from idp.jose.strict import JoseError, loads

__all__ = ["ALGS", "KeySet", "SigningKey", "UnknownKey", "VerifyingKey"]

MAX_JWKS: Final = 262_144
MAX_KEYS: Final = 500  # an hour of rotations each minute, every algorithm

_ALGS_OF: Final = {
    "EC": frozenset({"ES256"}),
    "RSA": frozenset({"RS256", "PS256"}),
    "OKP": frozenset({"EdDSA"}),
}
_CLASSES: Final[dict[str, Any]] = {"EC": ECKey, "RSA": RSAKey, "OKP": OKPKey}
# KeyError: a curve that joserfc has no name for.
_UNREADABLE: Final = (JoserfcError, ValueError, TypeError, KeyError, UnsupportedAlgorithm)
# The registry's own table: its get_alg() would warn about the name EdDSA, which OpenID clients still expect.
_MODELS: Final = {
    "ES256": JWSRegistry.algorithms["ES256"],
    "RS256": JWSRegistry.algorithms["RS256"],
    "PS256": JWSRegistry.algorithms["PS256"],
    "EdDSA": JWSRegistry.algorithms["Ed25519"],
}


class UnknownKey(JoseError):
    """No single key fits the token: the one refusal after which fetching the set again may help."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SigningKey:
    """A private key for one algorithm."""

    kid: str
    alg: str
    _key: Any = field(repr=False)

    @classmethod
    def generate(cls, alg: str) -> Self:
        """Make a new key of today's strength (P-256, RSA 2048, Ed25519)."""
        kind = KIND_OF[canonical_alg(alg)]
        key = RSAKey.generate_key(RSA_BITS) if kind == "RSA" else _CLASSES[kind].generate_key(CURVES[kind])
        return cls(
            kid=thumbprint(kind, key.as_dict(private=False)),
            alg=canonical_alg(alg),
            _key=key,
        )

    @classmethod
    def from_pem(cls, pem: bytes, *, alg: str, kid: str) -> Self:
        """Read a key that `private_pem` wrote, checking that it is fit for `alg` and really is `kid`."""
        key = cls.read_pem(pem, alg=alg)
        if key.kid != kid:
            raise JoseError("private key has another kid")
        return key

    @classmethod
    def read_pem(cls, pem: bytes, *, alg: str) -> Self:
        """Read somebody's own key, checking that it is fit for `alg`; its name follows from it."""
        kind = KIND_OF[canonical_alg(alg)]
        try:
            raw = _CLASSES[kind].binding.import_from_bytes(pem)
            key = _CLASSES[kind](raw, raw)
            public = key.as_dict(private=False)
        except _UNREADABLE:
            raise JoseError("private key cannot be read") from None
        if not key.is_private:
            raise JoseError("private key is public")
        check_numbers(kind, public)
        return cls(kid=thumbprint(kind, public), alg=canonical_alg(alg), _key=key)

    def private_pem(self) -> bytes:
        """Write the key as unencrypted PKCS#8; the caller seals it."""
        pem: bytes = self._key.as_pem(private=True)
        return pem

    def public_jwk(self) -> dict[str, str]:
        """Write the public half, and nothing of the private one (RFC 7517 section 4)."""
        kind = KIND_OF[self.alg]
        public = self._key.as_dict(private=False)
        members = {name: str(public[name]) for name in REQUIRED[kind]}
        return {"kty": kind, "kid": self.kid, "use": "sig", "alg": self.alg, **members}

    def sign(self, signing_input: bytes) -> bytes:
        """Sign bytes (RFC 7515 section 5.1)."""
        return _MODELS[self.alg].sign(signing_input, self._key)


# RFC 7518 section 3.4 for P-256, RFC 8032 section 5.1.6 for Ed25519: two numbers of 32 octets each.
_ELLIPTIC_OCTETS = 64


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VerifyingKey:
    """A public key and the algorithms it may be used with."""

    kid: str | None
    algs: frozenset[str]
    _key: Any = field(repr=False)
    _octets: int = field(repr=False)

    @classmethod
    def from_jwk(cls, jwk: Mapping[str, object]) -> Self:
        """Read one public JWK, or refuse it (RFC 7517 section 4, RFC 8725 sections 3.5 and 3.10)."""
        kind = jwk.get("kty")
        if not isinstance(kind, str) or kind not in _CLASSES:
            raise JoseError("key type is not one of ours")
        if not PRIVATE_MEMBERS.isdisjoint(jwk):
            raise JoseError("key has private members")
        kid = jwk.get("kid")
        if kid is not None and not isinstance(kid, str):
            raise JoseError("kid is not text")
        check_purpose(jwk)
        check_numbers(kind, jwk)
        algs = _ALGS_OF[kind]
        if "alg" in jwk:
            algs &= {canonical_alg(jwk["alg"])}
        if not algs:
            raise JoseError("key does not fit its alg")
        members = {name: jwk[name] for name in ("kty", *REQUIRED[kind])}
        try:  # the binding checks that the point is on the curve
            key = _CLASSES[kind].import_key(members)
        except _UNREADABLE:
            raise JoseError("key cannot be read") from None
        octets = (key.public_key.key_size + 7) // 8 if kind == "RSA" else _ELLIPTIC_OCTETS
        return cls(kid=kid, algs=algs, _key=key, _octets=octets)

    def verify(self, alg: str, signing_input: bytes, signature: bytes) -> bool:
        """Tell whether the signature is this key's (RFC 7515 section 5.2)."""
        if alg not in self.algs:
            raise JoseError("key is for another alg")
        # RFC 8017 section 8.1.2: as long as the modulus. OpenSSL takes a PSS signature without its leading zero.
        return len(signature) == self._octets and _MODELS[alg].verify(signing_input, signature, self._key)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KeySet:
    """The public keys of one issuer or one client."""

    keys: tuple[VerifyingKey, ...]
    _by_kid: Mapping[str, tuple[VerifyingKey, ...]] = field(repr=False)

    @classmethod
    def from_own(cls, jwks: Iterable[Mapping[str, object]]) -> Self:
        """Take our own keys: anything strange among them is our fault, so the whole set is refused."""
        keys = tuple(VerifyingKey.from_jwk(jwk) for jwk in jwks)
        names = [key.kid for key in keys]
        if None in names or len(set(names)) != len(names):
            raise JoseError("own keys need one kid each")
        return cls(keys=keys, _by_kid=_index(keys))

    @classmethod
    def from_remote(cls, document: bytes | Mapping[str, object]) -> Self:
        """Take someone else's JWK Set: keys we cannot use are dropped, a broken set is refused (RFC 7517 section 5)."""
        if isinstance(document, bytes):
            if len(document) > MAX_JWKS:
                raise JoseError("key set is too long")
            document = loads(document)
        listed = document.get("keys")
        if not isinstance(listed, list) or len(listed) > MAX_KEYS:
            raise JoseError("key set has no list of keys")
        keys = tuple(key for jwk in listed if (key := _usable(jwk)) is not None)
        if not keys:  # an empty set would refuse every token; whoever holds a good one keeps it
            raise JoseError("key set has no usable key")
        return cls(keys=keys, _by_kid=_index(keys))

    def without(self, kids: Collection[str]) -> Self:
        """Give the others; none may be left, and then nothing fits any token."""
        keys = tuple(key for key in self.keys if key.kid not in kids)
        return type(self)(keys=keys, _by_kid=_index(keys))

    def select(self, header: Mapping[str, object], algs: frozenset[str]) -> VerifyingKey:
        """Find the one key that fits kid and alg; the key type and curve follow from alg (RFC 8725 section 3.1)."""
        alg = canonical_alg(header.get("alg"))
        if alg not in algs:
            raise JoseError("alg is not allowed here")
        kid = header.get("kid")
        named = self.keys if kid is None else self._by_kid.get(kid, ()) if isinstance(kid, str) else ()
        fitting = [key for key in named if alg in key.algs]
        if len(fitting) != 1:
            raise UnknownKey("no single key fits the token")
        return fitting[0]


def _usable(jwk: object) -> VerifyingKey | None:
    """Drop what we cannot use; refuse the set that shows private numbers of a key pair."""
    if not isinstance(jwk, dict):
        return None
    if jwk.get("kty") != "oct" and not PRIVATE_MEMBERS.isdisjoint(jwk):
        raise JoseError("key set shows a private key")
    try:
        return VerifyingKey.from_jwk(jwk)
    except JoseError:
        return None


def _index(keys: tuple[VerifyingKey, ...]) -> dict[str, tuple[VerifyingKey, ...]]:
    index: dict[str, tuple[VerifyingKey, ...]] = {}
    for key in keys:
        if key.kid is not None:
            index[key.kid] = (*index.get(key.kid, ()), key)
    return index
