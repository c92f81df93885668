"""What the sample app remembers of a browser: in memory, found by a random cookie, gone with the process."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass, field

from idp.demo.relying_party import Attempt, Tokens

MOST = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One call that was made, and what came back, as it is shown."""

    call: str
    status: int
    good: bool
    words: str
    body: str = ""
    later: bool = False

    @property
    def mood(self) -> str:
        """The colour of its mark, which the words beside it say too."""
        if self.later:
            return "warn"
        return "good" if self.good else "bad"


@dataclass(slots=True, kw_only=True)
class Visit:
    """One browser. Changed only by requests that carry its cookie."""

    form_key: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    attempt: Attempt | None = None
    again: str | None = None  # what to do once more, when a stronger sign-in has come back
    tokens: Tokens | None = None
    name: str = ""
    profile_token: str | None = None
    answer: Answer | None = None
    trouble: str | None = None
    leaving: str | None = None
    left: list[Answer] = field(default_factory=list)


class Visits:
    """All of them; the one unseen for longest leaves first."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._kept: OrderedDict[str, Visit] = OrderedDict()

    def find(self, name: str | None) -> Visit | None:
        """Return a visit by its cookie."""
        with self._turn:
            visit = self._kept.get(name or "")
            if visit is not None:
                self._kept.move_to_end(name or "")
            return visit

    def begin(self) -> tuple[str, Visit]:
        """Begin a visit under a new name."""
        name, visit = secrets.token_urlsafe(32), Visit()
        with self._turn:
            self._kept[name] = visit
            while len(self._kept) > MOST:
                self._kept.popitem(last=False)
        return name, visit

    def rename(self, name: str) -> str:
        """Move a visit to a new name: a cookie set before sign-in is worth nothing after it."""
        new = secrets.token_urlsafe(32)
        with self._turn:
            self._kept[new] = self._kept.pop(name)
        return new
