"""Which words of a provider about the strength of a sign-in count here (attack row FD21)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from idp.federation.connector import Misconfigured
from idp.federation.values import Values
from idp.protocol import acr


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """None count unless the operator says so."""

    acr: Mapping[str, str]
    amr: frozenset[str]

    @classmethod
    def read(cls, values: Values) -> Trust:
        """Read which acr values mean which level, and which amr values mean a second factor."""
        levels = {name: str(level) for name, level in values.table("trusted_acr").items()}
        if not set(levels.values()) <= set(acr.SUPPORTED):
            raise Misconfigured(f"trusted_acr: its values are {', '.join(acr.SUPPORTED)}")
        return cls(acr=levels, amr=frozenset(values.texts("trusted_amr", ())))

    def of(self, claims: Mapping[str, object]) -> tuple[str | None, tuple[str, ...]]:
        """Return the level and the methods that count."""
        listed = claims.get("amr")
        methods = tuple(each for each in listed if each in self.amr) if isinstance(listed, list) else ()
        said = claims.get("acr")
        named = self.acr.get(said) if isinstance(said, str) else None
        return acr.strongest([named, acr.AAL2 if methods else None]), methods
