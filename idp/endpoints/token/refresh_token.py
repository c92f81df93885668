"""refresh_token (RFC 6749 section 6, RFC 9700 section 4.14.2): each token once, one successor, one family.

The successor is computed from the token, so that a client whose answer was lost can have the same again without
anybody having kept it. That grace is short, only for the same authenticated client, and only while the successor
is unused; a public client that proves no key proves nothing, so it has none.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from hashlib import sha256
from typing import TYPE_CHECKING, ClassVar

from idp.clients.client import REFRESH_TOKEN
from idp.endpoints.token import person
from idp.endpoints.token.grant import Grant
from idp.protocol.errors import InvalidGrant
from idp.store import grant, refresh_token, standing
from idp.store.digests import digest

if TYPE_CHECKING:
    from idp.endpoints.token.mint import Award
    from idp.store.database import Session
    from idp.store.refresh_token import RefreshToken as Row


class RefreshToken(Grant):
    """New tokens for a grant that still stands."""

    GRANT_TYPE: ClassVar[str] = REFRESH_TOKEN
    EVENT: ClassVar[str] = "token.refreshed"

    ground: standing.Standing  # what the grant rests on, as authorize() found it

    def authorize(self, tx: Session) -> Award:
        """Look, decide, then claim: a request for too much must not cost the family its token."""
        presented = self.form.require("refresh_token")
        token_hash = digest(presented)
        found = standing.of_refresh_token(tx, token_hash)
        if found is None:
            raise InvalidGrant("refresh token is unknown")
        row, self.ground = found
        self.grant_id = row.grant_id
        # RFC 6749 section 10.4: bound to the client it was issued to.
        if row.client_id != self.caller.client_id:
            raise InvalidGrant("refresh token was issued to another client")
        self.sender.must_be(row.cnf)
        if self.caller.fapi2:
            return self._keep(tx, presented, token_hash, row)
        return self._rotate(tx, presented, token_hash, row)

    def _rotate(self, tx: Session, presented: str, token_hash: bytes, row: Row) -> Award:
        successor = derive(self.held.sealer.derive("refresh"), presented)
        if row.used_at is not None:
            return self._again(tx, token_hash, row, successor)
        bought = self._buy(tx, row, successor)
        if refresh_token.claim(tx, token_hash, self.now, successor_hash=digest(successor)) is None:
            # Somebody was faster between the look and the claim: then this is the second use.
            return self._again(tx, token_hash, row, successor)
        refresh_token.create(
            tx,
            token_hash=digest(successor),
            grant_id=row.grant_id,
            client_id=row.client_id,
            # RFC 6749 section 6: a new refresh token has the scope of the old one, however little was asked.
            scopes=row.scopes,
            cnf=self.refresh_cnf,
            now=self.now,
            idle_expires_at=self.now + self.held.settings.refresh_idle,
        )
        return bought

    def _again(self, tx: Session, token_hash: bytes, row: Row, successor: str) -> Award:
        """Answer a second use: the same successor within the grace, else the end of the family."""
        since = self.now - self.held.settings.refresh_grace
        known = not self.caller.public or row.cnf is not None
        if known and refresh_token.unused_successor(tx, token_hash, since) is not None:
            return self._buy(tx, row, successor)
        self.alarm = "refresh_token.reused"
        grant.revoke(tx, row.grant_id, self.now, reason="refresh token reused")
        raise InvalidGrant("refresh token was used before")

    def _keep(self, tx: Session, presented: str, token_hash: bytes, row: Row) -> Award:
        """FAPI 2.0 Security Profile section 5.3.2.1: no rotation."""
        bought = self._buy(tx, row, presented)
        refresh_token.touch(tx, token_hash, self.now + self.held.settings.refresh_idle)
        return bought

    def _buy(self, tx: Session, row: Row, following: str) -> Award:
        if self.now >= row.idle_expires_at:
            raise InvalidGrant("refresh token has expired")
        held = person.check(self.ground, self.caller, row.scopes, self.now)
        # The first audience is the one of the answer before: a refresh that names none continues with it.
        preferred = [next(iter(row.scopes))]
        return person.award(
            tx,
            held,
            self.caller,
            self.form,
            issuer=self.held.settings.issuer,
            preferred=preferred,
            nonce=None,  # OpenID Connect Core section 12.2: a refreshed ID token should have none
            refresh_token=following,
        )


def derive(key: bytes, token: str) -> str:
    """Return the one successor of a refresh token: 256 bits that nobody without the key can foresee."""
    made = hmac.new(key, token.encode("utf-8", "surrogatepass"), sha256).digest()
    return urlsafe_b64encode(made).rstrip(b"=").decode("ascii")
