"""The set itself: names of what is over, and from when on the tokens of somebody count again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from idp.gateway.revocation.marks import ACCOUNT, CLIENT, GRANT, KEY, SESSION, TOKEN, Marks
from idp.protocol.security_event import Ended, Kind

_EXACT: Final[dict[Kind, str]] = {"token": TOKEN, "session": SESSION, "grants": GRANT, "key": KEY}
_OWNER: Final[dict[Kind, str]] = {"account": ACCOUNT, "client": CLIENT, "everything": ""}
_KIND_OF: Final[dict[str, Kind]] = {prefix: kind for kind, prefix in (_EXACT | _OWNER).items()}
_EVERYTHING: Final = ""


class Revoked:
    """Written by one thread, read by all: each step is one atomic operation of a dict."""

    def __init__(self) -> None:
        self._until: dict[str, int] = {}  # by name: when it may be forgotten
        self._not_before: dict[str, int] = {}  # by owner: tokens issued earlier are void

    def __len__(self) -> int:
        return len(self._until)

    def covers(self, marks: Marks) -> bool:
        """Tell whether a token counts no longer. Asked for every request."""
        until = self._until
        if not until:
            return False
        exact, owners, issued_at = marks
        for name in exact:
            if name in until:
                return True
        not_before = self._not_before
        if not not_before:
            return False
        for name in owners:
            if issued_at < not_before.get(name, 0):
                return True
        return issued_at < not_before.get(_EVERYTHING, 0)

    def add(self, ended: Ended) -> None:
        """Take something over; twice is once, in any order."""
        prefix = _EXACT.get(ended.kind)
        if prefix is not None:
            for each in ended.ids:
                self._until[prefix + each] = max(ended.until, self._until.get(prefix + each, 0))
            return
        prefix = _OWNER[ended.kind]
        for name in [prefix + each for each in ended.ids] or [prefix]:
            self._not_before[name] = max(ended.not_before or 0, self._not_before.get(name, 0))
            self._until[name] = max(ended.until, self._until.get(name, 0))

    def forget(self, now: float) -> None:
        """Let go of what has expired by itself."""
        for name in [name for name, until in self._until.items() if until <= now]:
            del self._until[name]
            self._not_before.pop(name, None)

    def entries(self) -> Iterator[Ended]:
        """Give everything, for keeping."""
        for name, until in self._until.items():
            head, space, rest = name.partition(" ")
            ids = (rest,) if space else ()
            yield Ended(kind=_KIND_OF[head + space], ids=ids, not_before=self._not_before.get(name), until=until)
