"""A workshop that makes any token, right or wrong, with raw cryptography and never with our own signer."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

NOW = 1_800_000_000
ISSUER = "https://idp.example"
AUDIENCE = "https://orders.example"
ALL = frozenset({"ES256", "RS256", "EdDSA", "PS256"})
AT = frozenset({"at+jwt"})

CLAIMS: dict[str, object] = {
    "iss": ISSUER,
    "aud": AUDIENCE,
    "sub": "alice",
    "client_id": "web-app",
    "jti": "one",
    "scope": "orders:read",
    "iat": NOW - 10,
    "exp": NOW + 600,
}


def b64(value: bytes) -> str:
    return urlsafe_b64encode(value).rstrip(b"=").decode("ascii")


def number(value: int, length: int | None = None) -> str:
    return b64(value.to_bytes(length or (value.bit_length() + 7) // 8))


def segment(value: Any) -> str:
    """Bytes go in as they are, anything else as JSON."""
    return b64(value if isinstance(value, bytes) else json.dumps(value).encode())


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    ec: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    rsa: rsa.RSAPrivateKey = field(default_factory=lambda: rsa.generate_private_key(65_537, 2048))
    ed: ed25519.Ed25519PrivateKey = field(default_factory=ed25519.Ed25519PrivateKey.generate)

    def jwk(self, alg: str, /, **members: object) -> dict[str, object]:
        """The public JWK for an algorithm; its kid is the algorithm's name."""
        return {**self._numbers(alg), "kid": alg, "use": "sig", "alg": alg, **members}

    def jwks(self) -> list[dict[str, object]]:
        return [self.jwk(alg) for alg in ("ES256", "RS256", "EdDSA", "PS256")]

    def signature(self, alg: str, signing_input: bytes) -> bytes:
        if alg == "ES256":
            r, s = decode_dss_signature(self.ec.sign(signing_input, ec.ECDSA(hashes.SHA256())))
            return r.to_bytes(32) + s.to_bytes(32)
        if alg == "RS256":
            return self.rsa.sign(signing_input, padding.PKCS1v15(), hashes.SHA256())
        if alg == "PS256":
            pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
            return self.rsa.sign(signing_input, pss, hashes.SHA256())
        return self.ed.sign(signing_input)

    def token(self, header: Any = None, claims: Any = None, *, alg: str = "ES256") -> str:
        """A token really signed with `alg`, whatever its header and claims say."""
        header = {"alg": alg, "typ": "at+jwt", "kid": alg} if header is None else header
        signing_input = f"{segment(header)}.{segment(CLAIMS if claims is None else claims)}"
        return f"{signing_input}.{b64(self.signature(alg, signing_input.encode()))}"

    def with_header(self, *, alg: str = "ES256", **members: object) -> str:
        return self.token({"alg": alg, "typ": "at+jwt", "kid": alg, **members}, alg=alg)

    def with_claims(self, **members: object) -> str:
        """Standard claims changed; None takes one away."""
        changed = {**CLAIMS, **members}
        return self.token(claims={name: value for name, value in changed.items() if value is not None})

    def _numbers(self, alg: str) -> dict[str, object]:
        if alg == "ES256":
            point = self.ec.public_key().public_numbers()
            return {"kty": "EC", "crv": "P-256", "x": number(point.x, 32), "y": number(point.y, 32)}
        if alg == "EdDSA":
            return {"kty": "OKP", "crv": "Ed25519", "x": b64(self.ed.public_key().public_bytes_raw())}
        public = self.rsa.public_key().public_numbers()
        return {"kty": "RSA", "n": number(public.n), "e": number(public.e)}
