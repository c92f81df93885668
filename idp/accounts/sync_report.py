"""What a sync found, or would do: figures for the log, a line for each person for whoever looks before it happens."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Literal

Kind = Literal["closed", "gone", "reopened", "roles"]
SIGNS: Final = {"closed": "-", "gone": "-", "reopened": "+", "roles": "~"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What changed, or would, for one person. `why`: in whose words of the directory."""

    kind: Kind
    username: str
    why: str = ""
    came: tuple[str, ...] = ()
    went: tuple[str, ...] = ()

    def line(self) -> str:
        """Say it as a line of a diff."""
        said = {"closed": f"closed: {self.why}", "gone": "closed: gone", "reopened": "opened again"}
        roles = " ".join([*(f"+{each}" for each in self.came), *(f"-{each}" for each in self.went)])
        return f"{SIGNS[self.kind]} {self.username}  {said.get(self.kind) or 'roles: ' + roles}"


@dataclass(slots=True, kw_only=True)
class Report:
    """What a sync found, or would do."""

    full: bool = False  # everybody was read, and not only who had changed
    read: int = 0
    linked: int = 0
    changes: list[Change] = field(default_factory=list)
    trouble: str | None = None

    def add(
        self, kind: Kind, username: str, why: str = "", *, came: Iterable[str] = (), went: Iterable[str] = ()
    ) -> None:
        """Add what changes for one person."""
        roles = {"came": tuple(sorted(came)), "went": tuple(sorted(went))}
        self.changes.append(Change(kind=kind, username=username, why=why, **roles))

    def names(self, kind: Kind) -> list[str]:
        """Return whom something happens to."""
        return [each.username for each in self.changes if each.kind == kind]

    @property
    def closed(self) -> list[str]:
        """Return who is closed for being disabled or expired there."""
        return self.names("closed")

    @property
    def gone(self) -> list[str]:
        """Return who is closed for not being there."""
        return self.names("gone")

    @property
    def reopened(self) -> list[str]:
        """Return who is opened again."""
        return self.names("reopened")

    @property
    def roles(self) -> list[str]:
        """Return whose roles change."""
        return self.names("roles")

    def counts(self) -> dict[str, object]:
        """Return the figures."""
        figures: dict[str, object] = {"full": self.full, "read": self.read, "linked": self.linked}
        return figures | {kind: len(self.names(kind)) for kind in ("closed", "reopened", "gone", "roles")}
