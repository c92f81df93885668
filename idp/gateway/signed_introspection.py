"""Asking an issuer what a reference means, with a signed answer (RFC 7662, RFC 9701)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from threading import local
from typing import Final
from urllib.parse import urlencode

from idp.gateway.call import Said, Stale
from idp.gateway.client import Credentials
from idp.gateway.config import IssuerConfig
from idp.gateway.exchange.client import Sends
from idp.gateway.fetch import FetchError
from idp.gateway.jwks import KeySource
from idp.gateway.newer_keys import read_with
from idp.jose.keys import ALGS, KeySet
from idp.jose.strict import JoseError
from idp.jose.verify import audience_list, check_audience, check_issuer, check_times, verify

SIGNED: Final = "application/token-introspection+jwt"
_TYP: Final = frozenset({"token-introspection+jwt"})
_ALGS: Final = frozenset(ALGS)  # `algs` of an issuer is about access tokens; this it signs as it does ID tokens
_FORM: Final = "application/x-www-form-urlencoded"
_OK: Final = 200
_TROUBLE: Final = 500
_TEXT: Final = ("sub", "client_id", "jti")
_KINDS: Final = frozenset({"bearer", "dpop"})
_OLDEST: Final = 60.0  # seconds since an answer was signed


class IntrospectionEndpoint:
    """The introspection endpoint of one issuer."""

    def __init__(
        self,
        config: IssuerConfig,
        source: KeySource,
        credentials: Credentials,
        *,
        address: Callable[[], str],
        forget: Callable[[], None],
        sender: Callable[[], Sends],
        wall: Callable[[], float],
    ) -> None:
        self._config = config
        self._source = source
        self._credentials = credentials
        self._address = address
        self._forget = forget
        self._sender = sender
        self._senders = local()
        self._wall = wall

    def state(self, token: bytes) -> Mapping[str, object] | None:
        """Ask, and believe only what is signed for us (RFC 9701 section 5). None: the token counts no longer."""
        try:
            said = self._said(token)
        except FetchError:
            self._forget()  # the address itself may be what has changed
            raise
        if said.status != _OK:
            raise FetchError("issuer refuses the gateway" if said.status < _TROUBLE else "issuer has trouble")
        text = said.body.decode("latin-1").strip()
        claims = read_with(self._source, lambda keys: self._signed(text, keys))
        state = claims.get("token_introspection")
        if not isinstance(state, dict) or not isinstance(state.get("active"), bool):
            raise JoseError("the answer says nothing of the token")
        return self._checked(state) if state["active"] else None

    def _signed(self, text: str, keys: KeySet) -> Mapping[str, object]:
        claims = verify(text, keys, typ=_TYP, algs=_ALGS).claims
        now = self._wall()
        check_issuer(claims, self._config.issuer)
        check_audience(claims, self._credentials.client_id, exactly_one=True)
        check_times(claims, now, leeway=self._config.leeway, require_exp=False)
        issued = claims.get("iat")
        if not isinstance(issued, int | float) or now - issued > _OLDEST + self._config.leeway:
            raise JoseError("the answer is an old one")
        return claims

    def _checked(self, state: Mapping[str, object]) -> Mapping[str, object]:
        """Ask of the content what is asked of a JWT (RFC 9068 section 2.2)."""
        check_issuer(state, self._config.issuer)
        check_times(state, self._wall(), leeway=self._config.leeway)
        audience_list(state)
        if str(state.get("token_type")).lower() not in _KINDS:
            raise JoseError("the token is no access token")
        if not all(isinstance(state.get(name), str) for name in _TEXT) or "iat" not in state:
            raise JoseError("a required claim is missing")
        if not isinstance(state.get("scope", ""), str):
            raise JoseError("scope is not text")
        return state

    def _said(self, token: bytes) -> Said:
        if not hasattr(self._senders, "sends"):
            self._senders.sends = self._sender()
        sends: Sends = self._senders.sends
        try:
            return self._asked(sends, token)
        except Stale:  # with a new assertion: the first one may have been heard
            return self._asked(sends, token)

    def _asked(self, sends: Sends, token: bytes) -> Said:
        headers, proof = self._credentials.once(self._config.issuer, self._wall())
        form = {"token": token.decode("ascii"), "token_type_hint": "access_token", **proof}
        told = {"Content-Type": _FORM, "Accept": SIGNED, **headers}
        return sends.send(self._address(), urlencode(form).encode("ascii"), told)
