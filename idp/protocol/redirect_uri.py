"""Where an answer may go: exact match, and the loopback port of native apps (RFC 9700 section 4.1, RFC 8252)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import quote, urlencode, urlsplit

LOOPBACK = re.compile(r"http://(?P<host>127\.0\.0\.1|\[::1\]|localhost)(?::(?P<port>[0-9]{1,5}))?(?P<rest>[/?].*)?")
# RFC 3986 characters alone: no quote, angle, backslash, caret, backtick, brace or pipe.
URI = re.compile(r"[A-Za-z0-9:/?#\[\]@!$&'()*+,;=._~%-]+")
SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")
HOST = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\]")
DOTS = re.compile(r"(^|/)(\.|%2e){1,2}(/|$)", re.IGNORECASE)
BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})|%00|%0[aAdD]|%5[cC]")
MAX_URI = 2_048
MAX_PORT = 65_535


def matches(registered: Iterable[str], presented: str, *, native: bool) -> bool:
    """Say whether a URI is registered, character for character (OpenID Connect Core section 3.1.2.1)."""
    known = tuple(registered)
    if presented in known:
        return True
    return native and _without_port(presented) in {_without_port(uri) for uri in known} - {None}


def _without_port(uri: str) -> str | None:
    """Strip the port of a loopback URI; None for every other (RFC 8252 section 7.3)."""
    found = LOOPBACK.fullmatch(uri)
    if found is None:
        return None
    port = found["port"]
    if port is not None and not 0 < int(port) <= MAX_PORT:
        return None
    return f"http://{found['host']}{found['rest'] or ''}"


def problem(uri: str, *, native: bool) -> str | None:
    """Say why a URI may not be registered, or None (RFC 9700 section 2.6, RFC 8252 section 7)."""
    if not 0 < len(uri) <= MAX_URI or URI.fullmatch(uri) is None or BAD_ESCAPE.search(uri):
        return "redirect URI holds characters that a URI may not hold"
    scheme, colon, rest = uri.partition(":")
    if not colon or not rest or SCHEME.fullmatch(scheme) is None:
        return "redirect URI must be absolute"
    if "#" in uri:
        return "redirect URI must not have a fragment"
    if rest.startswith("//") and rest[2:3] in {"", "/", "?"}:
        # Every URL library writes an empty host in a way of its own, so the app would be called by another address.
        return "redirect URI must not have an empty host: write com.example.app:/callback"
    if scheme not in {"https", "http"}:
        return _private_scheme_problem(scheme, native=native)
    return _web_problem(uri, scheme)


def _private_scheme_problem(scheme: str, *, native: bool) -> str | None:
    # RFC 8252 section 7.1: the dot of a reversed domain name keeps javascript:, data: and file: out.
    if native and "." in scheme:
        return None
    return "redirect URI must be https, loopback http, or a reversed-domain scheme of a native client"


def _web_problem(uri: str, scheme: str) -> str | None:
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError:
        return "redirect URI has no usable host"
    host = parts.netloc.rsplit(":", 1)[0] if port is not None else parts.netloc
    if HOST.fullmatch(host) is None or port == 0:
        return "redirect URI has no usable host"
    if DOTS.search(parts.path):
        return "redirect URI must not have dot segments"
    if scheme == "http" and LOOPBACK.fullmatch(uri) is None:
        return "http is only for 127.0.0.1, [::1] and localhost"
    return None


def proves_identity(uri: str) -> bool:
    """Say whether only the client itself can be listening there (RFC 8252 section 8.6)."""
    return uri.startswith("https://")


def with_params(uri: str, params: Iterable[tuple[str, str]]) -> str:
    """Add answer parameters to the query and keep what is there (RFC 6749 section 3.1.2)."""
    base, mark, query = uri.partition("?")
    # %20 for a space: "+" is only understood where the query is read as a form.
    added = urlencode(list(params), quote_via=quote, safe="")
    joined = f"{query}&{added}" if mark and query else added
    return f"{base}?{joined}" if joined else uri


def host(uri: str) -> str:
    """Name, for a person, where an answer goes: the host, or the scheme of an app."""
    parts = urlsplit(uri)
    return parts.netloc or f"{parts.scheme}:"
