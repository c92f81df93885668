"""What a route says about the token that the server behind it gets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Actor = Literal["gateway", "none"]
Mode = Literal["refuse", "narrow"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A token for one other audience, by exchange (RFC 8693)."""

    audience: str
    scopes: frozenset[str] = frozenset()  # none: whatever the provider allows
    ttl: float = 60.0  # how long one is used, if it lives that long
    actor: Actor = "gateway"  # "none": it names the person alone (impersonation)
    mode: Mode = "refuse"  # "narrow": fewer scopes will do, where the caller has fewer

    def __str__(self) -> str:
        scopes = f" with {' '.join(sorted(self.scopes))}" if self.scopes else ""
        actor = "naming the gateway as actor" if self.actor == "gateway" else "naming nobody as actor"
        fewer = ", with fewer scopes if need be" if self.mode == "narrow" else ""
        return f"for {self.audience}{scopes}, used {self.ttl:g} s, {actor}{fewer}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Assertion:
    """A statement by the gateway itself about who is calling."""

    audience: str
    ttl: float = 60.0

    def __str__(self) -> str:
        return f"for {self.audience}, good for {self.ttl:g} s"
