"""A statement by the gateway itself about who is calling, for servers behind that trust its key.

It needs no provider once the caller's token is verified. Signing costs microseconds, and a hot path none: one
statement serves the same token at the same route for half of its life. Its type is its own, so it passes for no
access token anywhere.
"""

from __future__ import annotations

import json
import secrets
import stat
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from idp.gateway.client import Unusable
from idp.gateway.config import AssertionConfig
from idp.gateway.exchange.model import Assertion
from idp.gateway.inbound import inbound
from idp.gateway.principal import Principal
from idp.gateway.request import Decision, Request
from idp.jose.keys import SigningKey
from idp.jose.sign import sign
from idp.jose.strict import JoseError

TYP: Final = "identity-assertion+jwt"
HEADER: Final = b"x-auth-assertion"
_MOST: Final = 8_192
_JTI_BYTES: Final = 16
# How and when the person signed in: copied, never made stronger.
_COPIED: Final = ("auth_time", "acr", "amr", "txn")
_HEADERS: Final = ((b"content-type", b"application/jwk-set+json"), (b"cache-control", b"public, max-age=300"))

Answer = tuple[int, tuple[tuple[bytes, bytes], ...], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Jwks:
    """The public keys as a document (RFC 7517 section 5), served as bytes."""

    body: bytes
    etag: bytes

    @classmethod
    def of(cls, keys: tuple[SigningKey, ...]) -> Jwks:
        """Write the document."""
        body = json.dumps({"keys": [key.public_jwk() for key in keys]}).encode("ascii")
        return cls(body=body, etag=b'"%b"' % sha256(body).hexdigest()[:16].encode("ascii"))

    def answer(self, headers: Sequence[tuple[bytes, bytes]]) -> Answer:
        """Answer a request for the keys; 304 to somebody who has them (RFC 9110 section 13.1.2)."""
        known = b",".join(value for name, value in headers if name == b"if-none-match")
        head = (*_HEADERS, (b"etag", self.etag))
        if self.etag in (each.strip().removeprefix(b"W/") for each in known.split(b",")) or known.strip() == b"*":
            return 304, head, b""
        return 200, (*head, (b"content-length", b"%d" % len(self.body))), self.body


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """The gateway's own keys: the first signs, the others are published, so that keys change without a gap."""

    issuer: str
    key: SigningKey = field(repr=False)
    jwks: Jwks

    @classmethod
    def read(cls, config: AssertionConfig) -> Signer:
        """Read the key files."""
        keys = tuple(_read(file, config.alg) for file in config.key_files)
        return cls(issuer=config.issuer, key=keys[0], jwks=Jwks.of(keys))

    def sign(self, principal: Principal, wanted: Assertion, *, txn: str, now: float) -> tuple[bytes, float]:
        """State who is calling, and until when that holds."""
        told = principal.claims
        ends = min(now + wanted.ttl, float(str(told["exp"])))
        claims: dict[str, object] = {
            "iss": self.issuer,
            "sub": principal.subject,
            "aud": wanted.audience,
            "client_id": self.issuer,
            "iat": int(now),
            "exp": int(ends),
            "jti": secrets.token_urlsafe(_JTI_BYTES),
            "txn": txn,  # the decision it was first made for, unless the token has brought one
            "scope": " ".join(sorted(principal.scopes)),
            "roles": sorted(principal.roles),
            "act": _actors(told, self.issuer),
            "parents": [{"jti": told.get("jti"), "client_id": principal.client_id}],
            **{name: told[name] for name in _COPIED if name in told},
        }
        return sign(claims, self.key, typ=TYP).encode("ascii"), ends


class AssertionStage:
    """The statement for one route."""

    seconds = 0.0  # nothing is waited for
    regardless = False

    def __init__(self, wanted: Assertion, signer: Signer) -> None:
        self._wanted = wanted
        self._signer = signer
        self._signed: OrderedDict[bytes, tuple[float, bytes]] = OrderedDict()

    def begin(self, request: Request, decision: Decision) -> None:
        """Send the statement along."""
        principal, facts = decision.principal, decision.facts
        token = inbound(request, decision)
        if token is None or principal is None or facts is None:
            return
        statement = self._statement(sha256(token).digest(), principal, decision.id, facts.now)
        decision.upstream_headers += ((HEADER, statement),)

    def end(self, decision: Decision, outcome: Any) -> None:  # noqa: ARG002 - the signature of every stage
        """Nothing is ever waited for."""
        raise AssertionError("an assertion is made at once")

    def _statement(self, key: bytes, principal: Principal, txn: str, now: float) -> bytes:
        held = self._signed.get(key)
        if held is not None and now < held[0]:
            return held[1]
        signed, ends = self._signer.sign(principal, self._wanted, txn=txn, now=now)
        self._signed[key] = (now + (ends - now) / 2, signed)
        while len(self._signed) > _MOST:
            try:
                self._signed.popitem(last=False)
            except KeyError:  # another thread was faster
                break
        return signed


def _actors(told: Mapping[str, object], issuer: str) -> dict[str, object]:
    """Put the gateway outermost and keep every earlier actor (RFC 8693 section 4.1)."""
    act: dict[str, object] = {"sub": issuer, "iss": issuer}
    return {**act, "act": told["act"]} if "act" in told else act


def _read(file: Path, alg: str) -> SigningKey:
    """Read a key that nobody else on this machine can read."""
    try:
        if file.stat().st_mode & stat.S_IROTH:
            raise Unusable(file, "can be read by everybody; chmod 0600 it, or make one with `idp gateway key`")
        pem = file.read_bytes()
    except OSError:
        raise Unusable(file, "cannot be read") from None
    try:
        return SigningKey.read_pem(pem, alg=alg)
    except JoseError as wrong:
        raise Unusable(file, f"is not a key for {alg}: {wrong.reason}") from None
