"""A real Samba domain behind the connector: its names, its states, its groups."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ldap3
import pytest

from idp.federation.active_directory import ActiveDirectory
from idp.federation.connector import Identity, Misconfigured, NotSignedIn, Outcome
from idp.federation.registry import Made, make
from tests.services.authority import Authority, Certificate
from tests.services.samba import ADMIN, DOMAIN, PASSWORD, ROOT, STAFF, Samba

pytestmark = pytest.mark.xdist_group("samba")
TICKS, EPOCH = 10_000_000, 11_644_473_600


def always(_key: str) -> bool:
    return True


class Domain:
    """What an administrator of it does."""

    def __init__(self, samba: Samba, authority: Authority) -> None:
        tls = ldap3.Tls(validate=ssl.CERT_REQUIRED, ca_certs_file=str(authority.file))
        server = ldap3.Server("localhost", samba.port, use_ssl=True, tls=tls, get_info=ldap3.NONE)
        self.line = ldap3.Connection(server, *ADMIN, receive_timeout=30, auto_referrals=False)
        assert self.line.bind()
        policy = {"lockoutThreshold": 3, "lockoutDuration": -600_000_000, "lockOutObservationWindow": -600_000_000}
        self.line.modify(ROOT, {name: [(ldap3.MODIFY_REPLACE, [value])] for name, value in policy.items()})
        self.line.add(STAFF, ["top", "organizationalUnit"])

    def person(self, name: str, **facts: Any) -> str:
        dn = f"CN={name},{STAFF}"
        row = {
            "sAMAccountName": name,
            "userPrincipalName": f"{name}@{DOMAIN}",
            "displayName": f"{name} Test",
            "mail": f"{name}@example.test",
            "unicodePwd": f'"{PASSWORD}"'.encode("utf-16-le"),
            "userAccountControl": 512,
            **facts,
        }
        assert self.line.add(dn, ["top", "person", "organizationalPerson", "user"], row), self.line.result
        return dn

    def group(self, name: str, *members: str) -> str:
        dn = f"CN={name},{STAFF}"
        assert self.line.add(dn, ["top", "group"], {"sAMAccountName": name, "member": list(members)}), self.line.result
        return dn


@pytest.fixture(scope="module")
def samba(box: Path, certificate: Certificate) -> Iterator[Samba]:
    server = Samba(box / "samba", certificate)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def domain(samba: Samba, authority: Authority) -> Iterator[Domain]:
    """A domain with somebody in every state."""
    made = Domain(samba, authority)
    alice = made.person("alice")
    made.person("bob")
    made.person("disabled", userAccountControl=514)
    made.person("over", accountExpires=str(int((time.time() - 86_400 + EPOCH) * TICKS)))
    made.person("mustchange", pwdLastSet=0)
    made.person("lockme")
    old = made.person("pwold")
    made.person("nights", logonHours=b"\x00" * 21)
    made.person("elsewhere", userWorkstations="OTHERPC")
    inner = made.group("inner", alice)
    middle = made.group("middle", inner)
    outer = made.group("outer", middle)
    made.line.modify(inner, {"member": [(ldap3.MODIFY_ADD, [outer])]})
    past = int((time.time() - 86_400 * 400 + EPOCH) * TICKS)
    samba.change(f"dn: {old}\nchangetype: modify\nreplace: pwdLastSet\npwdLastSet: {past}\n")
    yield made
    made.line.unbind()


@pytest.fixture
def corp(samba: Samba, domain: Domain, authority: Authority) -> Iterator[ActiveDirectory]:
    connector = connected(samba, authority)
    yield connector
    connector.close()


def connected(samba: Samba, authority: Authority, **changes: Any) -> ActiveDirectory:
    config = {
        "servers": [samba.ldaps],
        "ca_file": str(authority.file),
        "domain": DOMAIN,
        "netbios": "CORP",
        "bind_dn": ADMIN[0],
        "timeout": 10,
        "group_timeout": 8,
        **changes,
    }
    made = make("active_directory", Made(name="corp", config=config, secrets={"bind_password": ADMIN[1]}))
    assert isinstance(made, ActiveDirectory)
    return made


def refused(connector: ActiveDirectory, name: str, password: str = PASSWORD) -> tuple[Outcome, str]:
    with pytest.raises(NotSignedIn) as caught:
        connector.authenticate(name, password, always)
    return caught.value.outcome, caught.value.code


def names(who: Identity) -> set[str]:
    return {each.name for each in who.groups}


def test_every_way_to_write_a_name_means_the_same_person(corp: ActiveDirectory) -> None:
    ways = ("alice", "ALICE", "CORP\\alice", "corp\\Alice", f"alice@{DOMAIN}", "Alice@Corp.Example.Test")
    found = {corp.authenticate(name, PASSWORD, always).external_id for name in (*ways, "alice@example.test")}
    assert len(found) == 1
    who = corp.authenticate("alice", PASSWORD, always)
    assert (who.username, who.email, who.claims["name"]) == ("alice", "alice@example.test", "alice Test")


@pytest.mark.attack("FD14")
@pytest.mark.parametrize(
    "name", ["OTHER\\alice", "CORP\\", "\\alice", "CORP\\CORP\\alice", f"alice@{DOMAIN}@{DOMAIN}", "alice@other.test"]
)
def test_a_name_of_another_domain_is_nobody(corp: ActiveDirectory, name: str) -> None:
    assert refused(corp, name)[0] is Outcome.NO_MATCH


@pytest.mark.attack("FD1")
@pytest.mark.parametrize("name", ["*", "al*", "CORP\\*", "alice)(cn=*", f"*@{DOMAIN}"])
def test_filter_characters_are_just_characters_here_too(corp: ActiveDirectory, name: str) -> None:
    assert refused(corp, name) == (Outcome.NO_MATCH, "unknown")


@pytest.mark.attack("FD6")
@pytest.mark.parametrize(
    ("name", "outcome", "code"),
    [
        ("disabled", Outcome.DISABLED, "533"),
        ("over", Outcome.ACCOUNT_EXPIRED, "701"),
        ("mustchange", Outcome.MUST_CHANGE, "773"),
        ("pwold", Outcome.PASSWORD_EXPIRED, "532"),
        ("nights", Outcome.NOT_NOW, "530"),
        ("elsewhere", Outcome.NOT_HERE, "531"),
    ],
)
def test_the_sub_code_of_a_refusal_tells_the_state_to_whoever_has_the_password(
    corp: ActiveDirectory, name: str, outcome: Outcome, code: str
) -> None:
    assert refused(corp, name) == (outcome, code)
    assert refused(corp, name, "wrong")[0] is Outcome.NO_MATCH


@pytest.mark.attack("FD6")
def test_a_locked_account_is_refused_with_the_right_password_too(corp: ActiveDirectory) -> None:
    for _ in range(3):
        refused(corp, "lockme", "wrong")
    assert refused(corp, "lockme") == (Outcome.LOCKED, "775")


def test_the_states_are_read_without_a_password(corp: ActiveDirectory) -> None:
    found = {name: corp.find(name) for name in ("alice", "disabled", "over")}
    standing = {name: who.standing for name, who in found.items() if who is not None}
    assert standing == {"alice": None, "disabled": Outcome.DISABLED, "over": Outcome.ACCOUNT_EXPIRED}


@pytest.mark.attack("FD11")
def test_the_next_bearer_of_a_name_is_another_person(corp: ActiveDirectory, domain: Domain) -> None:
    dn = domain.person("carol")
    first = corp.authenticate("carol", PASSWORD, always).external_id
    assert domain.line.delete(dn)
    domain.person("carol")
    assert corp.authenticate("carol", PASSWORD, always).external_id != first


@pytest.mark.attack("FD8")
def test_nested_groups_are_found_through_a_circle_and_the_primary_one_too(corp: ActiveDirectory) -> None:
    who = corp.authenticate("alice", PASSWORD, always)
    assert {"inner", "middle", "outer", "Domain Users"} <= names(who)
    assert who.groups_complete
    via = {each.name: each.via for each in who.groups}
    assert via["inner"] is None
    assert via["outer"] == f"CN=middle,{STAFF}"
    # Domain Users is itself in a group.
    assert "Users" in names(who)


def test_where_the_server_cannot_climb_in_time_we_climb_ourselves(
    corp: ActiveDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = names(corp.authenticate("alice", PASSWORD, always))
    monkeypatch.setattr(corp, "_chain", lambda *_: None)
    who = corp.authenticate("alice", PASSWORD, always)
    assert names(who) == whole
    assert who.groups_complete


def test_everybody_is_read_with_standing_and_groups(corp: ActiveDirectory) -> None:
    found = {who.username: who for who in corp.everybody()}
    assert found["disabled"].standing is Outcome.DISABLED
    assert {"inner", "middle", "outer"} <= names(found["alice"])
    assert "DC1$" not in found


def test_a_test_walks_every_step(corp: ActiveDirectory) -> None:
    steps = list(corp.examine("CORP\\alice"))
    assert [each.step for each in steps] == ["TLS", "bind", "search", "person", "groups"]
    assert all(each.passed for each in steps), steps


@pytest.mark.parametrize(
    ("changes", "field"), [({"domain": "a@b"}, "domain"), ({"domain": None}, "domain"), ({"bind": 1}, "bind")]
)
def test_what_cannot_be_is_refused_by_its_name(changes: dict[str, Any], field: str) -> None:
    config = {"servers": ["ldaps://dc1"], "domain": DOMAIN, "bind_dn": "x", **changes}
    plain = {name: value for name, value in config.items() if value is not None}
    with pytest.raises(Misconfigured, match=f"^{field}:"):
        make("active_directory", Made(name="corp", config=plain, secrets={"bind_password": "x"}))
