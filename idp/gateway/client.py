"""The gateway as a client of its provider: how it proves itself (RFC 7523 with a key, RFC 6749 with a secret).

Secrets and keys are in files of their own, never in gateway.toml.
"""

from __future__ import annotations

import secrets
from base64 import b64encode
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import quote_plus

from idp.gateway.config import ClientConfig
from idp.jose.keys import SigningKey
from idp.jose.sign import sign
from idp.jose.strict import JoseError

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_LIFE: Final = 120
_RENEW: Final = 60  # seconds before its end at which a bearer is signed anew
_SHORTEST_SECRET: Final = 16


class Unusable(Exception):
    """The file with the secret or key cannot be used."""

    def __init__(self, file: Path, text: str) -> None:
        super().__init__(f"{file}: {text}")


def credentials(config: ClientConfig) -> Credentials:
    """Read the file that a configuration names."""
    if config.key_file is not None:
        return Key.read(config.id, config.key_file, config.alg)
    if config.secret_file is not None:
        return Secret.read(config.id, config.secret_file)
    raise AssertionError("a client without a secret or key does not load")


class Credentials(Protocol):
    """What proves who is calling."""

    client_id: str

    def bearer(self, address: str, now: float) -> dict[str, str]:
        """Give headers for an address that is asked often."""

    def once(self, issuer: str, now: float) -> tuple[dict[str, str], dict[str, str]]:
        """Give headers and form fields for one request to an endpoint for clients."""


@dataclass(slots=True, kw_only=True)
class Secret:
    """client_secret_basic (RFC 6749 section 2.3.1)."""

    client_id: str
    secret: str = field(repr=False)

    @classmethod
    def read(cls, client_id: str, file: Path) -> Secret:
        """Read the first line of a file."""
        try:
            lines = file.read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            raise Unusable(file, "cannot be read") from None
        secret = lines[0].strip() if lines else ""
        if len(secret) < _SHORTEST_SECRET:
            raise Unusable(file, "does not hold a secret in its first line")
        return cls(client_id=client_id, secret=secret)

    def bearer(self, address: str, now: float) -> dict[str, str]:  # noqa: ARG002 - the same for every address
        """Give the Basic header."""
        pair = f"{quote_plus(self.client_id)}:{quote_plus(self.secret)}"
        return {"Authorization": "Basic " + b64encode(pair.encode()).decode("ascii")}

    def once(self, issuer: str, now: float) -> tuple[dict[str, str], dict[str, str]]:
        """Give the Basic header."""
        return self.bearer(issuer, now), {}


@dataclass(slots=True, kw_only=True)
class Key:
    """private_key_jwt (RFC 7523 section 2.2)."""

    client_id: str
    key: SigningKey = field(repr=False)
    _held: dict[str, tuple[float, str]] = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, client_id: str, file: Path, alg: str) -> Key:
        """Read a private key in PEM."""
        try:
            pem = file.read_bytes()
        except OSError:
            raise Unusable(file, "cannot be read") from None
        try:
            return cls(client_id=client_id, key=SigningKey.read_pem(pem, alg=alg))
        except JoseError as wrong:
            raise Unusable(file, f"is not a key for {alg}: {wrong.reason}") from None

    def bearer(self, address: str, now: float) -> dict[str, str]:
        """Give a bearer of our own for one address, signed anew each minute."""
        until, token = self._held.get(address, (0.0, ""))
        if now > until - _RENEW or now < until - _LIFE:
            until, token = now + _LIFE, self._assertion(address, now)
            self._held[address] = until, token
        return {"Authorization": "Bearer " + token}

    def once(self, issuer: str, now: float) -> tuple[dict[str, str], dict[str, str]]:
        """Give an assertion for one request: a second use is refused (RFC 7523 section 3)."""
        fields = {
            "client_id": self.client_id,
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": self._assertion(issuer, now),
        }
        return {}, fields

    def _assertion(self, audience: str, now: float) -> str:
        issued = int(now)
        claims = {
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": audience,
            "iat": issued,
            "exp": issued + _LIFE,
            "jti": secrets.token_urlsafe(16),
        }
        return sign(claims, self.key, typ="JWT")
