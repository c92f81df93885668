"""What a token is bound to (RFC 7800 section 3.1): a key that is proved, a certificate that is shown, or both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

JKT: Final = "jkt"  # RFC 9449 section 6.1
X5T: Final = "x5t#S256"  # RFC 8705 section 3.1
_KNOWN: Final = frozenset({JKT, X5T})

Confirmation = Mapping[str, object]


class Unconfirmable(ValueError):
    """The token is bound to something that cannot be checked here, so nobody can use it here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """The key and the certificate without which a token is worth nothing."""

    jkt: str | None = None
    x5t: str | None = None

    @classmethod
    def read(cls, cnf: object) -> Self | None:
        """Read a cnf claim; None when there is none. One that is not wholly understood is refused, not ignored."""
        if cnf is None:
            return None
        if not isinstance(cnf, Mapping) or not cnf or not _KNOWN.issuperset(cnf):
            raise Unconfirmable
        if not all(isinstance(value, str) and value for value in cnf.values()):
            raise Unconfirmable
        return cls(jkt=cnf.get(JKT), x5t=cnf.get(X5T))


def token_type(cnf: Confirmation | None) -> str:
    """Name the way a token is to be used (RFC 9449 section 5)."""
    return "DPoP" if cnf is not None and JKT in cnf else "Bearer"
