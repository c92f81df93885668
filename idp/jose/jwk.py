"""What a public JWK of ours may look like (RFC 7517 section 4, RFC 7518 section 6, RFC 8725 section 3.5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from joserfc.jwk import thumbprint as joserfc_thumbprint

from idp.jose.strict import JoseError, b64decode

ALGS: Final = ("ES256", "RS256", "EdDSA", "PS256")
KIND_OF: Final = {"ES256": "EC", "RS256": "RSA", "PS256": "RSA", "EdDSA": "OKP"}
CURVES: Final = {"EC": "P-256", "OKP": "Ed25519"}
REQUIRED: Final = {"EC": ("crv", "x", "y"), "RSA": ("n", "e"), "OKP": ("crv", "x")}
PRIVATE_MEMBERS: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
RSA_BITS: Final = 2048

_MAX_RSA_BITS: Final = 8192  # a longer modulus only buys the sender our CPU time
_MIN_EXPONENT: Final = 65_537  # FIPS 186-5: above 2**16
_MAX_EXPONENT_BITS: Final = 64
_COORDINATE_BYTES: Final = 32

# Ed25519 keys of small order (RFC 8032 section 5.1): with one of these a signature fits any message.
_ED25519_PRIME: Final = 2**255 - 19
_ORDER_8: Final = tuple(
    int.from_bytes(bytes.fromhex(text), "little")
    for text in (
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    )
)
_SMALL_ORDER: Final = frozenset({0, 1, _ED25519_PRIME - 1, *_ORDER_8})

# ROCA (CVE-2017-15361): primes k*M + 65537**a mod M leave n in the subgroup of 65537 modulo every small prime.
_ROCA_PRIMES: Final = (11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157)
_ROCA_SUBGROUPS: Final = tuple((p, frozenset(pow(65_537, i, p) for i in range(p))) for p in _ROCA_PRIMES)


def canonical_alg(name: object) -> str:
    """Give the one name of an algorithm we use; `Ed25519` is `EdDSA` here (RFC 9864 section 2.2)."""
    if name == "Ed25519":
        return "EdDSA"
    if not isinstance(name, str) or name not in ALGS:
        raise JoseError("alg is not one of ours")
    return name


def check_purpose(jwk: Mapping[str, object]) -> None:
    """Refuse a key that is for something else (RFC 7517 sections 4.2 and 4.3)."""
    if jwk.get("use", "sig") != "sig":
        raise JoseError("key is not for signatures")
    operations = jwk.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        raise JoseError("key is not for verification")


def check_numbers(kind: str, jwk: Mapping[str, object]) -> None:
    """Refuse numbers that are spelt loosely, of the wrong size, or weak (RFC 7518 section 6)."""
    if jwk.get("crv") != CURVES.get(kind, jwk.get("crv")):
        raise JoseError("key curve is not one of ours")
    raw = {name: _number(jwk.get(name)) for name in REQUIRED[kind] if name != "crv"}
    if kind == "RSA":
        _check_rsa(int.from_bytes(raw["n"]), int.from_bytes(raw["e"]))
    elif any(len(number) != _COORDINATE_BYTES for number in raw.values()):
        raise JoseError("key coordinate has the wrong length")
    elif kind == "OKP":
        _check_ed25519(raw["x"])


def thumbprint(kind: str, jwk: Mapping[str, object]) -> str:
    """Name a key by its required members (RFC 7638 section 3)."""
    return joserfc_thumbprint({"kty": kind, **{name: str(jwk[name]) for name in REQUIRED[kind]}})


def _check_rsa(modulus: int, exponent: int) -> None:
    """Refuse a short, even, oversized or ROCA modulus and an exponent that signs nothing."""
    if not RSA_BITS <= modulus.bit_length() <= _MAX_RSA_BITS:
        raise JoseError("RSA modulus has a refused length")
    if modulus % 2 == 0 or exponent % 2 == 0:
        raise JoseError("RSA numbers are even")
    if exponent < _MIN_EXPONENT or exponent.bit_length() > _MAX_EXPONENT_BITS:
        raise JoseError("RSA exponent is refused")
    if all(modulus % prime in subgroup for prime, subgroup in _ROCA_SUBGROUPS):
        raise JoseError("RSA modulus has the ROCA weakness")


def _check_ed25519(raw: bytes) -> None:
    """Refuse a point of small order, and a second spelling of any point."""
    y = int.from_bytes(raw, "little") & (2**255 - 1)  # the top bit is the sign of the other coordinate
    if y >= _ED25519_PRIME or y in _SMALL_ORDER:
        raise JoseError("Ed25519 key is weak")


def _number(value: object) -> bytes:
    if not isinstance(value, str) or not value.isascii():
        raise JoseError("key number is not text")
    return b64decode(value.encode("ascii"))
