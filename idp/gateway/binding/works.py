"""What all routes share about proofs and what outlives a file: those that were seen, and the key of the nonces."""

from __future__ import annotations

import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from idp.gateway.binding.seen import Seen
from idp.gateway.binding.stage import Replay
from idp.gateway.issuers import CannotChange
from idp.protocol.dpop import Nonces

if TYPE_CHECKING:
    from idp.gateway.binding.model import Dpop
    from idp.gateway.binding.shared import SharedSeen
    from idp.gateway.config import Config, Route
    from idp.gateway.limits.model import Store
    from idp.gateway.log import Log

_SHORTEST = 32


class ReplayWorks:
    """Has the one stage. Which Redis is shared, and by which key nonces are made, takes a new start."""

    def __init__(self, config: Dpop, store: Store, *, log: Log, in_force: Callable[[], Dpop]) -> None:
        self._in_force = in_force  # another file may be looked at and refused: it must not count meanwhile
        self._key_file = config.nonce_key_file
        self._nonces = Nonces(key=os.urandom(_SHORTEST) if self._key_file is None else _key(self._key_file))
        self._seen = Seen()
        self._shared: SharedSeen | None = None
        if store.kind == "redis":
            # Imported here: a gateway that remembers for itself works without the package.
            from idp.gateway.binding.shared import SharedSeen  # noqa: PLC0415 - redis is an extra

            self._shared = SharedSeen(store, log=log)
        self.stage = Replay(self._seen, self._shared, self._asked)

    def adopt(self, config: Config) -> None:
        """Refuse a file with another key."""
        if config.dpop.nonce_key_file != self._key_file:
            raise CannotChange("[dpop] nonce_key_file is another: that takes a new start")

    def _asked(self) -> Nonces | None:
        return self._nonces if self._in_force().nonce else None

    def stages(self, route: Route) -> tuple[Any, ...]:  # noqa: ARG002 - as all works
        """Give nothing to any route: whichever it is, a request with a proof has `stage` before all others."""
        return ()

    def start(self) -> None:
        """Begin to talk to Redis."""
        if self._shared is not None:
            self._shared.start()

    def stop(self) -> None:
        """End it."""
        if self._shared is not None:
            self._shared.stop()


def _key(file: Path) -> bytes:
    """Read the key that gateways share for their nonces."""
    raw = file.read_bytes().strip()
    if len(raw) < _SHORTEST:
        raise ValueError(f"[dpop] nonce_key_file: {file} holds fewer than {_SHORTEST} bytes")
    return sha256(raw).digest()
