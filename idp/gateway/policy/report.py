"""How rules were used, out of the decision log: what nobody needs any more is the first thing to take away."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from idp.gateway.config import Config


@dataclass(slots=True, kw_only=True)
class Use:
    """How often one route was asked for."""

    route: str
    allowed: int = 0
    refused: int = 0
    limited: int = 0  # of those, because a limit was used up or every place was taken
    shadowed: int = 0  # allowed, and would have been refused
    last: float | None = None  # the latest request that was let through

    def last_day(self) -> str:
        """Say when it was last of use."""
        return "never" if self.last is None else dt.datetime.fromtimestamp(self.last, dt.UTC).date().isoformat()


def uses(config: Config, lines: Iterable[Mapping[str, Any]], since: dt.date) -> tuple[Use, ...]:
    """Count what the log says about the routes of a file."""
    start = dt.datetime.combine(since, dt.time(), tzinfo=dt.UTC).timestamp()
    found = {route.id: Use(route=route.id) for route in config.routes}
    for line in lines:
        use = found.get(str(line.get("route")))
        at = line.get("at")
        if use is None or line.get("event") != "decision" or not isinstance(at, int | float) or at < start:
            continue
        if line.get("status") == 200:  # noqa: PLR2004 - how the log says "allowed"
            use.allowed += 1
            use.shadowed += "shadow" in line
            use.last = max(at, use.last or at)
        else:
            why = str(line.get("why"))
            use.refused += 1
            use.limited += why == "busy" or why.startswith("limit.")
    return tuple(found.values())


def decisions(lines: Iterable[str]) -> Iterable[Mapping[str, Any]]:
    """Read the lines of a log; one that was torn by a crash is passed over."""
    for line in lines:
        try:
            read = json.loads(line)
        except ValueError:
            continue
        if isinstance(read, dict):
            yield read


def find(lines: Iterable[str], decision: str) -> Mapping[str, Any] | None:
    """Find one decision by its id."""
    return next((line for line in decisions(lines) if line.get("id") == decision), None)
