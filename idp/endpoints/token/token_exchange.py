"""token-exchange (RFC 8693): a token for one API becomes a narrower one for the next, with everybody on record."""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import TYPE_CHECKING, ClassVar

from idp.accounts import roles
from idp.accounts.roles import Entitlements, SecondFactor
from idp.clients import directory, quota
from idp.clients.client import TOKEN_EXCHANGE
from idp.endpoints.token.grant import Grant
from idp.endpoints.token.mint import JTI_BYTES, Award
from idp.jose.verify import audience_list
from idp.protocol import acr, exchange
from idp.protocol.errors import InvalidRequest, UnauthorizedClient, UnmetAuthenticationRequirements
from idp.protocol.exchange import ExchangeRequest, Permission, Requester
from idp.protocol.subject import Subject, unusable
from idp.store import account, client, exchange_policy
from idp.store import token as tokens
from idp.web.presented_token import access_token

if TYPE_CHECKING:
    from idp.store.api import Api
    from idp.store.database import Session
    from idp.store.exchange_policy import ExchangePolicy
    from idp.web.presented_token import AccessToken

# How and when the person signed in, and what the token hangs on: copied, never made stronger (RFC 8693 section 1.1).
COPIED = ("auth_time", "acr", "amr", "sid", "grant_id")


class TokenExchange(Grant):
    """A token for another API, in exchange for one that the client was shown or given."""

    GRANT_TYPE: ClassVar[str] = TOKEN_EXCHANGE
    EVENT: ClassVar[str] = "token.exchanged"
    TELLS_REFUSALS: ClassVar[bool] = True

    def settle(self) -> Award:
        """Check signatures before the transaction begins: writers wait for each other."""
        self.subject_token = self._verified("subject_token")
        self.actor_token = self._verified("actor_token")
        return super().settle()

    def authorize(self, tx: Session) -> Award:
        """Look at the subject, the actor and the policy as they are now, then decide."""
        # First of all, so that what is refused counts too.
        quota.take(tx, self.caller.client_id, self.now, limit=self.held.settings.throttle_exchanges_per_minute)
        if self.caller.public:
            raise UnauthorizedClient("public clients may not exchange tokens")
        asked = ExchangeRequest.parse(self.form)
        claims, subject = self._subject(tx)
        requester = self._requester()
        exchange.admit(subject, requester)
        actor = None if asked.actor_token is None else self._actor(tx)
        policy, target = self._policy(tx)
        has = self._check_person(tx, claims, subject, target)
        lifetime = timedelta(seconds=target.token_lifetime) if target.token_lifetime else None
        lifetime = lifetime or self.held.settings.access_token_lifetime
        decided = exchange.decide(
            subject,
            requester,
            _permission(policy, lifetime),
            actor=actor,
            asked=asked.scopes,
            available=has.scopes,
            now=int(self.now.timestamp()),
        )
        added = decided.claims() | {
            "jti": secrets.token_urlsafe(JTI_BYTES),
            "txn": subject.txn or secrets.token_urlsafe(JTI_BYTES),
        }
        return Award(
            client=self.caller,
            subject=subject.sub,
            api=directory.api_facts(target, frozenset(decided.scopes), lifetime),
            scopes=decided.scopes,
            roles=_roles(has, subject, target),
            claims={name: claims[name] for name in COPIED if name in claims} | added,
            expires_at=decided.expires_at,
            issued_token_type=exchange.ACCESS_TOKEN,
            recorded={name: added[name] for name in ("jti", "txn", "act", "may_act", "parents") if name in added},
        )

    def _verified(self, name: str) -> AccessToken | None:
        return access_token(self.held, self.form.get(name) or "", self.now)

    def _subject(self, tx: Session) -> tuple[dict[str, object], Subject]:
        found = self.subject_token
        if found is None:
            raise unusable("not a good access token of this provider")
        claims = dict(found.claims)
        if isinstance(claims.get("grant_id"), str):
            self.grant_id = str(claims["grant_id"])
        if not tokens.is_live(tx, claims, self.now):
            raise unusable("the token, or what it rests on, has ended")
        return claims, Subject.read(claims, audience_list(claims))

    def _actor(self, tx: Session) -> str:
        """Name the actor: whoever the requester's own token is about. Others' tokens make nobody an actor."""
        found = self.actor_token
        if found is None or found.client_id != self.caller.client_id or "act" in found.claims or "cnf" in found.claims:
            raise InvalidRequest("the actor token cannot be used", reason="not the requester's own good access token")
        if not tokens.is_live(tx, found.claims, self.now):
            raise InvalidRequest("the actor token cannot be used", reason="it has ended")
        return str(found.claims["sub"])

    def _requester(self) -> Requester:
        return Requester(
            client_id=self.caller.client_id,
            issuer=self.held.settings.issuer,
            serves=self.caller.serves,
            asymmetric=self.caller.asymmetric,
            confirmation=self.sender.cnf,
        )

    def _policy(self, tx: Session) -> tuple[ExchangePolicy, Api]:
        rows = exchange_policy.of_client(tx, self.caller.client_id)
        allowed = {target.audience: (policy, target) for policy, target in rows}
        policy, target = allowed[exchange.target(self.form.targets(), tuple(allowed))]
        if policy.per_minute is not None:
            quota.take(tx, self.caller.client_id, self.now, limit=policy.per_minute, audience=target.audience)
        return policy, target

    def _check_person(self, tx: Session, claims: dict[str, object], subject: Subject, target: Api) -> Entitlements:
        """Return what the subject has at the target now; refuse a person who has not shown enough for it."""
        if "grant_id" not in claims:
            return _of_service(tx, subject, target)
        owner = account.find(tx, subject.sub)
        if owner is None:
            raise unusable("the account is gone")
        policy = roles.second_factor(tx, owner, self.caller, [target.audience], self.held.settings.mfa)
        if policy is SecondFactor.REQUIRED and not acr.meets(subject.acr, acr.AAL2):
            raise UnmetAuthenticationRequirements("the target asks for a stronger sign-in")
        has = roles.entitlements(tx, owner.id, target.audience)
        # The issuer's own scopes need no role.
        return Entitlements(roles=has.roles, scopes=frozenset(subject.scopes)) if target.builtin else has


def _of_service(tx: Session, subject: Subject, target: Api) -> Entitlements:
    has = roles.client_entitlements(tx, subject.sub, target.audience)
    return Entitlements(roles=has.roles, scopes=client.scopes(tx, subject.sub).get(target.audience, frozenset()))


def _permission(policy: ExchangePolicy, lifetime: timedelta) -> Permission:
    longest = int(lifetime.total_seconds())
    return Permission(
        scopes=frozenset(policy.allowed_scopes),
        impersonate=policy.allow_impersonation,
        delegate=policy.allow_delegation,
        require_may_act=policy.require_may_act,
        may_act=policy.may_act,
        require_acr=policy.require_acr,
        narrow=policy.mode == exchange_policy.NARROW,
        lifetime=longest if policy.max_ttl is None else min(longest, policy.max_ttl),
    )


def _roles(has: Entitlements, subject: Subject, target: Api) -> frozenset[str]:
    # Roles are the target's own, as they are now. A token for the same API never gains one on the way.
    return has.roles & subject.roles if target.audience in subject.audiences else has.roles
