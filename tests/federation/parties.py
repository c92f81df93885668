"""Every kind of connector at a real server, and what its people and its administrator do: for one contract of all."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, ClassVar, Protocol, TypeAlias

import ldap3

from idp.accounts.local import Attempt, LocalSignIn, Proof
from idp.accounts.passwords import Passwords
from idp.federation.connector import (
    Connector,
    Finding,
    Handshake,
    Identity,
    MayTry,
    NotSignedIn,
    Outcome,
    PasswordConnector,
    RedirectConnector,
)
from idp.federation.registry import Made, make
from idp.store import account as accounts
from idp.store.account import Account
from idp.store.database import Database, StoreUnavailable
from tests.fixtures.elsewhere import BACK, pairs
from tests.services.authority import Authority
from tests.services.program import free_port
from tests.services.samba import ADMIN as DOMAIN_ADMIN
from tests.services.samba import DOMAIN, STAFF, Domain, Samba
from tests.services.slapd import ADMIN, GROUPS, PASSWORD, PEOPLE, READER, Slapd, group, person
from tests.services.upstream import CLIENT_ID, CLIENT_SECRET, Upstream

Outcomes: TypeAlias = Mapping[str, Outcome]
Cases: TypeAlias = Mapping[str, tuple[str, str]]


class Party(Protocol):
    """One kind. Zoe is there, may sign in, and is in the group `inner` where the kind has groups."""

    kind: str
    connector: Connector
    refusals: ClassVar[Mapping[str, Outcome]]  # of a wrong proof, of nobody, of a closed account
    groups: frozenset[str]  # those of Zoe, and what they are in

    def sign_in(self) -> Identity:
        """Let Zoe sign in."""

    def refused(self, how: str) -> NotSignedIn:
        """Return how somebody is refused: one of `refusals`."""

    def rename(self) -> None:
        """Give Zoe another name or address."""

    def replace(self) -> None:
        """Let Zoe go and another Zoe come."""

    def away(self) -> Connector:
        """Return the same connector, with nobody at the other end."""

    def secrets(self) -> set[str]:
        """Return what nobody may ever read."""


def always(_key: str) -> bool:
    return True


def by_password(connector: Connector, name: str, password: str) -> Identity:
    """Sign somebody in by a password."""
    assert isinstance(connector, PasswordConnector)
    return connector.authenticate(name, password, always)


def why(attempt: Callable[[], object]) -> NotSignedIn:
    """Return why somebody is not signed in."""
    try:
        attempt()
    except NotSignedIn as refused:
        return refused
    raise AssertionError("somebody was signed in")


class Local:
    """Sign-in by a password kept here, seen as a connector: what it promises is what the others promise."""

    name = "local"
    kind = "local"

    def __init__(self, local: LocalSignIn, clock: Callable[[], datetime]) -> None:
        self._local, self._clock = local, clock
        self.tries, self.tries_window = 100, 900.0

    def authenticate(self, username: str, password: str, may_try: MayTry) -> Identity:
        attempt = Attempt(login=username, password=password, device_hash=None, address="192.0.2.7")
        try:
            if not may_try(username):
                raise NotSignedIn(Outcome.HELD_BACK)
            found = self._local.authenticate(attempt, self._clock())
            if not isinstance(found, Proof):
                raise NotSignedIn(Outcome.NO_MATCH, found.value)
            with self._local.db.write() as tx:
                account = self._local.accept(tx, found, self._clock())
        except StoreUnavailable:
            raise NotSignedIn(Outcome.UNAVAILABLE, "store") from None
        assert account is not None
        return self._identity(account)

    def find(self, username: str) -> Identity | None:
        with self._local.db.read() as tx:
            account = accounts.find_by_login(tx, username)
        return None if account is None else self._identity(account)

    def examine(self, sample: str | None) -> Iterator[Finding]:
        try:
            found = None if sample is None else self.find(sample)
        except StoreUnavailable:
            yield Finding(step="store", passed=False, words="the database does not answer")
            return
        yield Finding(step="store", passed=True, words="the database answers")
        if sample is not None:
            yield Finding(step="person", passed=found is not None, words="has an account" if found else "nobody")

    def close(self) -> None:
        return

    def _identity(self, account: Account) -> Identity:
        return Identity(
            connector=self.name,
            external_id=account.id,
            username=account.username,
            email=account.email,
            email_verified=account.email_verified,
            amr=("pwd",),
        )


class Passwordly:
    """What the kinds with a password share."""

    connector: Connector
    password = PASSWORD
    cases: ClassVar[Cases]

    def sign_in(self) -> Identity:
        return by_password(self.connector, "zoe", self.password)

    def refused(self, how: str) -> NotSignedIn:
        return why(lambda: by_password(self.connector, *self.cases[how]))


class AtHome(Passwordly):
    """Accounts of ours."""

    kind = "local"
    groups: frozenset[str] = frozenset()
    password = "correct horse battery staple"
    cases: ClassVar[Cases] = {
        "wrong": ("zoe", "wrong"),
        "unknown": ("nobody", password),
        "closed": ("closed", password),
    }
    refusals: ClassVar[Outcomes] = dict.fromkeys(cases, Outcome.NO_MATCH)

    def __init__(self, local: LocalSignIn, passwords: Passwords, clock: Callable[[], datetime]) -> None:
        self._local, self._clock = local, clock
        self._hash = passwords.hash(self.password)
        self.connector = Local(local, clock)
        with local.db.write() as tx:
            accounts.create(tx, username="zoe", email="zoe@example.test", password_hash=self._hash, now=clock())
            closed = accounts.create(tx, username="closed", password_hash=self._hash, now=clock())
            accounts.disable(tx, closed.id, clock())

    def rename(self) -> None:
        with self._local.db.write() as tx:
            named = accounts.find_by_login(tx, "zoe")
            account = accounts.find(tx, named.id) if named else None
            assert account is not None
            accounts.change(tx, account, self._clock(), {"email": "zoe.new@example.test"})

    def replace(self) -> None:
        with self._local.db.write() as tx:
            named = accounts.find_by_login(tx, "zoe")
            account = accounts.find(tx, named.id) if named else None
            assert account is not None
            accounts.change(tx, account, self._clock(), {"username": "gone", "username_key": "gone", "email_key": None})
            accounts.create(tx, username="zoe", password_hash=self._hash, now=self._clock())

    def away(self) -> Connector:
        nowhere = Database.open("sqlite:////nowhere/idp.db")
        local = LocalSignIn(
            db=nowhere, passwords=self._local.passwords, throttle=self._local.throttle, audit=self._local.audit
        )
        return Local(local, self._clock)

    def secrets(self) -> set[str]:
        return {self.password, self._hash}


class AtLdap(Passwordly):
    """OpenLDAP."""

    kind = "ldap"
    cases: ClassVar[Cases] = {
        "wrong": ("zoe", "wrong"),
        "unknown": ("nobody", PASSWORD),
        "closed": ("locked", PASSWORD),
    }
    refusals: ClassVar[Outcomes] = {
        "wrong": Outcome.NO_MATCH,
        "unknown": Outcome.NO_MATCH,
        "closed": Outcome.LOCKED,
    }
    groups = frozenset({"inner", "middle", "outer"})

    def __init__(self, slapd: Slapd, authority: Authority) -> None:
        self._authority = authority
        self.line = admin(slapd.tls_port, authority, *ADMIN)
        self._come()
        self.connector = self._to(slapd.ldaps)

    def rename(self) -> None:
        assert self.line.modify(person("zoe"), {"mail": [(ldap3.MODIFY_REPLACE, ["zoe.new@example.test"])]})

    def replace(self) -> None:
        assert self.line.delete(person("zoe"))
        self._come()

    def away(self) -> Connector:
        return self._to(f"ldaps://localhost:{free_port()}")

    def secrets(self) -> set[str]:
        return {PASSWORD, READER[1]}

    def leave(self) -> None:
        """Leave the directory as it was."""
        self.line.delete(person("zoe"))
        self.line.unbind()
        self.connector.close()

    def _come(self) -> None:
        row = {"cn": "Zoe", "sn": "Test", "mail": "zoe@example.test", "userPassword": PASSWORD}
        assert self.line.add(person("zoe"), ["inetOrgPerson"], row), self.line.result
        assert self.line.modify(group("inner"), {"member": [(ldap3.MODIFY_ADD, [person("zoe")])]}), self.line.result

    def _to(self, server: str) -> Connector:
        config = {
            "servers": [server],
            "ca_file": str(self._authority.file),
            "bind_dn": READER[0],
            "user_base": PEOPLE,
            "group_base": GROUPS,
        }
        return make("ldap", Made(name="ldap", config=config, secrets={"bind_password": READER[1]}))


class AtDomain(Passwordly):
    """Active Directory."""

    kind = "active_directory"
    cases: ClassVar[Cases] = {
        "wrong": ("CORP\\zoe", "wrong"),
        "unknown": ("nobody", PASSWORD),
        "closed": ("disabled", PASSWORD),
    }
    refusals: ClassVar[Outcomes] = {
        "wrong": Outcome.NO_MATCH,
        "unknown": Outcome.NO_MATCH,
        "closed": Outcome.DISABLED,
    }
    groups = frozenset({"inner", "middle", "outer", "Domain Users", "Users"})

    def __init__(self, samba: Samba, domain: Domain, authority: Authority) -> None:
        self._domain, self._authority = domain, authority
        self._come()
        self.connector = self._to(samba.ldaps)

    def rename(self) -> None:
        changes = {"mail": "zoe.new@example.test", "userPrincipalName": f"zoe.new@{DOMAIN}", "displayName": "Zoe New"}
        asked = {name: [(ldap3.MODIFY_REPLACE, [value])] for name, value in changes.items()}
        assert self._domain.line.modify(f"CN=zoe,{STAFF}", asked), self._domain.line.result

    def replace(self) -> None:
        assert self._domain.line.delete(f"CN=zoe,{STAFF}")
        self._come()

    def away(self) -> Connector:
        return self._to(f"ldaps://localhost:{free_port()}")

    def secrets(self) -> set[str]:
        return {PASSWORD, DOMAIN_ADMIN[1]}

    def leave(self) -> None:
        """Leave the domain as it was."""
        self._domain.line.delete(f"CN=zoe,{STAFF}")
        self.connector.close()

    def _come(self) -> None:
        dn = self._domain.person("zoe")
        assert self._domain.line.modify(f"CN=inner,{STAFF}", {"member": [(ldap3.MODIFY_ADD, [dn])]})

    def _to(self, server: str) -> Connector:
        config = {
            "servers": [server],
            "ca_file": str(self._authority.file),
            "domain": DOMAIN,
            "netbios": "CORP",
            "bind_dn": DOMAIN_ADMIN[0],
            "timeout": 10,
            "group_timeout": 8,
        }
        return make("active_directory", Made(name="corp", config=config, secrets={"bind_password": DOMAIN_ADMIN[1]}))


class Elsewhere:
    """What the kinds that the browser is sent to share."""

    kind: str
    refusals: ClassVar[Outcomes] = {
        "wrong": Outcome.UNTRUSTED,
        "unknown": Outcome.UNTRUSTED,
        "closed": Outcome.DENIED,
    }
    groups = frozenset({"inner", "outer"})

    def __init__(self, upstream: Upstream) -> None:
        self.upstream = upstream
        self.left: list[Handshake] = []
        self.connector = self._to(upstream.issuer)

    def sign_in(self) -> Identity:
        return self.come_back(self.begin())

    def begin(self, connector: Connector | None = None) -> Handshake:
        """Leave for there."""
        chosen = connector or self.connector
        assert isinstance(chosen, RedirectConnector)
        shake = chosen.begin(BACK)
        self.left.append(shake)
        return shake

    def come_back(self, shake: Handshake, **bent: str) -> Identity:
        """Agree there and come back."""
        assert isinstance(self.connector, RedirectConnector)
        answer = [(name, bent.get(name, value)) for name, value in pairs(self.upstream.visit(shake.url))]
        return self.connector.finish(answer, shake.kept, BACK)

    def refused(self, how: str) -> NotSignedIn:
        if how == "wrong":
            return why(lambda: self.come_back(self.begin(), state="another"))
        if how == "unknown":
            self.upstream.person = {"name": "Nobody"}
        else:
            self.upstream.answers.redirect = lambda params: {
                "error": "access_denied",
                "state": params["state"],
                "iss": params["iss"],
            }
        return why(self.sign_in)

    def away(self) -> Connector:
        return self._to(f"http://127.0.0.1:{free_port()}")

    def secrets(self) -> set[str]:
        kept = {value for shake in self.left for name, value in shake.kept.items() if name in {"verifier", "nonce"}}
        return {CLIENT_SECRET, *self.upstream.tokens, *kept}

    def _to(self, issuer: str) -> Connector:
        raise NotImplementedError


class AtOidc(Elsewhere):
    """OpenID Connect."""

    kind = "oidc"

    def __init__(self, upstream: Upstream) -> None:
        super().__init__(upstream)
        upstream.person = {"sub": "z-1", "preferred_username": "zoe", "groups": ["inner", "outer"]}

    def rename(self) -> None:
        self.upstream.person |= {"preferred_username": "zoe.new", "email": "zoe.new@example.test"}

    def replace(self) -> None:
        self.upstream.person |= {"sub": "z-2"}

    def _to(self, issuer: str) -> Connector:
        config = {"issuer": issuer, "client_id": CLIENT_ID}
        return make("oidc", Made(name="oidc", config=config, secrets={"client_secret": CLIENT_SECRET}))


class AtOAuth2(Elsewhere):
    """OAuth 2.0 and an API that says who somebody is."""

    kind = "oauth2"

    def __init__(self, upstream: Upstream) -> None:
        super().__init__(upstream)
        upstream.person = {"id": 1, "login": "zoe", "teams": ["inner", "outer"]}

    def rename(self) -> None:
        self.upstream.person |= {"login": "zoe.new"}

    def replace(self) -> None:
        self.upstream.person |= {"id": 2}

    def _to(self, issuer: str) -> Connector:
        names = ("authorization_endpoint", "token_endpoint", "userinfo_endpoint")
        paths = ("/authorize", "/token", "/userinfo")
        config: dict[str, Any] = {name: issuer + path for name, path in zip(names, paths, strict=True)}
        config |= {"client_id": CLIENT_ID, "scope": ["user"]}
        config["claims"] = {"subject": "id", "username": "login", "groups": "teams"}
        return make("oauth2", Made(name="oauth2", config=config, secrets={"client_secret": CLIENT_SECRET}))


def admin(port: int, authority: Authority, user: str, password: str) -> ldap3.Connection:
    """Bind whoever may change everything."""
    tls = ldap3.Tls(validate=ssl.CERT_REQUIRED, ca_certs_file=str(authority.file))
    server = ldap3.Server("localhost", port, use_ssl=True, tls=tls, get_info=ldap3.NONE)
    line = ldap3.Connection(server, user, password, receive_timeout=30, auto_referrals=False)
    assert line.bind()
    return line
