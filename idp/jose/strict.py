"""What may pass for a token at all: strict JSON and strict compact serialization (RFC 7515, RFC 8725).

joserfc and `json` accept more than one reading of a token (the last of two members, UTF-16, NaN).
A token has one reading or none, so the parser stands here and joserfc sees only a signature to check.
"""

from __future__ import annotations

import json
import math
import re
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from dataclasses import dataclass
from functools import lru_cache
from json import JSONDecodeError, JSONDecoder
from typing import Final, NoReturn

MAX_TOKEN: Final = 16_384
MAX_DEPTH: Final = 32
MAX_NUMBER: Final = 32  # characters of one number: more than any date or size needs
MAX_DOCUMENT: Final = 1_048_576
_PARTS: Final = 3  # header, payload, signature
_CACHED_HEADER: Final = 1_024

_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_URL_SAFE_BACK = bytes.maketrans(b"+/", b"-_")
_PADS = (b"", b"", b"==", b"=")
# The last character of a canonical segment carries no stray bits: 2 left over -> 4 zero bits, 3 -> 2.
_LAST = {2: frozenset(b"AQgw"), 3: frozenset(b"AEIMQUYcgkosw048")}
_BRACKETS = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)


class JoseError(Exception):
    """A token, key or document that is refused. `reason` is constant and for logs, never quotes input."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Compact:
    """A well-formed JWS whose signature nobody has checked yet (RFC 7515 section 3.1)."""

    header: dict[str, object]
    payload: bytes
    signature: bytes
    signing_input: bytes


def loads(raw: bytes) -> dict[str, object]:
    """Parse one JSON object that has exactly one reading (RFC 8259, RFC 7515 section 4, RFC 8725 section 3.7)."""
    if len(raw) > MAX_DOCUMENT:
        raise JoseError("JSON is too long")
    if raw.count(b"[") + raw.count(b"{") > MAX_DEPTH:
        _check_depth(raw)
    try:
        value: object = _DECODER.decode(raw.decode("utf-8"))
    except UnicodeDecodeError:
        raise JoseError("JSON is not UTF-8") from None
    except JSONDecodeError:
        raise JoseError("JSON is malformed") from None
    if not isinstance(value, dict):
        raise JoseError("JSON is not an object")
    if b"\\u" in raw:
        _check_surrogates(value)
    return value


def b64decode(segment: bytes) -> bytes:
    """Decode base64url that has exactly one spelling: no pad, no space, no stray bits (RFC 7515 section 2)."""
    if b"+" in segment or b"/" in segment or b"=" in segment:
        raise JoseError("not base64url")
    left = len(segment) % 4
    if left == 1:
        raise JoseError("not base64url")
    if left and segment[-1] not in _LAST[left]:
        raise JoseError("base64url has stray bits")
    try:
        return a2b_base64(segment.translate(_URL_SAFE) + _PADS[left], strict_mode=True)
    except Base64Error:
        raise JoseError("not base64url") from None


def b64encode(value: bytes) -> bytes:
    """Encode as base64url without padding (RFC 7515 section 2)."""
    return b2a_base64(value, newline=False).translate(_URL_SAFE_BACK).rstrip(b"=")


def split(token: str) -> Compact:
    """Take a compact JWS apart, or refuse it for its shape alone (RFC 7515 section 7.1)."""
    if len(token) > MAX_TOKEN:  # before anything is decoded
        raise JoseError("token is too long")
    try:
        raw = token.encode("ascii")
    except UnicodeEncodeError:
        raise JoseError("token is not ASCII") from None
    parts = raw.split(b".")
    if len(parts) != _PARTS or not all(parts):
        raise JoseError("token has not three parts")
    head, payload, signature = parts
    header = dict(_cached_header(head)) if len(head) <= _CACHED_HEADER else _header(head)
    return Compact(
        header=header,
        payload=b64decode(payload),
        signature=b64decode(signature),
        signing_input=raw[: len(head) + len(payload) + 1],
    )


def _header(segment: bytes) -> dict[str, object]:
    """Refuse headers that would change how the rest is read."""
    header = loads(b64decode(segment))
    if "crit" in header:  # RFC 7515 section 4.1.11: we understand no extension, so every crit is refused
        raise JoseError("header has crit")
    if "b64" in header:  # RFC 7797 section 6
        raise JoseError("header has b64")
    if "enc" in header or "zip" in header:  # RFC 7515 section 9: these mark a JWE
        raise JoseError("header is of an encrypted token")
    if not isinstance(header.get("alg"), str):
        raise JoseError("header alg is not text")
    if not all(isinstance(header.get(name, ""), str) for name in ("kid", "typ", "cty")):
        raise JoseError("header kid, typ or cty is not text")
    return header


# Tokens of one key share one header. Bounded in number and in length, and only what parsed is kept.
_cached_header = lru_cache(maxsize=256)(_header)


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):  # RFC 7515 section 4: a duplicate has two readings
        raise JoseError("JSON has a duplicate member")
    return members


def _integer(text: str) -> int:
    if len(text) > MAX_NUMBER:
        raise JoseError("JSON number is too long")
    return int(text)


def _float(text: str) -> float:
    value = float(text) if len(text) <= MAX_NUMBER else math.inf
    if not math.isfinite(value):
        raise JoseError("JSON number is too large")
    return value


def _constant(_text: str) -> NoReturn:
    raise JoseError("JSON has NaN or Infinity")


def _check_depth(raw: bytes) -> None:
    """Count nesting before the parser recurses; brackets inside strings do not count."""
    depth = 0
    for match in _BRACKETS.finditer(raw):
        first = raw[match.start()]
        if first in b"[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise JoseError("JSON is too deep")
        elif first in b"]}":
            depth -= 1


def _check_surrogates(value: object) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise JoseError("JSON has a lone surrogate") from None


_DECODER = JSONDecoder(
    object_pairs_hook=_object,
    parse_int=_integer,
    parse_float=_float,
    parse_constant=_constant,
)
