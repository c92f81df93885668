"""Sign-in at a provider that has OAuth 2.0 and an API that says who somebody is, but no ID token.

Nothing is signed here: what is believed is what the provider's own API says, over TLS, for a token that came straight
from its token endpoint for a code that this browser brought back.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Self

from idp.federation import presets
from idp.federation.code_flow import SECRETS, Clock, Common, Fresh, Slots, code_of, leave, public_keys, redeem
from idp.federation.connector import (
    Finding,
    Handshake,
    Identity,
    Kind,
    Made,
    Misconfigured,
    NotSignedIn,
    Outcome,
    Pairs,
)
from idp.federation.upstream import Line, UpstreamError, strict
from idp.federation.values import Values

__all__ = ["SECRETS", "OAuth2"]

_ADDRESSES: Final = ("authorization_endpoint", "token_endpoint", "userinfo_endpoint")
MOST_DOCUMENTS: Final = 4


@dataclass(kw_only=True, eq=False)
class OAuth2:
    """One provider. `documents` are further addresses of its API; each is put into the user info under its name."""

    name: str
    common: Common
    issuer: str | None
    authorization_endpoint: str
    token_endpoint: str
    userinfo_endpoint: str
    documents: Mapping[str, str]
    clock: Clock = time.time
    kind: Kind = Kind.OAUTH2
    _slots: Slots = field(default_factory=Slots)

    @classmethod
    def make(cls, made: Made) -> Self:
        """Make one of a configuration; nothing is reached yet."""
        values = Values(presets.apply("oauth2", made.config))
        addresses = {name: values.text(name) for name in _ADDRESSES}
        documents = {name: str(address) for name, address in values.table("documents").items()}
        common = Common.read(values, made, home=addresses["token_endpoint"], scope=(), fresh=Fresh.NEVER)
        for name, address in {**addresses, **documents}.items():
            if not common.reach.sound(address):
                raise Misconfigured(f"{name}: write the whole address, https://...")
        if len(documents) > MOST_DOCUMENTS:
            raise Misconfigured(f"documents: at most {MOST_DOCUMENTS}")
        if common.auth_method is None and common.client_secret is None and common.signing_key is None:
            raise Misconfigured("client_secret: this setting is needed, best as client_secret_file")
        connector = cls(
            name=made.name,
            common=common,
            issuer=values.maybe("issuer"),
            documents=documents,
            authorization_endpoint=addresses["authorization_endpoint"],
            token_endpoint=addresses["token_endpoint"],
            userinfo_endpoint=addresses["userinfo_endpoint"],
        )
        values.nothing_else()
        return connector

    @property
    def brand(self) -> str | None:
        """Name whose button this is."""
        return self.common.brand

    @property
    def fresh(self) -> bool:
        """Whether the operator knows that it asks people each time. OAuth 2.0 has no word for that."""
        return self.common.fresh is Fresh.BELIEVED

    def begin(
        self, redirect_uri: str, *, login_hint: str | None = None, fresh: bool = False, choose: bool = False
    ) -> Handshake:
        """Return where to send the browser."""
        return leave(
            self.common,
            self.authorization_endpoint,
            redirect_uri,
            nonce=False,
            fresh=fresh,
            choose=choose,
            login_hint=login_hint,
        )

    def finish(self, answer: Pairs, kept: Mapping[str, str], redirect_uri: str) -> Identity:
        """Return who came back, or raise NotSignedIn."""
        try:
            with self._slots.one():
                return self._finish(Line(self.common.reach), answer, kept, redirect_uri)
        except UpstreamError as wrong:
            raise NotSignedIn(Outcome.UNAVAILABLE, wrong.code) from None

    def examine(self, sample: str | None) -> Iterator[Finding]:
        """See whether its token endpoint can be reached; more needs somebody to sign in."""
        line = Line(self.common.reach)
        try:
            line.session().request("GET", self.token_endpoint, withhold_token=True)
        except UpstreamError as wrong:
            yield Finding(step="reach", passed=False, words=f"{self.token_endpoint}: {wrong.code}")
            return
        yield Finding(step="reach", passed=True, words=f"{self.token_endpoint} answers, by TLS that we trust")
        if sample is not None:
            yield Finding(step="person", passed=True, words="only a sign-in shows who somebody is there")

    def public_keys(self) -> list[dict[str, str]]:
        """Return what the provider needs to believe that it is us."""
        return public_keys(self.common)

    def close(self) -> None:
        """Give up nothing: no connection is kept."""

    def _finish(self, line: Line, answer: Pairs, kept: Mapping[str, str], redirect_uri: str) -> Identity:
        code = code_of(answer, kept, redirect_uri, issuer=self.issuer, says_iss=False)
        common = self.common
        method = common.auth_method or ("private_key_jwt" if common.signing_key else "client_secret_basic")
        tokens = redeem(common, line, self.token_endpoint, code, kept, method=method, now=self.clock())
        access_token, token_type = tokens.get("access_token"), tokens.get("token_type", "bearer")
        if not isinstance(access_token, str) or str(token_type).lower() != "bearer":
            raise UpstreamError("token endpoint gave no access token")
        about = line.get_object(self.userinfo_endpoint, token=access_token)
        for name, address in self.documents.items():
            # Lists are as good as objects here; our parser reads objects.
            body = line.get(address, token=access_token)
            about[name] = strict(b'{"it":' + body + b"}").get("it")
        external_id = common.claims.subject_of(about)
        if external_id is None:
            raise NotSignedIn(Outcome.UNTRUSTED, "the user info names nobody")
        who = common.claims.identity(self.name, external_id, [about])
        return replace(who, proved_ago=0.0 if self.fresh else None)
