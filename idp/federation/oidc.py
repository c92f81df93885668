"""Sign-in at an OpenID Provider: code flow with PKCE, an ID token that our own strict parser believes, user info.

OpenID Connect Core sections 3.1 and 5.3. The issuer is what the operator wrote, byte for byte: neither a document
nor an answer can make it another (FD16).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Self, TypeVar

from idp.federation import code_flow, envelope, id_token, presets
from idp.federation.client_proof import method_of
from idp.federation.code_flow import Clock, Common, Fresh, Slots, code_of, leave, redeem
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
from idp.federation.envelope import Envelope
from idp.federation.id_token import Expected, Over
from idp.federation.metadata import DISCOVERY, Kept, Metadata, keys_at
from idp.federation.trust import Trust
from idp.federation.upstream import Line, UpstreamError
from idp.federation.values import Values
from idp.jose.keys import ALGS, KeySet, UnknownKey
from idp.jose.strict import JoseError

__all__ = ["SECRETS", "Oidc"]

T = TypeVar("T")

SECRETS: Final = code_flow.SECRETS | {envelope.SECRET}
_SCOPE: Final = ("openid", "email", "profile")
_FRESH_WITHIN: Final = 60.0  # auth_time may lie so long before we sent the browser away


@dataclass(kw_only=True, eq=False)
class Oidc:
    """One OpenID Provider. What it holds is what it has fetched: its metadata and its keys."""

    name: str
    common: Common
    issuer: str
    trust: Trust
    expected: Expected
    envelope: Envelope
    use_userinfo: bool
    signs_out: bool
    clock: Clock = time.time
    kind: Kind = Kind.OIDC
    _slots: Slots = field(default_factory=Slots)

    def __post_init__(self) -> None:
        """Prepare what is kept of the provider."""
        self._metadata = Kept(self._discover)
        self._keys = Kept(self._fetch_keys)

    @classmethod
    def make(cls, made: Made) -> Self:
        """Make one of a configuration; nothing is reached yet."""
        values = Values(presets.apply("oidc", made.config))
        issuer = values.text("issuer")
        common = Common.read(values, made, home=issuer, scope=_SCOPE, fresh=Fresh.PROVED)
        if not common.reach.sound(issuer) or "?" in issuer:
            raise Misconfigured("issuer: write the whole address, https://...")
        if "openid" not in common.scope:
            raise Misconfigured("scope: openid must be among them")
        algs = frozenset(values.texts("algs", ALGS))
        if not algs or not algs <= set(ALGS):
            raise Misconfigured(f"algs: choose among {', '.join(ALGS)}")
        expected = Expected(
            issuer=issuer,
            client_id=common.client_id,
            also_audiences=frozenset(values.texts("also_audiences", ())),
            algs=algs,
        )
        connector = cls(
            name=made.name,
            common=common,
            issuer=issuer,
            trust=Trust.read(values),
            expected=expected,
            envelope=Envelope.read(values, made),
            use_userinfo=values.flag("userinfo", default=True),
            signs_out=values.flag("sign_out_there", default=False),
        )
        values.nothing_else()
        return connector

    @property
    def brand(self) -> str | None:
        """Name whose button this is."""
        return self.common.brand

    @property
    def fresh(self) -> bool:
        """Whether it can be asked for a sign-in of now."""
        return self.common.fresh is not Fresh.NEVER

    def begin(
        self, redirect_uri: str, *, login_hint: str | None = None, fresh: bool = False, choose: bool = False
    ) -> Handshake:
        """Return where to send the browser (OpenID Connect Core section 3.1.2.1)."""
        try:
            with self._slots.one():
                there = self._metadata.get(Line(self.common.reach))
        except UpstreamError as wrong:
            raise NotSignedIn(Outcome.UNAVAILABLE, wrong.code) from None
        handshake = leave(
            self.common,
            there.authorization_endpoint,
            redirect_uri,
            nonce=True,
            fresh=fresh,
            choose=choose,
            login_hint=login_hint,
        )
        since = {"fresh_since": str(int(self.clock()))} if fresh else {}
        return Handshake(url=handshake.url, kept={**handshake.kept, **since})

    def finish(self, answer: Pairs, kept: Mapping[str, str], redirect_uri: str) -> Identity:
        """Return who came back, or raise NotSignedIn."""
        try:
            with self._slots.one():
                return self._finish(Line(self.common.reach), answer, kept, redirect_uri)
        except UpstreamError as wrong:
            raise NotSignedIn(Outcome.UNAVAILABLE, wrong.code) from None
        except JoseError as wrong:
            raise NotSignedIn(Outcome.UNTRUSTED, wrong.reason) from None

    def signed_out(self, token: str) -> Over:
        """Return what a logout token of this provider ends, or raise NotSignedIn."""
        try:
            with self._slots.one():
                line = Line(self.common.reach)
                inner = self.envelope.token(token)
                return self._believing(
                    line, lambda keys: id_token.check_logout(inner, keys, self.expected, now=self.clock())
                )
        except UpstreamError as wrong:
            raise NotSignedIn(Outcome.UNAVAILABLE, wrong.code) from None
        except JoseError as wrong:
            raise NotSignedIn(Outcome.UNTRUSTED, wrong.reason) from None

    def sign_out_at(self) -> str | None:
        """Return where people sign out over there, if the operator wants that and the provider says where."""
        if not self.signs_out:
            return None
        try:
            return self._metadata.get(Line(self.common.reach)).end_session_endpoint
        except UpstreamError:
            return None

    def examine(self, sample: str | None) -> Iterator[Finding]:
        """Walk every step that needs nobody to sign in."""
        line = Line(self.common.reach)
        try:
            there = self._discover(line)
        except UpstreamError as wrong:
            yield Finding(step="discovery", passed=False, words=f"{self.issuer}{DISCOVERY}: {wrong.code}")
            return
        yield Finding(step="discovery", passed=True, words=f"{self.issuer} says who it is and where it answers")
        try:
            keys = keys_at(line, there.jwks_uri)
        except UpstreamError as wrong:
            yield Finding(step="keys", passed=False, words=f"{there.jwks_uri}: {wrong.code}")
            return
        usable = [key for key in keys.keys if key.algs & self.expected.algs]
        yield Finding(step="keys", passed=bool(usable), words=f"{len(usable)} keys that we can use")
        method = method_of(self.common, there.auth_methods)
        offered = not there.auth_methods or method in there.auth_methods or method == "apple"
        words = f"{method}, which the provider offers" if offered else f"the provider does not offer {method}"
        yield Finding(step="client", passed=offered, words=words)
        yield from self.envelope.examine(there.encrypts)
        if sample is not None:
            yield Finding(step="person", passed=True, words="only a sign-in shows who somebody is there")

    def public_keys(self) -> list[dict[str, str]]:
        """Return what the provider needs to believe us and to encrypt to us."""
        return [*code_flow.public_keys(self.common), *(key.public_jwk() for key in self.envelope.keys)]

    def close(self) -> None:
        """Give up nothing: no connection is kept."""

    def _finish(self, line: Line, answer: Pairs, kept: Mapping[str, str], redirect_uri: str) -> Identity:
        there = self._metadata.get(line)
        code = code_of(answer, kept, redirect_uri, issuer=self.issuer, says_iss=there.says_iss)
        now = self.clock()
        method = method_of(self.common, there.auth_methods)
        tokens = redeem(self.common, line, there.token_endpoint, code, kept, method=method, now=now)
        raw, access_token = tokens.get("id_token"), tokens.get("access_token")
        if not isinstance(raw, str) or not isinstance(access_token, str):
            raise UpstreamError("token endpoint gave no ID token")
        inner = self.envelope.token(raw)
        claims = self._believing(
            line,
            lambda keys: id_token.check(
                inner, keys, self.expected, nonce=kept.get("nonce", ""), access_token=access_token, now=now
            ),
        )
        proved_ago = self._proved_ago(claims, kept, now)
        documents = [claims]
        if self.use_userinfo and there.userinfo_endpoint is not None:
            documents.insert(0, self._userinfo(line, there.userinfo_endpoint, access_token, claims))
        level, methods = self.trust.of(claims)
        external_id = self.common.claims.subject_of(claims)
        if external_id is None:
            raise JoseError("the claim that is the subject is absent")
        sid = claims.get("sid")
        who = self.common.claims.identity(self.name, external_id, documents, acr=level, amr=methods)
        return replace(who, session=sid if isinstance(sid, str) else None, proved_ago=proved_ago)

    def _believing(self, line: Line, look: Callable[[KeySet], T]) -> T:
        """Look with the keys we have; a key nobody knows may be new, so fetch once more."""
        try:
            return look(self._keys.get(line))
        except UnknownKey:
            newer = self._keys.newer(line)
            if newer is None:
                raise
            return look(newer)

    def _userinfo(
        self, line: Line, endpoint: str, access_token: str, claims: Mapping[str, object]
    ) -> dict[str, object]:
        if self.envelope.plain_userinfo:
            found = line.get_object(endpoint, token=access_token)
        else:
            body = self.envelope.userinfo(line.get(endpoint, token=access_token, accept="application/jwt"))
            found = self._believing(
                line, lambda keys: self.envelope.believed(body, keys, self.expected, now=self.clock())
            )
        if found.get("sub") != claims["sub"]:  # OpenID Connect Core section 5.3.2
            raise JoseError("userinfo is about somebody else")
        return found

    def _proved_ago(self, claims: Mapping[str, object], kept: Mapping[str, str], now: float) -> float | None:
        """Return how long ago this person signed in there, or refuse one of before where one of now was asked for.

        OpenID Connect Core section 2: whoever is asked with max_age says it.
        """
        since, said = kept.get("fresh_since"), claims.get("auth_time")
        if self.common.fresh is Fresh.BELIEVED:
            return 0.0
        if said is None and since is None:
            return None
        if not isinstance(said, int | float) or isinstance(said, bool) or not 0 < said <= now + _FRESH_WITHIN:
            raise JoseError("auth_time is none")
        if since is not None and said < int(since) - _FRESH_WITHIN:
            raise JoseError("auth_time is of before")
        return max(now - said, 0.0)

    def _discover(self, line: Line) -> Metadata:
        document = line.get_object(self.issuer.rstrip("/") + DISCOVERY)
        return Metadata.parse(document, self.issuer, self.common.reach)

    def _fetch_keys(self, line: Line) -> KeySet:
        return keys_at(line, self._metadata.get(line).jwks_uri)
