"""The only door to ldap3: one line to one server, verified before anything is said on it.

What its defaults would do and is not done here: believe any certificate, wait for ever, and take the password to
whatever server a referral names.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import ldap3
from ldap3.core.exceptions import LDAPException
from ldap3.utils.conv import escape_filter_chars
from ldap3.utils.dn import escape_rdn, parse_dn

from idp.federation.connector import Misconfigured

BASE: Final = ldap3.BASE
SUBTREE: Final = ldap3.SUBTREE
PPOLICY: Final = "1.3.6.1.4.1.42.2.27.8.5.1"
SUCCESS: Final = 0
SIZE_LIMIT: Final = 4
REFERRAL: Final = 10
NO_SUCH_OBJECT: Final = 32
PORTS: Final = {"ldap": 389, "ldaps": 636}


class Gone(Exception):
    """The server did not answer, or could not be believed. `step` says how far it came: reach, tls, speak."""

    def __init__(self, step: str, why: str) -> None:
        super().__init__(why)
        self.step = step
        self.why = why


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a server is. `ldap` begins with StartTLS, always."""

    scheme: str
    host: str
    port: int

    @classmethod
    def parse(cls, url: str) -> Address:
        """Read ldaps://HOST[:PORT] or ldap://HOST[:PORT]."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise Misconfigured("servers: this is not an address") from None
        if parts.scheme not in PORTS or not parts.hostname or parts.path.strip("/") or parts.query or parts.username:
            raise Misconfigured("servers: write ldaps://HOST or ldap://HOST; ldap begins with StartTLS")
        return cls(scheme=parts.scheme, host=parts.hostname, port=port or PORTS[parts.scheme])

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a server answers to an operation. `ppolicy` is the value of its password policy control."""

    code: int
    message: str = ""
    ppolicy: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry; attributes by their names in small letters, values as they came."""

    dn: str
    attributes: Mapping[str, Sequence[bytes]]

    def texts(self, name: str) -> list[str]:
        """Return the values that are text."""
        found = []
        for value in self.attributes.get(name.lower(), ()):
            with contextlib.suppress(UnicodeDecodeError):
                found.append(value.decode())
        return found

    def text(self, name: str) -> str | None:
        """Return the first value that is text."""
        return next(iter(self.texts(name)), None)

    def raw(self, name: str) -> bytes | None:
        """Return the first value."""
        return next(iter(self.attributes.get(name.lower(), ())), None)


class _Socket(ssl.SSLSocket):
    """Every read ends by one moment: a server that drips byte by byte gains nothing."""

    until: float = float("inf")

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        left = self.until - time.monotonic()
        if left <= 0:
            raise TimeoutError("no complete answer in time")
        self.settimeout(min(left, 3600))
        return super().recv(buflen, flags)


class _Verified(ldap3.Tls):  # type: ignore[misc]  # ldap3 is untyped
    """TLS as everybody else has it: chain, host name, SNI; for ldaps and StartTLS alike."""

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__(validate=ssl.CERT_REQUIRED)
        self._context = context

    def wrap_socket(self, connection: Any, do_handshake: bool = False) -> None:  # noqa: FBT001, FBT002 - theirs
        """Shake hands, or raise: nothing is sent on a line that is not verified (FD5)."""
        raw: socket.socket = connection.socket
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else 45 ms on every first bind
        connection.socket = self._context.wrap_socket(
            raw, server_hostname=connection.server.host, do_handshake_on_connect=do_handshake
        )


def context(ca_file: str | None, *, strict: bool) -> ssl.SSLContext:
    """Make the TLS context of a connector. `strict`: also refuse authorities that RFC 5280 would not have."""
    try:
        made = ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError):
        raise Misconfigured("ca_file: this is not a file of certificates (PEM)") from None
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.sslsocket_class = _Socket
    flags = made.verify_flags & ~ssl.VERIFY_X509_STRICT
    made.verify_flags = flags | ssl.VERIFY_X509_STRICT if strict else flags
    return made


class Line:
    """A connection on which TLS stands and is verified. Not for two threads at once."""

    def __init__(self, address: Address, tls: ssl.SSLContext, *, seconds: float) -> None:
        until = time.monotonic() + seconds
        server = ldap3.Server(
            address.host,
            port=address.port,
            use_ssl=address.scheme == "ldaps",
            tls=_Verified(tls),
            get_info=ldap3.NONE,
            connect_timeout=seconds,
        )
        self.address = address
        self._wire = ldap3.Connection(
            server,
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
    ) -> tuple[Answer, list[Entry]]:
        """Return what one search finds. References to other servers are no entries and are not followed."""
        with self._speaking(seconds):
            self._wire.search(base, wanted, scope, attributes=list(attributes) or ["1.1"], size_limit=limit)
        return self._answer(), _entries(self._wire.response)

    def pages(
        self, base: str, wanted: str, *, seconds: float, attributes: Sequence[str], size: int = 500
    ) -> Iterator[Entry]:
        """Give everything, a page at a time; `seconds` is for each page."""
        cookie: bytes | None = None
        while True:
            with self._speaking(seconds):
                self._wire.search(
                    base, wanted, SUBTREE, attributes=list(attributes), paged_size=size, paged_cookie=cookie
                )
            answer = self._answer()
            if answer.code != SUCCESS:
                raise Gone("speak", f"the search was answered with {answer.code}")
            controls = self._wire.result.get("controls") or {}
            found = _entries(self._wire.response)
            self._wire.response = None
            yield from found
            cookie = controls.get("1.2.840.113556.1.4.319", {}).get("value", {}).get("cookie")
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
            if isinstance(self._wire.socket, _Socket):
                self._wire.socket.until = time.monotonic() + 0.5
            self._wire.unbind()

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
        if not isinstance(self._wire.socket, _Socket):
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
            if not isinstance(wire, _Socket):
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


def _entries(response: Sequence[Mapping[str, Any]] | None) -> list[Entry]:
    return [
        Entry(dn=each["dn"], attributes={name.lower(): values for name, values in each["raw_attributes"].items()})
        for each in response or ()
        if each["type"] == "searchResEntry"
    ]


def _told(trouble: Exception) -> Gone:
    """Say in words why no line stands. The texts are for operators."""
    text = str(trouble)
    if "CERTIFICATE_VERIFY_FAILED" in text or isinstance(trouble, ssl.SSLCertVerificationError):
        hostname = "Hostname mismatch" in text or "not valid for" in text
        return Gone("tls", "the certificate is for another name" if hostname else "the certificate is not trusted")
    if "startTLS" in text or "wrap socket" in text or "SSL" in text.upper():
        return Gone("tls", "TLS could not be agreed")
    if "timed out" in text:
        return Gone("reach", "no answer in time")
    return Gone("reach", "no server answers there")


def literal(text: str) -> str:
    """Write a text as a value of a filter (RFC 4515 section 3): each character is just that character (FD1)."""
    escaped: str = escape_filter_chars(text)
    return escaped


def octets(value: bytes) -> str:
    """Write bytes as a value of a filter."""
    return "".join(f"\\{byte:02x}" for byte in value)


def rdn(text: str) -> str:
    """Write a text as a value inside a DN (RFC 4514 section 2.4): each character is just that character (FD2)."""
    escaped: str = escape_rdn(text)
    return escaped.replace("\x00", "\\00")


def check_dn(text: str, field: str) -> str:
    """Refuse what is not a DN."""
    try:
        parse_dn(text)
    except LDAPException:
        raise Misconfigured(f"{field}: this is not a DN such as ou=people,dc=example,dc=org") from None
    return text


def first_value(dn: str) -> str:
    """Return the value of the first part of a DN, as people read it."""
    try:
        found: str = parse_dn(dn)[0][1]
    except (LDAPException, IndexError):
        return dn
    return _unescaped(found)


def _unescaped(value: str) -> str:
    """Undo the escapes of a DN's value (RFC 4514 section 2.4)."""
    out = bytearray()
    rest = value.encode()
    while rest:
        pair = rest[1:3]
        if rest[:1] == b"\\" and len(pair) == 2 and all(byte in b"0123456789abcdefABCDEF" for byte in pair):  # noqa: PLR2004
            out += bytes.fromhex(pair.decode())
            rest = rest[3:]
        elif rest[:1] == b"\\" and pair:
            out += pair[:1]
            rest = rest[2:]
        else:
            out += rest[:1]
            rest = rest[1:]
    return out.decode("utf-8", "replace")
