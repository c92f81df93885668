"""Rights taken away, each together with the word to gateways about exactly those who lose something by it.

Whoever has the same by another group, or by another role, loses nothing, and of people only those with a live grant
can hold a token at all. However many they are, it is one INSERT ... SELECT: a row for each hundred people, one for
each service, and one in the queue of each stream for each of these. `now` is to be read inside the transaction.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Final

from sqlalchemy import ColumnElement, Select, exists, select, union
from sqlalchemy.orm import Session, aliased

from idp.store import api, client, event, exchange_policy, group, role
from idp.store.api import Api, ApiScope
from idp.store.client import ClientScope
from idp.store.grant import Grant
from idp.store.group import GroupMember, GroupRole
from idp.store.role import ClientRole, Role, RoleScope

ROLES: Final = "roles changed"
_MANNERS: Final = ("allow_delegation", "allow_impersonation")

_OtherMember, _OtherGroupRole = aliased(GroupMember), aliased(GroupRole)
_OtherRoleScope, _OtherClientRole = aliased(RoleScope), aliased(ClientRole)
_BY_ANOTHER_GROUP = exists().where(
    _OtherMember.account_id == GroupMember.account_id,
    _OtherMember.group_id != GroupMember.group_id,
    _OtherGroupRole.group_id == _OtherMember.group_id,
    _OtherGroupRole.role_id == GroupRole.role_id,
)


def role_from_group(tx: Session, group_id: str, role_id: str, now: dt.datetime) -> None:
    """Take a role from a group."""
    chosen = (GroupMember.group_id == group_id, GroupRole.role_id == role_id)
    _tell_people(tx, now, *chosen, ~_BY_ANOTHER_GROUP)
    group.remove_role(tx, group_id, role_id)


def person_from_group(tx: Session, group_id: str, account_id: str, now: dt.datetime) -> None:
    """Take a person out of a group."""
    chosen = (GroupMember.group_id == group_id, GroupMember.account_id == account_id)
    _tell_people(tx, now, *chosen, ~_BY_ANOTHER_GROUP)
    group.remove_member(tx, group_id, account_id)


def scope_from_role(tx: Session, role_id: str, scope_id: str, now: dt.datetime) -> None:
    """A role no longer grants a scope."""
    granted = exists().where(RoleScope.role_id == role_id, RoleScope.scope_id == scope_id)
    other = (_OtherRoleScope.scope_id == scope_id, _OtherRoleScope.role_id != role_id)
    people_keep = exists().where(
        _OtherMember.account_id == GroupMember.account_id,
        _OtherGroupRole.group_id == _OtherMember.group_id,
        _OtherGroupRole.role_id == _OtherRoleScope.role_id,
        *other,
    )
    _tell_people(tx, now, GroupRole.role_id == role_id, granted, ~people_keep)
    services_keep = exists().where(
        _OtherClientRole.client_id == ClientRole.client_id,
        _OtherClientRole.role_id == _OtherRoleScope.role_id,
        *other,
    )
    having = select(ClientRole.client_id).where(ClientRole.role_id == role_id, granted, ~services_keep)
    _tell_services(tx, now, having)
    role.remove_scope(tx, role_id, scope_id)


def role_from_client(tx: Session, role_id: str, client_id: str, now: dt.datetime) -> None:
    """Take a role from a service client."""
    having = select(ClientRole.client_id).where(ClientRole.role_id == role_id, ClientRole.client_id == client_id)
    _tell_services(tx, now, having)
    role.remove_client(tx, role_id, client_id)


def scope_from_client(tx: Session, client_id: str, scope_id: str, now: dt.datetime) -> None:
    """A client may no longer ask for a scope: whoever its tokens are about, they may name it."""
    if client.refuse_scope(tx, client_id, scope_id):
        client.void(tx, client_id, now, reason=ROLES)


def exchange_from_client(tx: Session, client_id: str, api_id: str, now: dt.datetime) -> bool:
    """A client may no longer exchange for an API; say whether it could. What it has exchanged for others goes too."""
    if not exchange_policy.remove(tx, client_id, api_id):
        return False
    client.void(tx, client_id, now, reason=ROLES)
    return True


def exchange_of_client(tx: Session, client_id: str, of: Api, now: dt.datetime, wanted: Mapping[str, object]) -> None:
    """Write how far a client may exchange for an API; if that is less than before, its tokens of before are void."""
    before = exchange_policy.find(tx, client_id, of.audience)
    less = before is not None and (
        not set(before.allowed_scopes) <= _names(wanted["allowed_scopes"])
        or any(getattr(before, manner) and not wanted[manner] for manner in _MANNERS)
    )
    exchange_policy.put(tx, client_id=client_id, api_id=of.id, now=now, **wanted)
    if less:
        client.void(tx, client_id, now, reason=ROLES)


def whole_role(tx: Session, role_id: str, now: dt.datetime) -> None:
    """Delete a role."""
    _tell_people(tx, now, GroupRole.role_id == role_id)
    _tell_services(tx, now, select(ClientRole.client_id).where(ClientRole.role_id == role_id))
    role.remove(tx, role_id)


def whole_scope(tx: Session, scope_id: str, now: dt.datetime) -> None:
    """Delete a scope."""
    granting = select(RoleScope.role_id).where(RoleScope.scope_id == scope_id)
    _tell_people(tx, now, GroupRole.role_id.in_(granting))
    allowed = select(ClientScope.client_id).where(ClientScope.scope_id == scope_id)
    _tell_services(tx, now, allowed, select(ClientRole.client_id).where(ClientRole.role_id.in_(granting)))
    api.remove_scope(tx, scope_id)


def whole_api(tx: Session, api_id: str, now: dt.datetime) -> None:
    """Delete an API with its scopes and roles."""
    roles = select(Role.id).where(Role.api_id == api_id)
    scopes = select(ApiScope.id).where(ApiScope.api_id == api_id)
    _tell_people(tx, now, GroupRole.role_id.in_(roles))
    allowed = select(ClientScope.client_id).where(ClientScope.scope_id.in_(scopes))
    _tell_services(tx, now, allowed, select(ClientRole.client_id).where(ClientRole.role_id.in_(roles)))
    api.remove(tx, api_id)


def _names(listed: object) -> set[str]:
    return set(listed) if isinstance(listed, list) else set()


def _tell_people(tx: Session, now: dt.datetime, *which: ColumnElement[bool]) -> None:
    """Tell of the members of groups with roles, both as chosen."""
    holding = exists().where(Grant.account_id == GroupMember.account_id, Grant.revoked_at.is_(None))
    losing = select(GroupMember.account_id.label("id")).join(GroupRole, GroupRole.group_id == GroupMember.group_id)
    # Their roles are read for each token: who looked a moment ago has issued it by the end of the next second.
    until = now.replace(microsecond=0) + dt.timedelta(seconds=2)
    event.tell_each(tx, losing.where(holding, *which).distinct(), now, reason=ROLES, not_before=until)


def _tell_services(tx: Session, now: dt.datetime, *losing: Select[str]) -> None:
    """Tell of tokens in which a client is its own subject; those of people who use it are none of these."""
    until = now.replace(microsecond=0) + client.CACHED
    found = union(*losing).subquery()
    event.tell_each(tx, select(found.c[0].label("id")), now, reason=ROLES, not_before=until, together=1)
