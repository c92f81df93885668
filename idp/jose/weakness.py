"""Which public numbers are too weak to trust (RFC 7518 section 3.3, RFC 8725 section 3.5)."""

from __future__ import annotations

from typing import Final

from idp.jose.strict import JoseError

MIN_RSA_BITS: Final = 2048
MAX_RSA_BITS: Final = 8192  # a longer modulus only buys the sender our CPU time
_MIN_EXPONENT: Final = 65_537  # FIPS 186-5: above 2**16
_MAX_EXPONENT_BITS: Final = 64

# ROCA (CVE-2017-15361): primes k*M + 65537**a mod M leave n in the subgroup of 65537 modulo every small prime.
_ROCA_PRIMES: Final = (
    11,
    13,
    17,
    19,
    37,
    53,
    61,
    71,
    73,
    79,
    97,
    103,
    107,
    109,
    127,
    151,
    157,
)
_ROCA_SUBGROUPS: Final = tuple((p, frozenset(pow(65_537, i, p) for i in range(p))) for p in _ROCA_PRIMES)


def check_rsa(modulus: int, exponent: int) -> None:
    """Refuse a short, even, oversized or ROCA modulus and an exponent that signs nothing."""
    if not MIN_RSA_BITS <= modulus.bit_length() <= MAX_RSA_BITS:
        raise JoseError("RSA modulus has a refused length")
    if modulus % 2 == 0 or exponent % 2 == 0:
        raise JoseError("RSA numbers are even")
    if exponent < _MIN_EXPONENT or exponent.bit_length() > _MAX_EXPONENT_BITS:
        raise JoseError("RSA exponent is refused")
    if all(modulus % prime in subgroup for prime, subgroup in _ROCA_SUBGROUPS):
        raise JoseError("RSA modulus has the ROCA weakness")
