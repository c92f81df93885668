"""client_credentials (RFC 6749 section 4.4): a service acts for itself. For a JWT nothing but a proof is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from idp.clients.client import CLIENT_CREDENTIALS, REFERENCE
from idp.endpoints.token import target
from idp.endpoints.token.grant import Grant
from idp.endpoints.token.mint import Award
from idp.protocol import scope
from idp.protocol.errors import InvalidScope, InvalidTarget, UnauthorizedClient
from idp.web import proofs

if TYPE_CHECKING:
    from idp.store.database import Session

OIDC: Final = frozenset(scope.OIDC)


class ClientCredentials(Grant):
    """A token for a client's own API, by its own authority."""

    GRANT_TYPE: ClassVar[str] = CLIENT_CREDENTIALS
    EVENT: ClassVar[str] = "client_credentials.used"

    def settle(self) -> Award:
        """Decide without the store: the token is its own record, and that it was issued is told by the second."""
        if self.caller.access_token_format == REFERENCE:
            return super().settle()
        if self.sender.proof is not None:
            with self.held.db.write() as tx:
                proofs.spend(tx, self.sender.proof, self.now)
        award = self.bound(self.authorize(None))
        self.held.tally.note(award.client.client_id, award.api.audience)
        return award

    def authorize(self, tx: Session | None) -> Award:  # noqa: ARG002 - nothing is read or written
        """Choose audience and scopes from what the client may ask for."""
        client = self.caller
        if client.public:
            # RFC 6749 section 4.4: confidential clients only.
            raise UnauthorizedClient("public clients have no credentials")
        asked = self.form.scope()
        if not client.own:
            raise InvalidTarget("this client has no API")
        if asked and not OIDC.isdisjoint(asked):
            raise InvalidScope("OpenID scopes need a person")
        audience = target.choose(client.own, asked=self.form.targets(), issuer=self.held.settings.issuer)
        api = client.apis[audience]
        scopes = target.narrow({audience: client.own[audience]}, audience, asked)
        return Award(client=client, subject=client.client_id, api=api, scopes=scopes, roles=api.roles)
