"""From where the next look at a directory goes on, and whether it still may."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Self

from idp.accounts.connectors import Ready
from idp.federation.connector import Mark
from idp.store.connector import ConnectorRule

if TYPE_CHECKING:
    from idp.accounts.sync_round import Round


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What a look leaves to the next one."""

    mark: Mark
    at: datetime  # when it began
    version: int  # of the connector's settings
    rules: frozenset[str]  # a rule that came later has to be held against everybody
    people: int  # there were at the last full look
    groups: frozenset[str]  # that count for something: when one is deleted nothing else says so

    @classmethod
    def after(cls, mark: Mark | None, at: datetime, work: Round) -> Self | None:
        """Return what a look leaves; None when the next has to read everybody again."""
        if mark is None:
            return None
        rules = frozenset(rule.id for rule in work.rules)
        return cls(
            mark=mark,
            at=at,
            version=work.ready.version,
            rules=rules,
            people=work.report.read if work.report.full else work.expected,
            groups=frozenset(work.watched),
        )

    @classmethod
    def read(cls, kept: Mapping[str, object] | None) -> Self | None:
        """Read what was written."""
        match kept:
            case {
                "mark": dict() as mark,
                "at": str() as at,
                "version": int() as version,
                "rules": list() as rules,
                "people": int() as people,
                "groups": list() as groups,
            }:
                return cls(
                    mark=mark,
                    at=datetime.fromisoformat(at),
                    version=version,
                    rules=frozenset(rules),
                    people=people,
                    groups=frozenset(groups),
                )
        return None

    def written(self) -> dict[str, object]:
        """Write it as JSON."""
        return {
            "mark": dict(self.mark),
            "at": self.at.isoformat(),
            "version": self.version,
            "rules": sorted(self.rules),
            "people": self.people,
            "groups": sorted(self.groups),
        }

    def holds(self, ready: Ready, rules: Iterable[ConnectorRule]) -> bool:
        """Say whether nothing has changed here that makes everybody's groups count for something else."""
        return self.version == ready.version and {rule.id for rule in rules} <= self.rules
