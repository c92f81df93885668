"""Showing that long work goes on; nothing of it where nobody looks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from idp.store import copying


@contextmanager
def working(what: str, *, quiet: bool) -> Iterator[None]:
    """Show that something of unknown length goes on."""
    with Console(stderr=True, quiet=quiet).status(f"{what} ..."):
        yield


@contextmanager
def bar(what: str, *, quiet: bool) -> Iterator[copying.Progress]:
    """Show how far a piece of work is, table by table."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal) as shown:
        task = shown.add_task(what, total=None)
        yield lambda table, done, total: shown.update(
            task, description=f"{what}: {table}", completed=done, total=total or (None if done else 1)
        )
