"""The settings of an LDAP connector, read once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from idp.federation.connector import Misconfigured
from idp.federation.ldap import spelling
from idp.federation.ldap.address import Address
from idp.federation.values import Values

SECRETS: Final = frozenset({"bind_password"})
GROUPS: Final = ("memberof", "search", "none")
CLAIMS: Final[Mapping[str, str]] = {
    "name": "cn",
    "given_name": "givenName",
    "family_name": "sn",
    "phone_number": "telephoneNumber",
    "locale": "preferredLanguage",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Where the servers are and how long anybody waits for them."""

    servers: tuple[Address, ...]
    ca_file: str | None
    strict: bool
    seconds: float  # for a whole sign-in, however many servers are tried
    connections: int
    tries: int  # fewer than lock the account over there
    tries_window: float

    @classmethod
    def read(cls, values: Values) -> Reach:
        """Read them."""
        servers = tuple(Address.parse(url) for url in values.texts("servers"))
        if not servers:
            raise Misconfigured("servers: name at least one")
        return cls(
            servers=servers,
            ca_file=values.maybe("ca_file"),
            strict=values.flag("strict_certificates", default=False),
            seconds=values.seconds("timeout", 2.0, most=30),
            connections=values.whole("connections", 4, least=1, most=64),
            tries=values.whole("tries", 4, least=1, most=1000),
            tries_window=values.seconds("tries_window", 1800, most=86_400),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class People:
    """How somebody is found, and what is read of them."""

    base: str
    filter: str
    logins: tuple[str, ...]
    template: str | None  # a DN with {} in it, where nobody may search
    id: str
    username: str
    email: str
    email_verified: bool
    claims: Mapping[str, str]

    @classmethod
    def read(cls, values: Values) -> People:
        """Read them."""
        template = values.maybe("user_dn")
        if template is not None and template.count("{}") != 1:
            raise Misconfigured("user_dn: write {} once, where the user name belongs")
        base = values.text("user_base", "" if template is None else template.partition(",")[2])
        claims = {**CLAIMS, **{name: str(attribute) for name, attribute in values.table("claims").items()}}
        return cls(
            base=spelling.check_dn(base, "user_base"),
            filter=checked_filter(values.text("user_filter", "(objectClass=inetOrgPerson)"), "user_filter"),
            logins=values.texts("login_attributes", ("uid", "mail")),
            template=template,
            id=values.text("id_attribute", "entryUUID"),
            username=values.text("username_attribute", "uid"),
            email=values.text("email_attribute", "mail"),
            email_verified=values.flag("email_verified", default=False),
            claims=claims,
        )

    @property
    def attributes(self) -> tuple[str, ...]:
        """Everything to ask for."""
        return tuple(dict.fromkeys((self.id, self.username, self.email, *self.claims.values())))


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    """How groups are found, and how long that may take."""

    how: str
    nested: bool
    base: str
    filter: str
    member: str
    name: str
    seconds: float
    kept: float  # seconds for which the shape of the groups is remembered

    @classmethod
    def read(cls, values: Values, base: str) -> Groups:
        """Read them."""
        return cls(
            how=values.choice("groups", "memberof", GROUPS),
            nested=values.flag("nested_groups", default=True),
            base=spelling.check_dn(values.text("group_base", base), "group_base"),
            filter=checked_filter(values.text("group_filter", "(objectClass=groupOfNames)"), "group_filter"),
            member=values.text("group_member", "member"),
            name=values.text("group_name", "cn"),
            seconds=values.seconds("group_timeout", 1.0, most=30),
            kept=values.seconds("group_cache", 60.0, most=3600),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All of an LDAP connector."""

    name: str
    reach: Reach
    bind_dn: str | None
    bind_password: str | None = field(repr=False)
    people: People
    groups: Groups

    @classmethod
    def parse(cls, name: str, table: Mapping[str, object], secrets: Mapping[str, str]) -> Config:
        """Read a table, whole."""
        values = Values(table)
        people = People.read(values)
        bind_dn = values.maybe("bind_dn")
        made = cls(
            name=name,
            reach=Reach.read(values),
            bind_dn=bind_dn,
            bind_password=secrets.get("bind_password"),
            people=people,
            groups=Groups.read(values, suffix(people.base)),
        )
        values.nothing_else()
        if (bind_dn is None) != (made.bind_password is None):
            raise Misconfigured("bind_password: bind_dn and bind_password go together")
        if bind_dn is None and people.template is None:
            raise Misconfigured("bind_dn: name who may search, or user_dn where nobody may")
        return made


def checked_filter(text: str, field: str) -> str:
    """Refuse what is not one whole filter: it is put beside others."""
    depth = 0
    for place, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if depth < 0 or (depth == 0 and place < len(text) - 1):
            raise Misconfigured(f"{field}: write one filter in brackets, such as (objectClass=person)")
    if depth != 0 or not text.startswith("("):
        raise Misconfigured(f"{field}: write one filter in brackets, such as (objectClass=person)")
    return text


def suffix(base: str) -> str:
    """Return the part of a base that names the whole directory."""
    parts = [part for part in base.split(",") if part.strip().lower().startswith("dc=")]
    return ",".join(parts) or base
