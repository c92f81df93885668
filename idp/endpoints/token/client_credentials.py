"""client_credentials (RFC 6749 section 4.4): a service acts for itself. Nothing is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from idp.clients.client import CLIENT_CREDENTIALS
from idp.endpoints.token import target
from idp.endpoints.token.grant import Grant
from idp.endpoints.token.mint import Award
from idp.protocol.errors import InvalidScope, InvalidTarget, UnauthorizedClient
from idp.protocol.scope import OIDC

if TYPE_CHECKING:
    from idp.store.database import Session


class ClientCredentials(Grant):
    """A token for a client's own API, by its own authority."""

    GRANT_TYPE: ClassVar[str] = CLIENT_CREDENTIALS
    EVENT: ClassVar[str] = "client_credentials.used"

    def settle(self) -> Award:
        """Decide without the store: the token is its own record, and its issuance is counted."""
        return self.authorize(None)

    def authorize(self, tx: Session | None) -> Award:  # noqa: ARG002 - nothing is read or written
        """Choose audience and scopes from what the client may ask for."""
        client = self.caller
        if client.public:
            # RFC 6749 section 4.4: confidential clients only.
            raise UnauthorizedClient("public clients have no credentials")
        asked = self.form.scope()
        if not set(asked).isdisjoint(OIDC):
            raise InvalidScope("OpenID scopes need a person")
        own = {audience: tuple(sorted(api.scopes)) for audience, api in client.apis.items() if not api.builtin}
        if not own:
            raise InvalidTarget("this client has no API")
        audience = target.choose(own, asked=self.form.targets(), issuer=self.held.settings.issuer)
        api = client.apis[audience]
        scopes = target.narrow({audience: own[audience]}, audience, asked)
        return Award(client=client, subject=client.client_id, api=api, scopes=scopes, roles=api.roles)
