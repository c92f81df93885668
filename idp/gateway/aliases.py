"""Headers that a front would carry past us. A gateway beside the request cannot remove them, so it refuses the request.

A front replaces the headers that we name, in that one spelling. Servers behind (WSGI above all) read X_Auth_Subject and
X.Auth.Subject as X-Auth-Subject, and headers of the operator's own (`headers.strip`) are replaced by nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from idp.gateway.headers import IDENTITY, ORIGIN, OURS, normalised

# What every front replaces by our answer.
_REPLACED: Final = frozenset(IDENTITY) | {b"x-auth-assertion", b"x-gatehouse-decision"}
_REMEMBERED: Final = 1_024


class Aliases:
    """The names that may not be in a question, remembered by spelling. Bounded: names come from strangers."""

    def __init__(self, strip: Iterable[str] = ()) -> None:
        self._strip = frozenset(name.encode() for name in strip)
        self._known: dict[bytes, bool] = {}

    def among(self, headers: Sequence[tuple[bytes, bytes]]) -> bool:
        """Tell whether one of these headers (names in lower case) would say behind the front what only we may say."""
        for name, _ in headers:
            known = self._known.get(name)
            if known or (known is None and self._look(name)):
                return True
        return False

    def _look(self, name: bytes) -> bool:
        folded = normalised(name)
        found = (
            folded in self._strip
            or (folded.startswith(OURS) and name not in _REPLACED)
            or (folded.startswith(ORIGIN) and folded != name)
        )
        if len(self._known) < _REMEMBERED:
            self._known[name] = found
        return found
