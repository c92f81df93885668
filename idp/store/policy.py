"""What everything that takes part in a sign-in says about a second factor, in one statement."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import bindparam, select, union

from idp.store.api import Api
from idp.store.database import Session
from idp.store.group import Group, GroupMember
from idp.store.prepared import Prepared
from idp.store.role import HELD, Role

_MINE = GroupMember.account_id == bindparam("account_id")
_AMONG = Api.audience.in_(bindparam("audiences", expanding=True))
# Built once: asked for each sign-in.
_SAID = Prepared(
    union(
        select(Group.mfa).join(GroupMember, GroupMember.group_id == Group.id).where(_MINE),
        select(Api.mfa).where(_AMONG),
        select(Role.mfa).join(Api, Api.id == Role.api_id).join(HELD, HELD.c.role_id == Role.id).where(_AMONG),
    )
)


def said(tx: Session, account_id: str, audiences: Sequence[str]) -> set[str]:
    """Return the words of a person's groups, of these APIs, and of the roles the person has there."""
    return {row[0] for row in _SAID.all(tx, {"account_id": account_id, "audiences": audiences})}
