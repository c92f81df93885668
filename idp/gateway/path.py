"""One reading of a request target, or a refusal (RFC 3986 section 6, RFC 9112 section 3.2).

The gateway decides on the decoded segments and forwards the very bytes it read. That is only safe when every
server reads those bytes alike, so anything two servers might read differently is refused, never repaired.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_to_bytes

# What RFC 3986 section 3.3 allows in a segment, without ";" (path parameters) and "%" (looked at below).
_SEGMENT: Final = rb"[A-Za-z0-9\-._~!$&'()*+,=:@]"
_PLAIN: Final = re.compile(rb"(?:/" + _SEGMENT + rb"+)*/?")
_ESCAPED: Final = re.compile(rb"(?:/(?:" + _SEGMENT + rb"|%[0-9A-Fa-f]{2})+)*/?")
_DOTS: Final = re.compile(rb"/\.\.?(?:/|$)")
_QUERY: Final = re.compile(rb"[\x21\x22\x24-\x7e]*")
# Encoded, these would be a separator, a dot segment, a second escape or a path parameter to somebody.
_NEVER_ESCAPED: Final = frozenset(b"/\\.%;") | frozenset(range(0x20)) | {0x7F}

LONGEST: Final = 8_192


class BadTarget(Exception):
    """The target has no reading that everybody shares. `reason` is constant and for the log."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def split_target(target: bytes) -> tuple[bytes, bytes]:
    """Part an origin-form target into path and query; a fragment never belongs in one (RFC 9112 section 3.2.1)."""
    if b"#" in target:
        raise BadTarget("fragment in target")
    path, _, query = target.partition(b"?")
    if query and _QUERY.fullmatch(query) is None:
        raise BadTarget("query has other bytes than a query may")
    return path, query


def canonical(path: bytes) -> str:
    """Decode a raw path once. The result has no dot segment, no empty segment and no escape left."""
    if len(path) > LONGEST:
        raise BadTarget("path is too long")
    if not path.startswith(b"/"):
        raise BadTarget("target is not a path")
    if b"%" in path:
        return _unescape(path)
    if _PLAIN.fullmatch(path) is None:
        raise BadTarget("path has empty segments or other bytes than a path may")
    if b"/." in path and _DOTS.search(path) is not None:
        raise BadTarget("dot segment in path")
    return path.decode("ascii")


def _unescape(path: bytes) -> str:
    if _ESCAPED.fullmatch(path) is None:
        raise BadTarget("path has empty segments or other bytes than a path may")
    if _DOTS.search(path) is not None:
        raise BadTarget("dot segment in path")
    for piece in path.split(b"%")[1:]:
        if int(piece[:2], 16) in _NEVER_ESCAPED:
            raise BadTarget("path hides a separator, a dot, an escape or a control byte")
    try:
        return unquote_to_bytes(path).decode("utf-8")
    except UnicodeDecodeError:
        raise BadTarget("path is not UTF-8") from None
