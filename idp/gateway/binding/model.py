"""What gateway.toml says about bound tokens, as frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

Demand = Literal["required", "optional"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bind:
    """What a route demands of the holder of a token. A token that is bound is bound on every route."""

    dpop: Demand | None = None
    mtls: bool = False

    def __str__(self) -> str:
        said = (
            "" if self.dpop is None else f"a proof of the key ({self.dpop})",
            "the certificate" if self.mtls else "",
        )
        return " and ".join(filter(None, said)) or "nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dpop:
    """How proofs are taken by this gateway."""

    nonce: bool = False
    nonce_key_file: Path | None = None  # None: a key of this process, which others do not know
    scheme: Literal["http", "https"] | None = None  # of the addresses that callers use; None: what the front says


ANYBODY: Final = Bind()
USUAL: Final = Dpop()
