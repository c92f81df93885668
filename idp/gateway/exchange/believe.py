"""An exchanged token before it is used: it must be what was asked for, and no more than what was brought."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from idp.gateway.config import IssuerConfig
from idp.gateway.exchange.model import Exchange
from idp.gateway.exchange.outcome import Failed, Issued, Outcome
from idp.gateway.jwks import KeySource
from idp.gateway.newer_keys import read_with
from idp.gateway.revocation.marks import marks_of
from idp.jose.access_token import verify_access_token
from idp.jose.keys import KeySet, UnknownKey
from idp.jose.strict import JoseError, split
from idp.jose.verify import audience_list

ACCESS_TOKEN: Final = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - a token type


@dataclass(frozen=True, slots=True, kw_only=True)
class Inbound:
    """The caller's token, verified, and what of it counts for an exchange. Never printed."""

    token: bytes = field(repr=False)
    subject: str = field(repr=False)
    scopes: frozenset[str]
    ends: float
    bound: bool = False  # to a key or a certificate of its holder


class Believer:
    """Checks what one issuer issues to this gateway."""

    def __init__(self, config: IssuerConfig, source: KeySource, client_id: str, *, jkt: str) -> None:
        self._config = config
        self._jkt = jkt  # of the gateway's own key
        self._source = source
        self._client_id = client_id

    def believe(self, said: Mapping[str, object], inbound: Inbound, wanted: Exchange, now: float) -> Outcome:
        """Read a successful answer (RFC 8693 section 2.2.1) with the eyes of somebody who did not ask for it."""
        try:
            token = _token(said, inbound)
            claims = self._verified(token, wanted, now)
        except UnknownKey:
            return Failed(kind="away", reason="the key of the token is not here yet")
        except JoseError as wrong:
            return _unlike(wrong.reason)
        fault = self._fault(claims, inbound, wanted)
        if fault:
            return _unlike(fault)
        marks = marks_of(claims, str(split(token).header.get("kid", "")))
        return Issued(token=token.encode("ascii"), ends=float(str(claims["exp"])), marks=marks, bound=inbound.bound)

    def _verified(self, token: str, wanted: Exchange, now: float) -> Mapping[str, object]:
        def read(keys: KeySet) -> Mapping[str, object]:
            return verify_access_token(
                token,
                keys,
                issuer=self._config.issuer,
                audiences=frozenset({wanted.audience}),
                algs=self._config.algs,
                now=now,
                leeway=self._config.leeway,
            )

        return read_with(self._source, read)

    def _fault(self, claims: Mapping[str, object], inbound: Inbound, wanted: Exchange) -> str:
        """Name what makes it more, or something else, than what was asked for."""
        act = claims.get("act")
        acts = isinstance(act, dict) and act.get("sub") == self._client_id  # RFC 8693 section 4.1: the outermost alone
        faults = (
            (audience_list(claims) != (wanted.audience,), "the token is for others too"),
            (claims["sub"] != inbound.subject, "the token is about somebody else"),
            (claims["client_id"] != self._client_id, "the token is another client's"),
            (float(str(claims["exp"])) > inbound.ends, "the token outlives the one it came from"),
            (not _scopes(claims) <= (wanted.scopes or inbound.scopes), "the token has more scopes"),
            (wanted.mode == "refuse" and not wanted.scopes <= _scopes(claims), "the token has fewer scopes"),
            # RFC 9700 section 4.10: bound stays bound, to whoever asked; and a bearer's token to nobody.
            (claims.get("cnf") != ({"jkt": self._jkt} if inbound.bound else None), "the token is bound to another key"),
            (wanted.actor == "gateway" and not acts, "the token does not name the gateway as actor"),
            (wanted.actor == "none" and acts, "the token names the gateway as actor"),
        )
        return next((text for wrong, text in faults if wrong), "")


def _token(said: Mapping[str, object], inbound: Inbound) -> str:
    """Take the token out of the answer."""
    token = said.get("access_token")
    if not isinstance(token, str) or said.get("issued_token_type") != ACCESS_TOKEN:
        raise JoseError("no access token came")
    if str(said.get("token_type")).lower() != ("dpop" if inbound.bound else "bearer"):
        raise JoseError("the token is of another kind")
    if token.encode("utf-8", "replace") == inbound.token:
        raise JoseError("the token came back unchanged")
    return token


def _scopes(claims: Mapping[str, object]) -> frozenset[str]:
    return frozenset(str(claims.get("scope", "")).split())


def _unlike(reason: str) -> Failed:
    return Failed(kind="misconfigured", reason=reason)
