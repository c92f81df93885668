"""Reading what an issuer signed, with keys that may have come into use a moment ago."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import wait
from typing import TypeVar

from idp.gateway.fetch import SECONDS
from idp.gateway.jwks import KeySource
from idp.jose.keys import KeySet, UnknownKey

T = TypeVar("T")


def read_with(source: KeySource, read: Callable[[KeySet], T]) -> T:
    """Read with the keys at hand, else once more with newer ones. Waits, so it is for threads that may."""
    try:
        return read(_keys(source))
    except UnknownKey:
        coming = source.ask()
        if coming is None:  # somebody asked a moment ago: there is nothing newer
            raise
        wait([coming], SECONDS)
        return read(_keys(source))


def _keys(source: KeySource) -> KeySet:
    snapshot = source.usable()
    if snapshot is None:
        raise UnknownKey("there are no keys")
    return snapshot.keys
