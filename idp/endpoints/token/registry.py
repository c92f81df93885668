"""The grants there are, and how they reach Authlib's dispatcher."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from idp.endpoints.token.authorization_code import AuthorizationCode
from idp.endpoints.token.client_credentials import ClientCredentials
from idp.endpoints.token.refresh_token import RefreshToken
from idp.endpoints.token.token_exchange import TokenExchange

if TYPE_CHECKING:
    from idp.web.server import AuthorizationServer

GRANTS: Final = (AuthorizationCode, RefreshToken, ClientCredentials, TokenExchange)
GRANT_TYPES: Final = tuple(grant.GRANT_TYPE for grant in GRANTS)


def register(server: AuthorizationServer) -> None:
    """Hand every grant to the dispatcher."""
    for grant in GRANTS:
        server.register_grant(grant)
