"""What a person may do at an API (groups give roles, roles grant scopes) and when that takes a second factor."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from idp.clients.client import Client
from idp.store import client, policy, role
from idp.store.account import Account
from idp.store.database import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Entitlements:
    """Roles at one API and the scopes they grant together."""

    roles: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()


class SecondFactor(enum.Enum):
    """What policy says about a second factor."""

    OFF = "off"
    OPTIONAL = "optional"
    REQUIRED = "required"


def entitlements(tx: Session, account_id: str, audience: str) -> Entitlements:
    """Return what a person has at one API, now."""
    return _entitlements(role.of_account(tx, account_id, audience))


def entitlements_at(tx: Session, account_id: str, audiences: Iterable[str]) -> dict[str, Entitlements]:
    """Return what a person has at each of these APIs, now."""
    return {name: _entitlements(held) for name, held in role.at_apis(tx, account_id, list(audiences)).items()}


def client_entitlements(tx: Session, client_id: str, audience: str) -> Entitlements:
    """Return what a service client has for itself at one API, now."""
    return _entitlements(role.of_client(tx, client_id, audience))


def still_held(tx: Session, claims: Mapping[str, object]) -> bool:
    """Say whether whoever a token of ours is about still has, at its API, everything that it names."""
    audience, sub = str(claims["aud"]), str(claims["sub"])
    if audience == claims["iss"]:  # its own scopes hang on no role
        return True
    if "grant_id" in claims:
        has = entitlements(tx, sub, audience)
    else:
        allowed = client.scopes(tx, sub).get(audience, frozenset())
        has = Entitlements(roles=client_entitlements(tx, sub, audience).roles, scopes=allowed)
    named = claims.get("roles", [])
    roles = frozenset(map(str, named)) if isinstance(named, list) else frozenset()
    return roles <= has.roles and has.scopes.issuperset(str(claims.get("scope", "")).split())


def second_factor(
    tx: Session, account: Account, client: Client, audiences: Iterable[str], default: str = "optional"
) -> SecondFactor:
    """Return the policy for one person, client and set of APIs.

    Whoever requires it gets it. Otherwise one "off" is a decision, while "optional" is what everything starts as.
    """
    said = {default, client.mfa} | policy.said(tx, account.id, list(audiences))
    if account.must_enrol or SecondFactor.REQUIRED.value in said:
        return SecondFactor.REQUIRED
    return SecondFactor.OFF if SecondFactor.OFF.value in said else SecondFactor.OPTIONAL


def _entitlements(held: Sequence[role.Held]) -> Entitlements:
    return Entitlements(
        roles=frozenset(name for name, _, _ in held),
        scopes=frozenset(scope for _, _, scope in held if scope is not None),
    )
