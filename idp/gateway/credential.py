"""Finding the one credential of a request (RFC 6750 section 2)."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import unquote_to_bytes

from idp.gateway.headers import METHOD_OVERRIDE


class TwoCredentials(Exception):
    """More than one was sent, and one might be checked and the other used."""


class MethodOverride(Exception):
    """A header asks for another method than the request line."""


class Proved(bytes):
    """A token sent by the scheme that promises a proof (RFC 9449 section 7.1)."""


_SCHEMES = frozenset({b"bearer", b"dpop"})
_PARAMETER = b"access_token"


def find(headers: Sequence[tuple[bytes, bytes]], query: bytes) -> bytes | None:
    """Give the token, or None. Another scheme is no credential here; a token in the query never is."""
    authorization: bytes | None = None
    for name, value in headers:
        if name == b"authorization":
            if authorization is not None:  # RFC 9110 section 11.6.2 allows one
                raise TwoCredentials
            authorization = value
        elif name in METHOD_OVERRIDE:
            raise MethodOverride
    if authorization is None:
        return None
    if query and _in_query(query):  # RFC 6750 section 2: one method per request
        raise TwoCredentials
    scheme, _, token = authorization.partition(b" ")
    scheme = scheme.lower()
    if scheme not in _SCHEMES:
        return None
    if b"," in token:  # no token has one: a server before us has joined two headers
        raise TwoCredentials
    token = token.strip(b" ")
    return (token if scheme == b"bearer" else Proved(token)) or None


def _in_query(query: bytes) -> bool:
    if b"access" not in query and b"%" not in query:
        return False
    names = (pair.partition(b"=")[0] for pair in query.split(b"&"))
    # Whatever is shorter cannot mean it, and thousands of names would cost more than they may.
    return any(unquote_to_bytes(name) == _PARAMETER for name in names if len(name) >= len(_PARAMETER))
