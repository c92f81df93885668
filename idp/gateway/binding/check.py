"""Whether whoever brings a token is the one it is bound to. Nothing here waits, and nothing is remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from idp.gateway import answers
from idp.gateway.answers import Refusal
from idp.gateway.binding import challenge
from idp.gateway.binding.model import Bind
from idp.gateway.credential import Proved
from idp.gateway.path import split_target
from idp.jose.dpop import Proof, verify_proof
from idp.jose.strict import JoseError
from idp.protocol import client_certificate
from idp.protocol.confirmation import Bound

if TYPE_CHECKING:
    from idp.gateway.config import Config
    from idp.gateway.peers import Peers
    from idp.gateway.principal import Principal
    from idp.gateway.request import Request

_SCHEMES: Final = frozenset({b"http", b"https"})
_UNBOUND: Final = Bound()


class NotTheHolder(Exception):
    """The token is good, and not in the hands of its holder."""

    def __init__(self, refusal: Refusal, reason: str) -> None:
        super().__init__(reason)
        self.refusal = refusal
        self.reason = reason


class Surroundings:
    """What a request is read by: who may speak for others, and in which words."""

    def __init__(self, config: Config, peers: Peers) -> None:
        self._peers = peers
        self._scheme = config.dpop.scheme
        header = config.headers.client_certificate
        self._certificate = header.encode("ascii") if header is not None else None

    def address(self, request: Request) -> str:
        """Give the address that the caller used, as far as a trusted front has said it."""
        path, _ = split_target(request.target)
        return f"{self._scheme or self._said(request)}://{request.host.decode('latin-1')}{path.decode('latin-1')}"

    def _said(self, request: Request) -> str:
        said = [value for name, value in request.headers if name == b"x-forwarded-proto"]
        believed = len(said) == 1 and said[0] in _SCHEMES and self._peers.trusted(request.peer)
        return said[0].decode("ascii") if believed else "http"

    def thumbprint(self, request: Request) -> str | None:
        """Name the certificate of the caller; None when no trusted front has shown one, or more than one."""
        if self._certificate is None or not self._peers.trusted(request.peer):
            return None
        shown = [value for name, value in request.headers if name == self._certificate]
        der = client_certificate.read(shown[0].decode("latin-1")) if len(shown) == 1 else None
        return None if der is None else client_certificate.thumbprint(der)


class Binding:
    """What one route asks of the holder of a token."""

    __slots__ = ("_around", "_bad_proof", "_proof", "_refusal", "_wanted", "demands")

    def __init__(self, wanted: Bind, around: Surroundings, *, metadata: str) -> None:
        self._around = around
        self._wanted = wanted
        self._refusal = answers.invalid_token(metadata)
        self._proof = challenge.unproved(metadata)
        self._bad_proof = challenge.bad_proof(metadata)
        self.demands = wanted.dpop == "required" or wanted.mtls

    def check(self, request: Request, principal: Principal, token: bytes, now: float) -> Proof | None:
        """Return the proof that is left to be used up, None when the token needs none, or refuse."""
        bound = self.suits(request, principal, given=isinstance(token, Proved))
        return None if bound.jkt is None else self._proved(request, bound.jkt, token, now)

    def suits(self, request: Request, principal: Principal, *, given: bool) -> Bound:
        """Return what a token is bound to, or refuse what no proof could mend. `given` is whether one was promised."""
        bound = principal.bound or _UNBOUND
        if given is not (bound.jkt is not None) or (bound.jkt is None and self._wanted.dpop == "required"):
            # RFC 9449 section 7.2: a bound token is never a bearer's, and no bearer's token passes for bound.
            raise NotTheHolder(self._proof, "bound to a key" if bound.jkt is not None else "not bound to a key")
        if bound.x5t is None and self._wanted.mtls:
            raise NotTheHolder(self._refusal, "not bound to a certificate")
        if bound.x5t is not None and self._around.thumbprint(request) != bound.x5t:
            raise NotTheHolder(self._refusal, "bound to another certificate")
        return bound

    def _proved(self, request: Request, jkt: str, token: bytes, now: float) -> Proof:
        proofs = [value for name, value in request.headers if name == b"dpop"]
        if len(proofs) != 1:
            raise NotTheHolder(self._bad_proof, "not one proof")
        try:
            proof = verify_proof(
                proofs[0].decode("latin-1"),
                method=request.method,
                addresses=(self._around.address(request),),
                now=now,
                access_token=token.decode("ascii"),
            )
        except JoseError as wrong:
            raise NotTheHolder(self._bad_proof, wrong.reason) from None
        if proof.jkt != jkt:
            raise NotTheHolder(self._proof, "bound to another key")
        return proof
