"""authorization_code (RFC 6749 section 4.1.3, RFC 7636 section 4.6): one code, one redemption."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from idp.clients.client import AUTHORIZATION_CODE, REFRESH_TOKEN
from idp.endpoints.token import person, target
from idp.endpoints.token.grant import Grant
from idp.protocol import pkce
from idp.protocol.errors import InvalidGrant
from idp.store import code, grant, refresh_token, standing
from idp.store.digests import digest, new_secret

if TYPE_CHECKING:
    from idp.endpoints.token.mint import Award
    from idp.store.code import Code
    from idp.store.database import Session


class AuthorizationCode(Grant):
    """Tokens for the code that a person's sign-in left with the client."""

    GRANT_TYPE: ClassVar[str] = AUTHORIZATION_CODE
    EVENT: ClassVar[str] = "code.redeemed"

    def authorize(self, tx: Session) -> Award:
        """Claim the code, then look whether it was the right one."""
        # Claim before checking: a failed redemption burns the code, so nobody can try verifiers on it.
        presented = digest(self.form.require("code"))
        claimed = code.claim(tx, presented, self.now)
        if claimed is None:
            self._refuse_reuse(tx, presented)
            raise InvalidGrant("code is unknown")
        self.grant_id = claimed.grant_id
        self._check(claimed)
        found = standing.of_grant(tx, claimed.grant_id)
        held = person.check(found, self.caller, found.grant.scopes if found else {}, self.now)
        bought = person.award(
            tx,
            held,
            self.caller,
            self.form,
            issuer=self.held.settings.issuer,
            preferred=claimed.resources,
            nonce=claimed.nonce,
            refresh_token=new_secret() if self._may_refresh(held) else None,
        )
        if bought.refresh_token is not None:
            refresh_token.create(
                tx,
                token_hash=digest(bought.refresh_token),
                grant_id=claimed.grant_id,
                client_id=self.caller.client_id,
                scopes=target.lead_with(held.scopes, bought.api.audience),
                cnf=self.refresh_cnf,
                now=self.now,
                idle_expires_at=self.now + self.held.settings.refresh_idle,
            )
        return bought

    def _check(self, claimed: Code) -> None:
        # RFC 6749 section 4.1.3: bound to this client, to this redirect URI, and in time.
        if claimed.client_id != self.caller.client_id:
            raise InvalidGrant("code was issued to another client")
        if self.now >= claimed.expires_at:
            raise InvalidGrant("code has expired")
        if claimed.redirect_uri != self.form.get("redirect_uri"):
            raise InvalidGrant("redirect_uri is not the one of the authorization request")
        self.sender.must_hold(claimed.dpop_jkt)
        pkce.verify(self.form.get("code_verifier"), claimed.code_challenge)

    def _may_refresh(self, held: person.Standing) -> bool:
        return REFRESH_TOKEN in self.caller.grant_types and person.offline(held.scopes, self.held.settings.issuer)

    def _refuse_reuse(self, tx: Session, presented: bytes) -> None:
        """RFC 6749 section 4.1.2: a code that comes twice was stolen; all it ever bought ends."""
        used = code.find(tx, presented)
        if used is None:
            return
        self.grant_id, self.alarm = used.grant_id, "code.reused"
        grant.revoke(tx, used.grant_id, self.now, reason="code reused")
        raise InvalidGrant("code was used before")
