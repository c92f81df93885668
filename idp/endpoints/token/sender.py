"""What a caller of the token endpoint has proved beside its name, and what its tokens are bound to therefore.

DPoP (RFC 9449): a proof binds, whoever brings it. Certificates (RFC 8705): they bind the tokens of clients that are
registered so; others show theirs only to authenticate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from idp.protocol import client_certificate
from idp.protocol.confirmation import JKT, X5T
from idp.protocol.errors import InvalidDpopProof, InvalidGrant, InvalidRequest

if TYPE_CHECKING:
    from datetime import datetime

    from idp.clients.client import Client
    from idp.jose.dpop import Proof
    from idp.protocol.confirmation import Confirmation
    from idp.web.proofs import Proofs
    from idp.web.server import TokenCall

PATH: Final = "/token"
_NO_PROOF: Final = "the DPoP proof is missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """A key that was proved, a certificate that was shown: either, both or nothing."""

    proof: Proof | None = None
    x5t: str | None = None

    @property
    def cnf(self) -> Confirmation | None:
        """Say what tokens are bound to (RFC 7800 section 3.1)."""
        proved = {JKT: self.proof.jkt if self.proof is not None else None, X5T: self.x5t}
        return {name: value for name, value in proved.items() if value is not None} or None

    def must_be(self, cnf: Confirmation | None) -> None:
        """Refuse to refresh for anybody but the holder of the key (RFC 9449 section 5, RFC 8705 section 4)."""
        if cnf is None:
            return
        if JKT in cnf and self.proof is None:
            raise InvalidDpopProof(_NO_PROOF)
        if self.cnf != cnf:
            raise InvalidGrant("the grant is bound to another key")

    def must_hold(self, jkt: str | None) -> None:
        """Refuse a code for anybody but the holder of the key it was asked with (RFC 9449 section 10)."""
        if jkt is None:
            return
        if self.proof is None:
            raise InvalidDpopProof(_NO_PROOF)
        if self.proof.jkt != jkt:
            raise InvalidGrant("code is bound to another key")


def of(call: TokenCall, client: Client, proofs: Proofs, now: datetime) -> Sender:
    """Look at what a request brings, and refuse one that brings too little for its client."""
    proof = proofs.check(call.proof, method=call.method, path=PATH, now=now)
    if proof is None and client.dpop_bound:
        # RFC 9449 section 5.2: dpop_bound_access_tokens.
        raise InvalidDpopProof(_NO_PROOF)
    if not client.certificate_bound:
        return Sender(proof=proof)
    certificate = call.presented.certificate
    if certificate is None:
        # RFC 8705 section 3.4: tls_client_certificate_bound_access_tokens.
        raise InvalidRequest("the client certificate is missing")
    return Sender(proof=proof, x5t=client_certificate.thumbprint(certificate))
