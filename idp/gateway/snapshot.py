"""The keys of an issuer at one moment: one value that readers take without a lock, and a file for a cold start."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from idp.jose.keys import KeySet
from idp.jose.strict import JoseError, loads

_FORMAT: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A set of keys and how old it is. Replaced whole, never changed."""

    keys: KeySet
    fetched: float  # monotonic seconds
    stale: float  # monotonic seconds after which nobody believes it
    generation: int  # grows when a key goes or changes: what it verified is void
    version: int  # grows with any change
    names: Mapping[str, bytes]  # kid -> the key as it was written


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """What a file held: a set of keys as fetched, and when."""

    document: bytes
    saved_at: float


def save(path: Path, *, issuer: str, document: bytes, now: float) -> None:
    """Write the set beside the old one and swap, so that a crash leaves one or the other."""
    text = json.dumps({"format": _FORMAT, "issuer": issuer, "saved_at": now, "jwks": document.decode("utf-8")})
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)  # mode 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise


def restore(path: Path, *, issuer: str, now: float, max_stale: float) -> Saved | None:
    """Read a saved set of this very issuer that is not too old; anything odd counts as none."""
    try:
        held = loads(path.read_bytes())
    except (OSError, JoseError):
        return None
    document, saved_at = held.get("jwks"), held.get("saved_at")
    if held.get("format") != _FORMAT or held.get("issuer") != issuer or not isinstance(document, str):
        return None
    if isinstance(saved_at, bool) or not isinstance(saved_at, int | float) or not now - max_stale < saved_at <= now:
        return None
    return Saved(document=document.encode("utf-8"), saved_at=saved_at)


def names_of(document: bytes) -> dict[str, bytes]:
    """Index the keys of a set by kid, as written: what a later set is compared with.

    A key without a name, or with that of another, goes by what it is, so that none hides behind another.
    """
    listed = loads(document).get("keys")
    found: dict[str, bytes] = {}
    for jwk in listed if isinstance(listed, list) else []:
        if isinstance(jwk, dict):
            kid, written = jwk.get("kid"), json.dumps(jwk, sort_keys=True).encode()
            named = isinstance(kid, str) and kid not in found
            found[str(kid) if named else hashlib.sha256(written).hexdigest()] = written
    return found
