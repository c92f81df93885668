"""By which names a token can be revoked: its own, its session's, its grant's, its key's, and whose it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

TOKEN, SESSION, GRANT, KEY = "token ", "session ", "grant ", "key "
ACCOUNT, CLIENT = "account ", "client "


class Marks(NamedTuple):
    """The names of one token. One of `exact` ends it; one of `owners` ends it if it was issued too early."""

    exact: tuple[str, ...]
    owners: tuple[str, ...]
    issued_at: float


def marks_of(claims: Mapping[str, object], kid: str = "") -> Marks:
    """Read the names once, when a token is verified. What it was exchanged from counts as well."""
    parents = tuple(_parents(claims))
    exact = [TOKEN + str(claims.get("jti")), *(TOKEN + jti for jti, _ in parents)]
    for prefix, name in ((SESSION, "sid"), (GRANT, "grant_id")):
        if name in claims:
            exact.append(prefix + str(claims[name]))
    if kid:
        exact.append(KEY + kid)
    issued_at = claims.get("iat")
    return Marks(
        exact=tuple(exact),
        owners=(
            ACCOUNT + str(claims.get("sub")),
            CLIENT + str(claims.get("client_id")),
            *(CLIENT + client_id for _, client_id in parents),
        ),
        issued_at=float(issued_at) if isinstance(issued_at, int | float) else 0.0,
    )


def _parents(claims: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    listed = claims.get("parents")
    for each in listed if isinstance(listed, list) else []:
        if isinstance(each, dict):
            yield str(each.get("jti")), str(each.get("client_id"))
