"""One exchange: one question to the token endpoint, and its answer read (RFC 8693 section 2)."""

from __future__ import annotations

from collections.abc import Callable
from threading import local
from typing import Final, Protocol
from urllib.parse import urlencode

from idp.gateway.call import Said, Stale
from idp.gateway.client import Credentials
from idp.gateway.exchange.believe import ACCESS_TOKEN, Believer, Inbound
from idp.gateway.exchange.model import Exchange
from idp.gateway.exchange.outcome import Failed, Outcome, of_error
from idp.gateway.fetch import FetchError
from idp.jose.keys import SigningKey
from idp.jose.prove import prove
from idp.jose.strict import JoseError, loads

GRANT_TYPE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
_FORM: Final = "application/x-www-form-urlencoded"
_OK: Final = 200
_BAD: Final = 400


class Sends(Protocol):
    """One way to ask, for one thread."""

    def send(self, url: str, body: bytes, headers: dict[str, str]) -> Said:
        """Send a body once and give whatever is answered."""


class TokenEndpoint:
    """The token endpoint of one issuer."""

    def __init__(
        self,
        credentials: Credentials,
        believer: Believer,
        *,
        issuer: str,
        address: Callable[[], str],
        forget: Callable[[], None],
        sender: Callable[[], Sends],
        wall: Callable[[], float],
        key: SigningKey,
    ) -> None:
        self._key = key  # to which what comes of a bound token is bound
        self._nonce: str | None = None
        self._credentials = credentials
        self._believer = believer
        self._issuer = issuer
        self._address = address
        self._forget = forget
        self._sender = sender
        self._senders = local()
        self._wall = wall

    def exchange(self, inbound: Inbound, wanted: Exchange) -> Outcome:
        """Ask. Whatever goes wrong on the way is an outcome, too."""
        try:
            said = self._said(inbound, wanted)
            answer = loads(said.body) if said.status == _OK else _error(said)
        except FetchError as wrong:
            self._forget()
            return Failed(kind="away", reason=wrong.reason, silent=True)
        except JoseError:
            return Failed(kind="misconfigured", reason="the answer cannot be read")
        if said.status != _OK:
            return of_error(said.status, answer.get("error"), said.headers.get("retry-after"))
        return self._believer.believe(answer, inbound, wanted, self._wall())

    def _said(self, inbound: Inbound, wanted: Exchange) -> Said:
        said = self._sent(inbound, wanted)
        if inbound.bound and said.status == _BAD and _error(said).get("error") == "use_dpop_nonce":
            said = self._sent(inbound, wanted)  # once: the answer has brought the nonce (RFC 9449 section 8)
        return said

    def _sent(self, inbound: Inbound, wanted: Exchange) -> Said:
        if not hasattr(self._senders, "sends"):
            self._senders.sends = self._sender()
        sends: Sends = self._senders.sends
        try:
            said = self._asked(sends, inbound, wanted)
        except Stale:  # a new assertion with it: the first one may have been heard (RFC 7523 section 3)
            said = self._asked(sends, inbound, wanted)
        self._nonce = said.headers.get("dpop-nonce", self._nonce)
        return said

    def _asked(self, sends: Sends, inbound: Inbound, wanted: Exchange) -> Said:
        now, address = self._wall(), self._address()
        headers, proof = self._credentials.once(self._issuer, now)
        if inbound.bound:
            headers["DPoP"] = prove(self._key, method="POST", address=address, now=now, nonce=self._nonce)
        form = {
            "grant_type": GRANT_TYPE,
            "subject_token": inbound.token.decode("ascii"),
            "subject_token_type": ACCESS_TOKEN,
            "requested_token_type": ACCESS_TOKEN,
            "audience": wanted.audience,
            **({"scope": " ".join(sorted(wanted.scopes))} if wanted.scopes else {}),
            **proof,
        }
        return sends.send(address, urlencode(form).encode("ascii"), {"Content-Type": _FORM, **headers})


def _error(said: Said) -> dict[str, object]:
    """Read a refusal; behind a proxy of somebody's it may be no JSON at all."""
    try:
        return loads(said.body)
    except JoseError:
        return {}
