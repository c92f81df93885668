"""Reading the chain again: which rows are not what was sealed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from idp.audit import chain
from idp.audit.seal import PURPOSE
from idp.store import audit
from idp.store.audit import AuditCheckpoint, AuditRow
from idp.store.database import Session
from idp.store.sealed import Sealer


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One place where the record does not hold; `row_id` is None where the row is gone."""

    seq: int
    row_id: str | None
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What came of a walk along the chain."""

    rows: int
    waiting: int
    head: str
    problems: tuple[Problem, ...]

    @property
    def intact(self) -> bool:
        """Whether the record is what was sealed."""
        return not self.problems


def verify(
    tx: Session,
    sealer: Sealer,
    *,
    expected: str | None = None,
    progress: Callable[[int], object] = lambda _count: None,
) -> Report:
    """Walk the chain from the beginning. `expected` is a head noted earlier (`SEQ:HASH`), which must lie on it."""
    walk = _Walk(key=sealer.derive(PURPOSE), marks={mark.seq: mark for mark in audit.checkpoints(tx)})
    problems: list[Problem] = []
    for row in audit.chain(tx):
        problems += walk.step(row)
        progress(walk.rows)
    problems += walk.end()
    if expected is not None and expected not in walk.heads | {walk.head}:
        problems.append(Problem(seq=walk.seq, row_id=None, text="the expected head does not lie on this chain"))
    return Report(rows=walk.rows, waiting=audit.unsealed_count(tx), head=walk.head, problems=tuple(problems))


class _Walk:
    """Where a walk stands: the last number and hash, and the checkpoints still ahead."""

    def __init__(self, *, key: bytes, marks: dict[int, AuditCheckpoint]) -> None:
        self.seq, self.rows, self.hash = 0, 0, chain.BEGINNING
        self.heads = {f"{seq}:{mark.hash.hex()}" for seq, mark in marks.items()}
        self._key, self._marks = key, marks

    @property
    def head(self) -> str:
        """The place reached, to be noted outside."""
        return f"{self.seq}:{self.hash.hex()}"

    def step(self, row: AuditRow) -> Iterator[Problem]:
        """Take one row."""
        seq, stored = row.seq or 0, row.hash or b""
        for missing in range(self.seq + 1, min(seq, self.seq + 11)):
            yield Problem(seq=missing, row_id=None, text="a row is missing here")
        if chain.link(self.hash, row, seq) != stored:
            yield Problem(seq=seq, row_id=row.id, text="this row is not what was sealed")
        mark = self._marks.pop(seq, None)
        if mark is not None:
            yield from self._compare(mark, row, stored)
        # Go on from what is stored: one changed row is one problem, not every row after it.
        self.seq, self.hash, self.rows = seq, stored, self.rows + 1

    def end(self) -> Iterator[Problem]:
        """Look for what was cut off: checkpoints that no row reaches."""
        for seq in sorted(self._marks):
            yield Problem(seq=seq, row_id=None, text="a checkpoint stands here, the row is gone")

    def _compare(self, mark: AuditCheckpoint, row: AuditRow, stored: bytes) -> Iterator[Problem]:
        if not chain.mac_fits(self._key, mark.seq, mark.hash, mark.mac):
            yield Problem(seq=mark.seq, row_id=row.id, text="the checkpoint here was not made by this provider")
        if mark.hash != stored:
            yield Problem(seq=mark.seq, row_id=row.id, text="the chain was made anew before this checkpoint")
