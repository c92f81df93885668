"""Texts inside filters and DNs: escaped once, here, so that each character is just that character."""

from __future__ import annotations

from ldap3.core.exceptions import LDAPException
from ldap3.utils.conv import escape_filter_chars
from ldap3.utils.dn import escape_rdn, parse_dn

from idp.federation.connector import Misconfigured


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
