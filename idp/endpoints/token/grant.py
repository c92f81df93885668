"""The phases that every grant shares, in their order.

1. parse (`web.server`, before a grant is chosen)   2. authenticate the client, and see which key it proves
3. may it use this grant
4. `authorize()`: the grant's own part, with scope and audience from `target`   5. audit   6. mint

Authlib's `BaseGrant` and `TokenEndpointMixin` are the frame; its concrete grants are not used: they look before
they claim, so two requests can redeem one code.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from authlib.oauth2.rfc6749 import BaseGrant, TokenEndpointMixin

from idp.endpoints.token import mint, sender
from idp.protocol.errors import ProtocolError, TooManyRequests, UnauthorizedClient
from idp.web import metrics, proofs
from idp.web.services import caller, services, support_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from idp.clients.client import Client
    from idp.endpoints.token.mint import Award
    from idp.endpoints.token.sender import Sender
    from idp.keys.rotation import Signers
    from idp.store.database import Session
    from idp.web.server import AuthorizationServer, TokenCall


class Grant(BaseGrant, TokenEndpointMixin):  # type: ignore[misc]  # Authlib is untyped
    """One token request on its way through the phases."""

    GRANT_TYPE: ClassVar[str]
    EVENT: ClassVar[str]
    TELLS_REFUSALS: ClassVar[bool] = False  # even those that concern no grant, with their private reason

    def __init__(self, request: TokenCall, server: AuthorizationServer) -> None:
        # Authlib's constructor prepares hooks, which are unordered sets; none are used.
        self.request = request
        self.server = server
        self.form = request.parsed
        self.held = services()
        self.now = self.held.clock()
        self.caller: Client
        self.sender: Sender
        self.signers: Signers
        self.grant_id: str | None = None  # known as soon as authorize() has found it
        self.alarm: str | None = None  # the event of a refusal that means theft

    def validate_token_request(self) -> None:
        """Phases 2 and 3: who is calling, and may it use this grant (RFC 6749 section 5.2)."""
        self.caller = self.held.client_authentication.authenticate(self.request.presented, self.now)
        if self.GRANT_TYPE not in self.caller.grant_types:
            raise UnauthorizedClient("this client may not use this grant")
        self.sender = sender.of(self.request, self.caller, self.held.proofs, self.now)

    def create_token_response(self) -> tuple[int, dict[str, object], Any]:
        """Phases 4 to 6. Signing comes after the commit: nobody waits for the database while RSA is at work."""
        # Looked up before: whoever finds only after the commit that nothing can sign has spent the code for nothing.
        self.signers = self.held.keyring.signers(self.now)
        award = self.settle()
        body = mint.tokens(award, self.signers, self.held, self.now)
        metrics.issued(self.GRANT_TYPE)
        return 200, body, self.held.proofs.told(self.now) if self.sender.proof is not None else ()

    def settle(self) -> Award:
        """Authorize and record in one transaction; a refusal commits what it did, with its own record."""
        with self.held.db.write() as tx:
            try:
                # Before anything else is used up: a proof that comes twice must not cost the code it comes with.
                proofs.spend(tx, self.sender.proof, self.now)
                award = self.bound(self.authorize(tx))
            except ProtocolError as refusal:
                if self._tells(refusal):
                    event = self.alarm or f"{self.EVENT}.refused"
                    reason = refusal.reason if self.TELLS_REFUSALS else ""
                    self._record(tx, event, {"error": refusal.error, "reason": reason or refusal.description})
                raise
            said = {"audience": award.api.audience, "scope": " ".join(award.scopes), **award.recorded}
            self._record(tx, self.EVENT, said, account_id=award.account_id)
            mint.require_keys(award, self.signers)
            return mint.kept(tx, award, self.held, self.now)

    def bound(self, award: Award) -> Award:
        """Bind the tokens of an award to whatever was proved."""
        return award if self.sender.cnf is None else replace(award, cnf=self.sender.cnf)

    @property
    def refresh_cnf(self) -> dict[str, object] | None:
        """Say what a refresh token is bound to: others than public clients authenticate (RFC 9449 section 5)."""
        cnf = self.sender.cnf
        return dict(cnf) if cnf is not None and self.caller.public else None

    def authorize(self, tx: Session) -> Award:
        """The grant's own part: claim what was presented and say what it buys, or refuse."""
        raise NotImplementedError

    def _tells(self, refusal: ProtocolError) -> bool:
        if isinstance(refusal, TooManyRequests):
            return refusal.first
        return self.grant_id is not None or self.TELLS_REFUSALS

    def _record(self, tx: Session, event: str, detail: Mapping[str, Any], *, account_id: str | None = None) -> None:
        self.held.audit.record(
            tx,
            event,
            account_id=account_id,
            client_id=self.caller.client_id,
            ip=caller(),
            support_id=support_id(),
            grant_id=self.grant_id,
            **detail,
        )
