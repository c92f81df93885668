"""Texts inside filters and DNs: escaped once, here, so that each character is just that character."""

from __future__ import annotations

import re
from typing import Final

from ldap3.core.exceptions import LDAPException
from ldap3.utils.conv import escape_filter_chars
from ldap3.utils.dn import parse_dn

from idp.federation.connector import Misconfigured

_SPECIAL: Final = frozenset('\\",+;<>=') | frozenset(map(chr, range(32)))
# Up to an unescaped separator, without the space before it.
_VALUE: Final = re.compile(r"(?:\\.|[^,+;\\ ]| +(?=[^,+; ]))*", re.DOTALL)
_SEPARATOR: Final = re.compile(r"\s*([,=+])\s*")


def literal(text: str) -> str:
    """Write a text as a value of a filter (RFC 4515 section 3): each character is just that character (FD1)."""
    escaped: str = escape_filter_chars(text)
    return escaped


def octets(value: bytes) -> str:
    """Write bytes as a value of a filter."""
    return "".join(f"\\{byte:02x}" for byte in value)


def rdn(text: str) -> str:
    """Write a text as a value inside a DN (RFC 4514 section 2.4): each character is just that character (FD2).

    By numbers, and not by ldap3: its own writes a NUL as a backslash and two zeros, and a lone space as a backslash.
    """
    last = len(text) - 1
    return "".join(
        f"\\{ord(letter):02x}"
        if letter in _SPECIAL or (place == 0 and letter in " #") or (place == last and letter == " ")
        else letter
        for place, letter in enumerate(text)
    )


def check_dn(text: str, field: str) -> str:
    """Refuse what is not a DN."""
    try:
        parse_dn(text)
    except LDAPException:
        raise Misconfigured(f"{field}: this is not a DN such as ou=people,dc=example,dc=org") from None
    return text


def inside(dn: str, base: str) -> bool:
    """Say whether an entry is at a base or below it; case and the space around separators do not count."""
    own, above = (_SEPARATOR.sub(r"\1", text).strip().casefold() for text in (dn, base))
    return not above or own == above or own.endswith("," + above)


def first_value(dn: str) -> str:
    """Return the value of the first part of a DN, as people read it; what is no DN is shown as it is.

    ldap3's parser stops at what directories write: it takes no `C# Team`.
    """
    name, equals, rest = dn.partition("=")
    found = _VALUE.match(rest.lstrip(" "))
    return _unescaped(found[0]) if equals and name.strip() and found else dn


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
