"""Every table, in one import: what creates, compares and copies the whole database starts here."""

from __future__ import annotations

from idp.store.account import Account
from idp.store.api import Api, ApiResourceClient, ApiScope
from idp.store.audit import AuditCheckpoint, AuditRow
from idp.store.client import Client, ClientScope
from idp.store.code import Code
from idp.store.connector import Connector, ConnectorRule, ConnectorSync
from idp.store.consent import Consent
from idp.store.counter import Counter
from idp.store.declared import Declared
from idp.store.device import Device
from idp.store.event import Event, Stream, Waiting
from idp.store.exchange_policy import ExchangePolicy
from idp.store.grant import Grant
from idp.store.group import Group, GroupMember, GroupRole
from idp.store.handshake import Handshake
from idp.store.identity import Identity, IdentityRole
from idp.store.invitation import Invitation
from idp.store.lease import Lease
from idp.store.meta import Meta
from idp.store.reference_token import ReferenceToken
from idp.store.refresh_token import RefreshToken
from idp.store.role import ClientRole, Role, RoleScope
from idp.store.session import BrowserSession
from idp.store.signin import Signin
from idp.store.signing_key import SigningKey
from idp.store.token import RevokedToken
from idp.store.totp import RecoveryCode, Totp
from idp.store.types import Base
from idp.store.upstream_session import UpstreamSession
from idp.store.used_jti import UsedJti

__all__ = [
    "Account",
    "Api",
    "ApiResourceClient",
    "ApiScope",
    "AuditCheckpoint",
    "AuditRow",
    "BrowserSession",
    "Client",
    "ClientRole",
    "ClientScope",
    "Code",
    "Connector",
    "ConnectorRule",
    "ConnectorSync",
    "Consent",
    "Counter",
    "Declared",
    "Device",
    "Event",
    "ExchangePolicy",
    "Grant",
    "Group",
    "GroupMember",
    "GroupRole",
    "Handshake",
    "Identity",
    "IdentityRole",
    "Invitation",
    "Lease",
    "Meta",
    "RecoveryCode",
    "ReferenceToken",
    "RefreshToken",
    "RevokedToken",
    "Role",
    "RoleScope",
    "Signin",
    "SigningKey",
    "Stream",
    "Totp",
    "UpstreamSession",
    "UsedJti",
    "Waiting",
]

metadata = Base.metadata
