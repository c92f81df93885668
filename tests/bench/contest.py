"""Rounds in turn, so that what disturbs one contestant disturbs the other: ratios count, not figures."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

Better = Literal["more", "less"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How long and how often."""

    seconds: float
    rounds: int


FULL = Pace(seconds=3.0, rounds=5)
QUICK = Pace(seconds=1.0, rounds=3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One contestant in one round. `cpu` is what its processes used for one piece of work, in microseconds."""

    value: float
    cpu: float | None = None
    failed: int = 0
    p50: float | None = None
    p99: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """The ratio, or the figure where there is no rival, that is wanted."""

    limit: float
    better: Better = "more"
    unit: str = "x"

    def holds(self, value: float) -> bool:
        """Say whether it is reached."""
        return value >= self.limit if self.better == "more" else value <= self.limit

    def __str__(self) -> str:
        return f"{'>=' if self.better == 'more' else '<='} {self.limit:g}{'' if self.unit == 'x' else ' '}{self.unit}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A line of the document: ours beside a rival, round by round. Without a rival the figure itself counts."""

    label: str  # for the picture
    work: str
    rival: str
    reach: Reach
    unit: str
    ours: Sequence[Sample]
    theirs: Sequence[Sample] = ()

    @property
    def rounds(self) -> list[float]:
        """Ratio, or figure, of each round."""
        if not self.theirs:
            return [sample.value for sample in self.ours]
        return [mine.value / other.value for mine, other in zip(self.ours, self.theirs, strict=True) if other.value]

    @property
    def median(self) -> float:
        """What counts."""
        return statistics.median(self.rounds)

    @property
    def worst(self) -> list[tuple[int, float]]:
        """The two worst rounds, by number."""
        numbered = list(enumerate(self.rounds, 1))
        return sorted(numbered, key=lambda each: each[1], reverse=self.reach.better == "less")[:2]

    @property
    def reached(self) -> bool:
        """Say whether the median is within reach, with nothing failed."""
        return self.reach.holds(self.median) and not self.failed

    @property
    def failed(self) -> int:
        """Pieces of work that our side refused or lost."""
        return sum(sample.failed for sample in self.ours)

    def to_json(self) -> dict[str, Any]:
        """Write it down for the document."""
        return asdict(self)

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Outcome:
        """Read it back."""
        samples = {name: [Sample(**each) for each in said[name]] for name in ("ours", "theirs")}
        return cls(**{**said, **samples, "reach": Reach(**said["reach"])})


def median_of(samples: Sequence[Sample], part: str) -> float | None:
    """Return the median of one part of the samples, if they have it."""
    there = [value for sample in samples if (value := getattr(sample, part)) is not None]
    return statistics.median(there) if there else None


def alternate(contestants: Mapping[str, Callable[[float], Sample]], pace: Pace) -> dict[str, list[Sample]]:
    """Let everybody work in each round, the order turned about every time; a short first turn warms up."""
    taken: dict[str, list[Sample]] = {name: [] for name in contestants}
    for work in contestants.values():
        work(min(1.0, pace.seconds))
    for number in range(pace.rounds):
        names = list(contestants) if number % 2 == 0 else list(reversed(contestants))
        for name in names:
            taken[name].append(contestants[name](pace.seconds))
    return taken
