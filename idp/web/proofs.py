"""Proofs of possession brought to this provider: checked, given nonces, used up (RFC 9449 sections 5, 8 and 11.1)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from idp.jose.dpop import verify_proof
from idp.jose.strict import JoseError
from idp.protocol.errors import InvalidDpopProof, UseDpopNonce
from idp.store import used_jti

if TYPE_CHECKING:
    from collections.abc import Iterable

    from idp.jose.dpop import Proof
    from idp.protocol.dpop import Nonces
    from idp.store.database import Session

HEADER: Final = "HTTP_DPOP"
NONCE: Final = "DPoP-Nonce"


class Proofs:
    """Says whose key a request shows. `origins` are the addresses of this provider."""

    def __init__(self, nonces: Nonces, *, demand_nonce: bool, origins: Iterable[str]) -> None:
        self._nonces = nonces
        self._demand_nonce = demand_nonce
        self._origins = tuple(origins)

    def check(
        self, given: str | None, *, method: str, path: str, now: datetime, access_token: str | None = None
    ) -> Proof | None:
        """Return the proof of a request, None when it brings none, or refuse it."""
        if given is None:
            return None
        moment = now.timestamp()
        try:
            # WSGI joins repeated headers with a comma, which no proof contains.
            proof = verify_proof(
                given,
                method=method,
                addresses=[origin + path for origin in self._origins],
                now=moment,
                access_token=access_token,
            )
        except JoseError as error:
            raise InvalidDpopProof("the DPoP proof is not valid", reason=error.reason) from None
        if self._demand_nonce and not self._nonces.accepts(proof.nonce, moment):
            raise UseDpopNonce("the DPoP proof needs the nonce of this answer", nonce=self._nonces.current(moment))
        return proof

    def told(self, now: datetime) -> tuple[tuple[str, str], ...]:
        """Return the headers that give the next nonce to whoever has proved a key (RFC 9449 section 8.2)."""
        return ((NONCE, self._nonces.current(now.timestamp())),) if self._demand_nonce else ()


def spend(tx: Session, proof: Proof | None, now: datetime) -> None:
    """Use a proof up; whoever brings it again is refused, on whichever worker."""
    if proof is not None and not used_jti.claim_proof(tx, proof.key, datetime.fromtimestamp(proof.ends, UTC), now):
        raise InvalidDpopProof("the DPoP proof is not valid", reason="proof was used before")
