"""What somebody should look at, worst first within each part."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from idp.gateway.status.figures import DAY, day, span
from idp.gateway.status.look import Facts, Provider

_SILENT: Final = 60.0
_SOON: Final = 14 * DAY


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What happened, and what that means."""

    text: str
    more: str
    bad: bool = False  # requests are refused because of it


def troubles(facts: Facts) -> tuple[Trouble, ...]:
    """Give everything that is not as it should be."""
    return (*_providers(facts), *_file(facts), *_limits(facts), *_servers(facts), *_certificates(facts))


def _providers(facts: Facts) -> Iterator[Trouble]:
    for each in facts.providers:
        if not each.usable:
            more = "Its keys have not come, or are too old to be believed: requests are answered 503."
            yield Trouble(text=f"Tokens of {each.name} cannot be checked", more=more, bad=True)
        elif each.failing:
            more = f"Those in use were confirmed {span(each.age or 0)} ago and serve on for now."
            yield Trouble(text=f"The keys of {each.name} could not be fetched", more=more)
        if each.told and (each.silence is None or each.silence > _SILENT):
            yield Trouble(text=f"Nobody knows what {each.name} has revoked", more=_silence(each))
        yield from _exchanges(each)


def _exchanges(each: Provider) -> Iterator[Trouble]:
    kept = "What was fetched serves on; who needs another token is answered 503."
    if each.silent:
        yield Trouble(text=f"{each.name} did not answer when last asked for an exchange", more=kept, bad=True)
    for audience, left in each.held_back.items():
        more = f"It is asked again in {span(left)}. {kept}"
        yield Trouble(text=f"{each.name} gives no more exchanges for {audience} now", more=more, bad=True)


def _silence(each: Provider) -> str:
    since = "was never heard" if each.silence is None else f"was last heard {span(each.silence)} ago"
    return f"It {since}. Each route says what that means for it."


def _file(facts: Facts) -> Iterator[Trouble]:
    if facts.problems:
        yield Trouble(text="A newer file is not in force", more="; ".join(facts.problems))


def _limits(facts: Facts) -> Iterator[Trouble]:
    if facts.limits == "alone":
        more = "Redis is away; each gateway keeps to its share."
        yield Trouble(text="Limits are counted by this gateway alone", more=more)


def _servers(facts: Facts) -> Iterator[Trouble]:
    for server in facts.servers:
        if not server.well:
            more = "It did not answer, and is tried again by itself."
            yield Trouble(text=f"{server.address} gets no requests", more=more)


def _certificates(facts: Facts) -> Iterator[Trouble]:
    for ends in sorted({server.ends for server in facts.servers if server.ends is not None}):
        left = ends - facts.now
        if left < _SOON:
            when = f"in {span(left)}, on {day(ends)}" if left > 0 else f"on {day(ends)}, which is over"
            yield Trouble(text="A certificate towards the servers has to be replaced", more=f"It ends {when}.")
