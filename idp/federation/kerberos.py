"""The only door to GSSAPI: the ticket of a browser in the domain, taken in one round or refused (RFC 4559, RFC 4178).

The library is an extra and loaded when the first ticket comes: whoever has no domain needs none of it. NTLM is never
spoken. A ticket counts once: the library keeps the record of this machine, whoever calls keeps the one for all.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any, Final

from idp.federation.connector import Misconfigured, NotSignedIn, Outcome
from idp.federation.values import Values

EXTRA: Final = 'install the extra first: pip install "gatehouse-idp[kerberos]"'
SERVICE: Final = re.compile(r"HTTP/[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
SPNEGO: Final = "1.3.6.1.5.5.2"
KERBEROS: Final = "1.2.840.113554.1.2.2"
SPNEGO_DER: Final = bytes.fromhex("06062b0601050502")
APPLICATION: Final = 0x60  # RFC 2743 section 3.1: the tag before the name of the mechanism
NTLM: Final = b"NTLMSSP\x00"
LONGEST: Final = 49_152  # Windows makes none longer than 48,000 bytes (MaxTokenSize)
# MS-PAC section 2.5: KERB_VALIDATION_INFO as NDR writes it (MS-RPCE section 2.2.6), its UserId at a fixed place.
LOGON_INFO: Final = b"urn:mspac:logon-info"
NDR: Final = bytes.fromhex("01100800cccccccc")
RID_AT: Final = 120
RID_BYTES: Final = 4
# What the library says, by the words of its messages; everything else is told by its number.
REASONS: Final = {
    "replay": "replay",
    "Clock skew": "clock",
    "expired": "expired",
    "not yet valid": "not yet valid",
    "decrypt": "key",
    "No key table entry": "key",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """Whom a ticket names: the number of an account in its domain. `answer` proves us to the browser."""

    rid: int
    answer: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Kerberos:
    """The service that browsers ask tickets for, and which browsers are asked for one."""

    keytab: str
    service: str
    realm: str
    addresses: tuple[IPv4Network | IPv6Network, ...]

    @classmethod
    def read(cls, table: object, domain: str) -> Kerberos:
        """Read the settings of a connector; without the library nothing can come of them."""
        if not isinstance(table, Mapping):
            raise Misconfigured("kerberos: write a table")
        values = Values(table)
        try:
            made = cls(
                keytab=values.text("keytab"),
                service=_service(values.text("service")),
                realm=domain.upper(),
                addresses=_networks(values.texts("addresses")),
            )
            values.nothing_else()
        except Misconfigured as wrong:
            raise Misconfigured(f"kerberos.{wrong}") from None
        if importlib.util.find_spec("gssapi") is None:
            raise Misconfigured(f"kerberos: {EXTRA}")
        return made

    def covers(self, address: str) -> bool:
        """Say whether a browser at this address is in the domain. Elsewhere the question would open a window."""
        try:
            asked = ip_address(address)
        except ValueError:
            return False
        return any(asked in network for network in self.addresses)

    def accept(self, token: bytes) -> Ticket:
        """Return whom a token proves, or raise NotSignedIn. One round: whoever wants another one is refused."""
        _check_shape(token)
        library = _library()
        held = self._key(library)
        try:
            context = library.SecurityContext(creds=held, usage="accept")
            answer = context.step(token)
            # A refusal that the library has words for the browser with is raised only here, where its end is asked.
            whole = context.complete and context.mech.dotted_form == KERBEROS
            found = (str(context.initiator_name), _rid(library, context.initiator_name)) if whole else ("", None)
        except library.exceptions.GSSError as refusal:
            raise NotSignedIn(Outcome.NO_MATCH, f"kerberos: {_reason(refusal)}") from None
        if not whole:
            raise NotSignedIn(Outcome.NO_MATCH, "kerberos: not in one round")
        principal, rid = found
        if not self._is_of_realm(principal):
            raise NotSignedIn(Outcome.NO_MATCH, "kerberos: another realm")
        if rid is None:
            raise NotSignedIn(Outcome.NO_MATCH, "kerberos: no account in the ticket")
        return Ticket(rid=rid, answer=answer or b"")

    def trouble(self) -> str | None:
        """Say what keeps every ticket from being taken; None when nothing does."""
        try:
            self._key(_library())
        except NotSignedIn as refused:
            return refused.code
        return None

    def _key(self, library: Any) -> Any:
        """Read the key of the service, each time: a new one in the file counts at once."""
        name = library.Name(f"{self.service}@{self.realm}", library.NameType.kerberos_principal)
        spnego = library.OID.from_int_seq(SPNEGO)
        try:
            return library.Credentials(
                name=name, usage="accept", mechs=[spnego], store={"keytab": f"FILE:{self.keytab}"}
            )
        except library.exceptions.GSSError:
            raise NotSignedIn(Outcome.UNAVAILABLE, f"kerberos: the keytab has no key of {self.service}") from None

    def _is_of_realm(self, principal: str) -> bool:
        # A realm may hold an escaped @ and end like ours; no account of a domain has such a name.
        name, at, realm = principal.partition("@")
        return bool(name and at) and realm == self.realm and "\\" not in principal


def _service(text: str) -> str:
    if SERVICE.fullmatch(text) is None:
        raise Misconfigured("service: write HTTP/ and the name of this host, such as HTTP/login.corp.example.org")
    return text


def _networks(texts: tuple[str, ...]) -> tuple[IPv4Network | IPv6Network, ...]:
    try:
        found = tuple(ip_network(each) for each in texts)
    except ValueError:
        found = ()
    if not found:
        raise Misconfigured("addresses: write networks such as 10.20.0.0/16")
    return found


def _check_shape(token: bytes) -> None:
    if len(token) > LONGEST:
        raise NotSignedIn(Outcome.NO_MATCH, "kerberos: too long")
    if token.startswith(NTLM):
        raise NotSignedIn(Outcome.NO_MATCH, "kerberos: NTLM")
    # The length between tag and mechanism takes one byte, or as many more as its first one says.
    more = token[1] & 0x7F if len(token) > 1 and token[1] & 0x80 else 0
    if token[:1] != bytes([APPLICATION]) or token[2 + more : 2 + more + len(SPNEGO_DER)] != SPNEGO_DER:
        raise NotSignedIn(Outcome.NO_MATCH, "kerberos: no SPNEGO")


def _library() -> Any:
    try:
        return importlib.import_module("gssapi")
    except ImportError:
        raise NotSignedIn(Outcome.UNAVAILABLE, "kerberos: the library cannot be loaded") from None


def _rid(library: Any, name: Any) -> int | None:
    """Read the number of the account from what the domain has signed in the ticket (MS-PAC section 2.5)."""
    try:
        found = library.raw.get_name_attribute(name, LOGON_INFO)
    except library.exceptions.GSSError:
        return None
    info = next(iter(found.values), b"")
    if not found.authenticated or not info.startswith(NDR) or len(info) < RID_AT + RID_BYTES:
        return None
    return int.from_bytes(info[RID_AT : RID_AT + RID_BYTES], "little")


def _reason(refusal: Any) -> str:
    text = str(refusal)
    return next(
        (reason for words, reason in REASONS.items() if words in text), f"{refusal.maj_code} {refusal.min_code}"
    )
