"""A client's certificate as a front that ends TLS hands it on: read from a header, named by its digest (RFC 8705).

Two forms are understood: PEM, percent-encoded, as nginx writes it, and the byte sequence of RFC 9440.
"""

from __future__ import annotations

import re
from base64 import b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from hashlib import sha256
from typing import Final
from urllib.parse import unquote

_LONGEST: Final = 16_384
_PEM: Final = re.compile(r"-----BEGIN CERTIFICATE-----(\s[A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----\s*")
_BYTES: Final = re.compile(r":([A-Za-z0-9+/=]+):")
_SEQUENCE: Final = 0x30


def read(value: str) -> bytes | None:
    """Return the certificate (DER) of a header value; None when there is not exactly one."""
    if len(value) > _LONGEST:
        return None
    found = _BYTES.fullmatch(value.strip(" ")) or _PEM.fullmatch(unquote(value))
    if found is None:
        return None
    try:
        der = b64decode(re.sub(r"\s", "", found[1]), validate=True)
    except Base64Error:
        return None
    return der if der[:1] == bytes([_SEQUENCE]) else None


def thumbprint(der: bytes) -> str:
    """Name a certificate as tokens that are bound to it do: x5t#S256 (RFC 8705 section 3.1)."""
    return urlsafe_b64encode(sha256(der).digest()).rstrip(b"=").decode("ascii")
