"""Where the keys for a foreign token come from: a file, an address, or an issuer's discovery document."""

from __future__ import annotations

from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import requests

from idp.jose.keys import MAX_JWKS, KeySet
from idp.jose.strict import JoseError, loads

_TIMEOUT: Final = 3.0
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_WELL_KNOWN: Final = "/.well-known/openid-configuration"


class NoKeys(Exception):
    """The keys could not be had; the text says why."""


def from_place(place: str) -> KeySet:
    """Read a JWK Set from a file or an address (RFC 7517 section 5)."""
    try:
        raw = _fetch(place) if "://" in place else _read(Path(place))
        return KeySet.from_remote(raw)
    except JoseError as error:
        raise NoKeys(f"the key set is refused: {error.reason}") from None


def from_issuer(issuer: str) -> KeySet:
    """Follow discovery, which must name the issuer it was asked for (OpenID Connect Discovery section 4.3)."""
    try:
        metadata = loads(_fetch(issuer.rstrip("/") + _WELL_KNOWN))
    except JoseError as error:
        raise NoKeys(f"the discovery document is refused: {error.reason}") from None
    place = metadata.get("jwks_uri")
    if metadata.get("issuer") != issuer or not isinstance(place, str) or "://" not in place:
        raise NoKeys("the discovery document is not of this issuer, or names no keys")
    return from_place(place)


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(MAX_JWKS + 1)
    except OSError:
        raise NoKeys("the key file cannot be read") from None


def _fetch(address: str) -> bytes:
    """Get a document: https, or http on this machine; no redirects, 3 seconds, a size that keys can have."""
    parts = urlsplit(address)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise NoKeys("keys come over https, or over http from this machine")
    try:
        with requests.get(address, timeout=_TIMEOUT, allow_redirects=False, stream=True) as response:
            if response.status_code != requests.codes.ok:
                raise NoKeys(f"the address answers with status {response.status_code}")
            return b"".join(_limited(response))
    except requests.RequestException:
        raise NoKeys("the address does not answer") from None


def _limited(response: requests.Response) -> list[bytes]:
    chunks, size = [], 0
    for chunk in response.iter_content(65_536):
        chunks.append(chunk)
        size += len(chunk)
        if size > MAX_JWKS:
            raise NoKeys("the document is too long to be one of keys")
    return chunks
