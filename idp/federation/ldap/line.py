"""A connection to one server: opened, verified, spoken on within a time, closed."""

from __future__ import annotations

import contextlib
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import ldap3
from ldap3.core.exceptions import LDAPException

from idp.federation import lookup
from idp.federation.ldap.address import Address
from idp.federation.ldap.answers import SUCCESS, Answer, Entry, Gone, entries
from idp.federation.ldap.server import Server
from idp.federation.ldap.tls import Socket, Verified

BASE: Final = ldap3.BASE
SUBTREE: Final = ldap3.SUBTREE
ADD: Final = ldap3.MODIFY_ADD
DELETE: Final = ldap3.MODIFY_DELETE
PPOLICY: Final = "1.3.6.1.4.1.42.2.27.8.5.1"
SHOW_DELETED: Final = "1.2.840.113556.1.4.417"  # MS-ADTS section 3.1.1.3.4.1.14


class Line:
    """A connection on which TLS stands and is verified. Not for two threads at once."""

    def __init__(self, address: Address, tls: ssl.SSLContext, *, seconds: float) -> None:
        until = time.monotonic() + seconds
        self.address = address
        self._wire = ldap3.Connection(
            Server(address, Verified(tls), until=until),
            auto_referrals=False,
            check_names=False,
            raise_exceptions=False,
            return_empty_attributes=False,
        )
        self._open(until)

    def bind(self, dn: str, password: str, *, seconds: float) -> Answer:
        """Prove somebody by a password. An empty one would prove nobody and may be answered with success."""
        if not password or not dn:
            raise ValueError("an empty name or password is never sent")
        self._wire.user, self._wire.password, self._wire.authentication = dn, password, ldap3.SIMPLE
        try:
            with self._speaking(seconds):
                self._wire.bind(controls=[(PPOLICY, False, None)])
        finally:
            self._wire.password = None
        return self._answer()

    def search(
        self,
        base: str,
        wanted: str,
        *,
        seconds: float,
        attributes: Sequence[str] = (),
        scope: str = SUBTREE,
        limit: int = 0,
        deleted: bool = False,
    ) -> tuple[Answer, list[Entry]]:
        """Return what one search finds. References to other servers are no entries and are not followed."""
        controls = [(SHOW_DELETED, True, None)] if deleted else None
        with self._speaking(seconds):
            self._wire.search(
                base, wanted, scope, attributes=list(attributes) or ["1.1"], size_limit=limit, controls=controls
            )
        return self._answer(), entries(self._wire.response)

    def pages(
        self,
        base: str,
        wanted: str,
        *,
        seconds: float,
        attributes: Sequence[str],
        size: int = 500,
        deleted: bool = False,
    ) -> Iterator[Entry]:
        """Give everything, a page at a time; `seconds` is for each page. `deleted`: what an AD has deleted as well."""
        controls = [(SHOW_DELETED, True, None)] if deleted else None
        cookie: bytes | None = None
        while True:
            with self._speaking(seconds):
                self._wire.search(
                    base,
                    wanted,
                    SUBTREE,
                    attributes=list(attributes),
                    paged_size=size,
                    paged_cookie=cookie,
                    controls=controls,
                )
            answer = self._answer()
            if answer.code != SUCCESS:
                raise Gone("speak", f"the search was answered with {answer.code}")
            answered = self._wire.result.get("controls") or {}
            found = entries(self._wire.response)
            self._wire.response = None
            yield from found
            cookie = answered.get("1.2.840.113556.1.4.319", {}).get("value", {}).get("cookie")
            if not cookie:
                return

    def modify(self, dn: str, changes: Mapping[str, Any], *, seconds: float) -> Answer:
        """Change an entry: {attribute: [(operation, [value])]}."""
        with self._speaking(seconds):
            self._wire.modify(dn, dict(changes))
        return self._answer()

    def close(self) -> None:
        """Say goodbye if that is possible."""
        with contextlib.suppress(LDAPException, OSError):
            if isinstance(self._wire.socket, Socket):
                self._wire.socket.until = time.monotonic() + 0.5
            self._wire.unbind()
        self._drop()  # where goodbye could not be said, the library leaves the socket open

    def _open(self, until: float) -> None:
        try:
            self._wire.open(read_server_info=False)
            if self.address.scheme == "ldap":
                self._wire.socket.settimeout(max(0.05, until - time.monotonic()))
                if not self._wire.start_tls(read_server_info=False):
                    raise Gone("tls", "the server refuses StartTLS")
        except (LDAPException, OSError) as trouble:
            self._drop()
            raise _told(trouble) from None
        if not isinstance(self._wire.socket, Socket):
            self._drop()
            raise Gone("tls", "the line is not encrypted")

    def _drop(self) -> None:
        raw = self._wire.socket
        with contextlib.suppress(LDAPException, OSError, AttributeError):
            self._wire.strategy.close()
        if raw is not None:
            raw.close()  # where opening failed half way, nobody else does

    @contextlib.contextmanager
    def _speaking(self, seconds: float) -> Iterator[None]:
        try:
            wire = self._wire.socket
            if not isinstance(wire, Socket):
                raise Gone("speak", "the line is closed")
            wire.until = time.monotonic() + seconds
            wire.settimeout(seconds)
            yield
        except (LDAPException, OSError, AttributeError, IndexError) as trouble:
            # What is left of an answer on the line would be taken for the next one's.
            self._drop()
            raise Gone("speak", type(trouble).__name__) from None

    def _answer(self) -> Answer:
        said = self._wire.result or {}
        control = (said.get("controls") or {}).get(PPOLICY)
        return Answer(
            code=int(said.get("result", -1)),
            message=str(said.get("message") or ""),
            ppolicy=control.get("value") or b"" if control else None,
        )


def _told(trouble: Exception) -> Gone:
    """Say in words why no line stands. The texts are for operators."""
    text = str(trouble)
    if "CERTIFICATE_VERIFY_FAILED" in text or isinstance(trouble, ssl.SSLCertVerificationError):
        hostname = "Hostname mismatch" in text or "not valid for" in text
        return Gone("tls", "the certificate is for another name" if hostname else "the certificate is not trusted")
    if "startTLS" in text or "wrap socket" in text or "SSL" in text.upper():
        return Gone("tls", "TLS could not be agreed")
    if text == lookup.UNKNOWN:
        return Gone("reach", "its name is not known")
    if "timed out" in text or isinstance(trouble, TimeoutError):
        return Gone("reach", "no answer in time")
    return Gone("reach", "no server answers there")
