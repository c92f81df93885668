"""What a decision may have to wait for once it is judged: a replay claim, a shared limit, an exchange.

The judgement itself never waits. A stage is begun once for a request, in the order of its rule, and says what it waits
for as a Future, so that threads and event loops can both wait for it, each only as long as the stage has patience.
"""

from __future__ import annotations

import asyncio
import contextlib
from concurrent.futures import Future, wait
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from idp.gateway import answers

if TYPE_CHECKING:
    from idp.gateway.config import Config, Route
    from idp.gateway.request import Decision, Request


class Stage(Protocol):
    """One thing of one rule that is done after the judgement."""

    seconds: float  # how long a request waits for it; whoever is later is refused
    regardless: bool  # begun even when the request is refused already, as for what counts every attempt

    def begin(self, request: Request, decision: Decision) -> Future[Any] | None:
        """Do it, or say what to wait for. Done at once it may have called `decision.no` or noted what to send."""

    def end(self, decision: Decision, outcome: Any) -> None:
        """Finish with what the Future brought: note what to send, or refuse. A Future that failed never comes here."""


@runtime_checkable
class Patient(Protocol):
    """A stage that goes on when what it waits for does not come in time, and does not refuse."""

    def late(self, decision: Decision) -> None:
        """Finish without it."""


@runtime_checkable
class Door(Protocol):
    """A stage with a part that comes before the token is looked at, and never waits."""

    def before(self, request: Request, decision: Decision) -> None:
        """Let the request be judged, or call `decision.no`."""


class Works(Protocol):
    """What the stages of all rules share and what outlives a file: counters, connections, caches."""

    def adopt(self, config: Config) -> None:
        """Get ready for another file: the rules that are made next belong to it."""

    def stages(self, route: Route) -> tuple[Stage, ...]:
        """Give the stages of a route; none is the fastest."""

    def start(self) -> None:
        """Begin to connect. Called once in each process that decides."""

    def stop(self) -> None:
        """End the threads."""


def begin(request: Request, decision: Decision, stages: tuple[Stage, ...]) -> None:
    """Begin stage after stage until one has to be waited for: `waits` says for what, `left` what comes after it."""
    for number, stage in enumerate(stages, 1):
        if decision.refusal is not None and not stage.regardless:
            continue
        waits = stage.begin(request, decision)
        if waits is None:
            continue
        if not waits.done():
            decision.waits, decision.stage, decision.left = waits, stage, stages[number:]
            return
        stage.end(decision, waits.result())


def resume(request: Request, decision: Decision) -> None:
    """Go on with what has come, or refuse because it has not."""
    waits, stage, left = decision.waits, decision.stage, decision.left
    decision.waits, decision.stage, decision.left = None, None, ()
    if waits is None or stage is None:
        raise AssertionError("only a decision that waits can go on")
    if waits.done():
        stage.end(decision, waits.result())
    elif isinstance(stage, Patient):
        stage.late(decision)
    else:
        decision.no(answers.LATE)
    begin(request, decision, left)


def wait_for(future: Future[Any], seconds: float) -> None:
    """Hold up this thread until the future is done or the time is over."""
    wait([future], seconds)


async def waited(future: Future[Any], seconds: float) -> None:
    """Let the event loop go on until the future is done or the time is over.

    The future belongs to others too: unlike `asyncio.wrap_future` nobody who leaves can cancel it.
    """
    loop = asyncio.get_running_loop()
    over = loop.create_future()

    def wake() -> None:
        if not over.done():
            over.set_result(None)

    def came(_: Future[Any]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended in the meantime
            loop.call_soon_threadsafe(wake)

    timer = loop.call_later(seconds, wake)
    future.add_done_callback(came)
    try:
        await over
    finally:
        timer.cancel()
