"""Answers that come encrypted to us, signed, or both, as the operator has agreed with the provider.

OpenID Connect Core sections 3.1.3.7 point 1, 5.3.2 and 10.2. What was agreed to come in an envelope is not believed
without one: whoever stands between us could have taken it off.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Self

from idp.federation.connector import Finding, Made, Misconfigured
from idp.federation.id_token import TYPES, Expected, check_addressee
from idp.federation.values import Values
from idp.jose.encrypted import DecryptionKey
from idp.jose.keys import KeySet
from idp.jose.strict import JoseError, loads
from idp.jose.verify import check_times, verify

SECRET: Final = "decryption_key"  # noqa: S105 - a name
ID_TOKEN, USERINFO = "id_token", "userinfo"
MOST_KEYS: Final = 4  # each is tried for what the first does not open
_PEM: Final = re.compile(r"-----BEGIN [A-Z ]+-----.*?-----END [A-Z ]+-----", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """What comes how. `keys` open what is encrypted: the one that is in use, and those before it."""

    encrypted: frozenset[str]
    keys: tuple[DecryptionKey, ...]
    signed_userinfo: bool

    @classmethod
    def read(cls, values: Values, made: Made) -> Self:
        """Read what was agreed."""
        encrypted = frozenset(values.texts("encrypted", ()))
        signed = values.flag("signed_userinfo", default=False)
        pem = made.secrets.get(SECRET)
        if not encrypted <= {ID_TOKEN, USERINFO}:
            raise Misconfigured(f"encrypted: choose among {ID_TOKEN}, {USERINFO}")
        if (pem is None) == bool(encrypted):
            raise Misconfigured("encrypted: it goes together with decryption_key, best as decryption_key_file")
        if pem is None:
            return cls(encrypted=encrypted, keys=(), signed_userinfo=signed)
        return cls(encrypted=encrypted, keys=_keys(pem, made), signed_userinfo=signed)

    @property
    def plain_userinfo(self) -> bool:
        """Say whether user info comes as JSON."""
        return USERINFO not in self.encrypted and not self.signed_userinfo

    def examine(self, offered: Mapping[str, frozenset[str]]) -> Iterator[Finding]:
        """Say whether the provider can do what was agreed, as far as it tells."""
        for name in sorted(self.encrypted):
            key, among = self.keys[0], offered.get(name, frozenset())
            said = "which the provider offers" if key.alg in among else "which the provider does not offer"
            words = (
                f"{name} by {key.alg} to our key {key.kid}, {said if among else 'of which the provider says nothing'}"
            )
            yield Finding(step="encryption", passed=not among or key.alg in among, words=words)

    def token(self, raw: str) -> str:
        """Take an ID token or a logout token out of its envelope."""
        return _text(self._open(raw)) if ID_TOKEN in self.encrypted else raw

    def userinfo(self, body: bytes) -> bytes:
        """Take user info out of its envelope; what is signed is still to be checked."""
        return self._open(_text(body).strip()) if USERINFO in self.encrypted else body

    def believed(self, body: bytes, keys: KeySet, expected: Expected, *, now: float) -> dict[str, object]:
        """Return the claims of user info, signed or not (Core section 5.3.2: signed ones name their issuer and us)."""
        if not self.signed_userinfo:
            return loads(body)
        claims = verify(_text(body).strip(), keys, typ=TYPES, algs=expected.algs, foreign=True).claims
        check_addressee(claims, expected)
        check_times(claims, now, require_exp=False)
        return claims

    def _open(self, sealed: str) -> bytes:
        """Try each key: which one was used a token need not say, and what it says nobody has signed."""
        first: JoseError | None = None
        for key in self.keys:
            try:
                return key.open(sealed)
            except JoseError as wrong:
                first = first or wrong
        raise first or JoseError("cannot be decrypted")


def _keys(text: str, made: Made) -> tuple[DecryptionKey, ...]:
    """Read one key or several, the one in use first."""
    pems = _PEM.findall(text) or [text]
    if len(pems) > MOST_KEYS:
        raise Misconfigured(f"decryption_key: at most {MOST_KEYS} keys")
    # One key, one use (NIST SP 800-57 part 1 section 5.2).
    if made.secrets.get("private_key", "").strip() in pems:
        raise Misconfigured("decryption_key: take another key than private_key")
    try:
        return tuple(DecryptionKey.read_pem(pem.encode()) for pem in pems)
    except JoseError:
        raise Misconfigured("decryption_key: this is no private key of RSA (2048 bits or more) or P-256") from None


def _text(body: bytes) -> str:
    try:
        return body.decode("ascii")
    except UnicodeDecodeError:
        raise JoseError("token is not ASCII") from None
