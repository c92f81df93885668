"""A forest through its global catalogue, as far as one controller shows it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from idp.federation.active_directory import ActiveDirectory
from idp.federation.connector import Identity, NotSignedIn, Outcome, PasswordChanger
from idp.federation.directory import domain as said
from idp.federation.ldap.line import Line
from idp.federation.registry import Made, make
from tests.services.authority import Authority
from tests.services.samba import DOMAIN, PASSWORD, ROOT, STAFF, Domain, Samba

pytestmark = pytest.mark.xdist_group("samba")


def always(_key: str) -> bool:
    return True


@pytest.fixture
def connect(samba: Samba, reader: str, authority: Authority) -> Iterator[Callable[..., ActiveDirectory]]:
    """Connect as an account that may only read; by its catalogue unless told otherwise."""
    made: list[ActiveDirectory] = []

    def to(**changes: Any) -> ActiveDirectory:
        config = {
            "servers": [samba.catalogue],
            "ca_file": str(authority.file),
            "domain": DOMAIN,
            "forest": True,
            "bind_dn": reader,
            **changes,
        }
        connector = make("active_directory", Made(name="corp", config=config, secrets={"bind_password": PASSWORD}))
        assert isinstance(connector, ActiveDirectory)
        made.append(connector)
        return connector

    yield to
    for each in made:
        each.close()


@pytest.fixture
def corp(connect: Callable[..., ActiveDirectory]) -> ActiveDirectory:
    return connect()


def names(who: Identity) -> set[str]:
    return {each.name for each in who.groups}


def refused(corp: ActiveDirectory, name: str) -> NotSignedIn:
    with pytest.raises(NotSignedIn) as caught:
        corp.authenticate(name, PASSWORD, always)
    return caught.value


def test_the_directory_says_what_its_domains_are_called(connect: Callable[..., ActiveDirectory]) -> None:
    corp = connect()
    with corp.servers.turn() as until:
        found = corp.servers.search(until, lambda line, seconds: said.domains(line, seconds=seconds))
    assert [(each.dn, each.dns, each.netbios) for each in found] == [(ROOT, DOMAIN, "corp")]


def test_people_of_the_forest_come_by_every_name_and_another_suffix(
    corp: ActiveDirectory, someone: Callable[..., str]
) -> None:
    branded = someone(userPrincipalName="ann.other@brand.test")
    whom = corp.authenticate(branded, PASSWORD, always)
    # Their UPN has a suffix of its own; account@domain means them all the same.
    for name in ("ann.other@brand.test", f"corp\\{branded}", f"{branded}@{DOMAIN}", f"{branded}@example.test"):
        assert corp.authenticate(name, PASSWORD, always).external_id == whom.external_id, name


@pytest.mark.attack("FD14")
@pytest.mark.parametrize("name", ["SALES\\alice", "alice@sales.corp.example.test", f"alice@x@{DOMAIN}"])
def test_a_name_of_a_domain_that_is_not_in_the_forest_is_nobody(corp: ActiveDirectory, name: str) -> None:
    assert refused(corp, name).outcome is Outcome.NO_MATCH


@pytest.mark.attack("FD11", "FD14")
def test_an_address_in_a_mail_attribute_takes_no_name_from_its_owner(
    connect: Callable[..., ActiveDirectory], samba: Samba, someone: Callable[..., str]
) -> None:
    victim = someone()
    thief = someone(mail=f"{victim}@{DOMAIN}")
    for corp in (connect(), connect(servers=[samba.ldaps], forest=False)):
        assert corp.authenticate(f"{victim}@{DOMAIN}", PASSWORD, always).username == victim
        assert corp.authenticate(thief, PASSWORD, always).username == thief


@pytest.mark.attack("FD4")
def test_an_address_that_two_have_is_nobodys(corp: ActiveDirectory, someone: Callable[..., str]) -> None:
    for _ in range(2):
        someone(mail="shared@example.test")
    assert refused(corp, "shared@example.test").code == "ambiguous"


def test_people_bind_by_domain_and_account_and_their_groups_are_found(
    corp: ActiveDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    bound = []
    real = Line.bind

    def bind(self: Line, dn: str, password: str, *, seconds: float) -> Any:
        bound.append(dn)
        return real(self, dn, password, seconds=seconds)

    monkeypatch.setattr(Line, "bind", bind)
    who = corp.authenticate("alice", PASSWORD, always)
    assert bound[-1] == "corp\\alice"
    assert {"inner", "middle", "outer", "Domain Users"} <= names(who)
    assert who.groups_complete


def test_the_catalogue_can_be_followed_but_tells_nobodys_end(corp: ActiveDirectory, domain: Domain) -> None:
    with corp.look(None, datetime.now(UTC)) as look:
        found = {who.username for who in look.everybody()}
        mark = look.mark()
    assert {"alice", "bob"} <= found
    with corp.look(mark, datetime.now(UTC)) as look:
        assert look.follows
        list(look.changed_groups())
        assert look.gone() is None


def test_a_catalogue_takes_no_new_password(corp: ActiveDirectory) -> None:
    assert isinstance(corp, PasswordChanger)
    assert not corp.changes


def test_less_than_the_forest_can_be_said(connect: Callable[..., ActiveDirectory]) -> None:
    corp = connect(user_base=STAFF, group_base=f"CN=Users,{ROOT}")
    assert names(corp.authenticate("alice", PASSWORD, always)) == {"Domain Users", "inner"}
    for name in ("Administrator", "CORP\\Administrator", f"Administrator@{DOMAIN}"):
        assert corp.find(name) is None, name
    assert corp.find("CORP\\alice") is not None


@pytest.fixture
def sales(domain: Domain) -> Iterator[str]:
    """What a second domain looks like in the catalogue: its name, where it is, and somebody in it."""
    place, cross = f"OU=Sales,{ROOT}", f"CN=SALES,CN=Partitions,CN=Configuration,{ROOT}"
    named = {"nCName": place, "dnsRoot": f"sales.{DOMAIN}", "nETBIOSName": "SALES", "systemFlags": 3}
    assert domain.line.add(place, ["top", "organizationalUnit"])
    assert domain.line.add(cross, ["top", "crossRef"], named), domain.line.result
    carla = domain.person("carla", place, userPrincipalName="carla@brand.test")
    yield "carla"
    for dn in (carla, cross, place):
        assert domain.line.delete(dn), domain.line.result


@pytest.mark.attack("FD14")
def test_people_of_a_second_domain_are_found_by_its_names_and_not_by_those_of_the_first(
    connect: Callable[..., ActiveDirectory], sales: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    corp = connect()
    for name in (sales, f"SALES\\{sales}", f"{sales}@sales.{DOMAIN}", f"{sales}@brand.test"):
        found = corp.find(name)
        assert found is not None, name
        assert found.username == sales
    for name in (f"CORP\\{sales}", f"{sales}@{DOMAIN}", "SALES\\alice", f"alice@sales.{DOMAIN}"):
        assert corp.find(name) is None, name
    # The password goes along with the name of the domain that the person is in; there is no such domain to take it.
    bound = []
    real = Line.bind

    def bind(self: Line, dn: str, password: str, *, seconds: float) -> Any:
        bound.append(dn)
        return real(self, dn, password, seconds=seconds)

    monkeypatch.setattr(Line, "bind", bind)
    assert refused(corp, sales).outcome is Outcome.NO_MATCH
    assert bound[-1] == f"sales\\{sales}"


@pytest.mark.attack("FD10")
def test_a_test_says_how_many_failures_the_domain_forgives(
    connect: Callable[..., ActiveDirectory], samba: Samba, monkeypatch: pytest.MonkeyPatch
) -> None:
    def last(corp: ActiveDirectory) -> tuple[bool, str]:
        (found,) = [each for each in corp.examine(None) if each.step == "lockout"]
        return found.passed, found.words

    def ruled(lockout: int | None) -> tuple[bool, str]:
        rules = (
            None if lockout is None else said.Rules(length=7, mixed=True, history=24, age=0, lockout=lockout, window=60)
        )
        monkeypatch.setattr(said, "rules", lambda *_, **__: rules)
        return last(connect(servers=[samba.ldaps], forest=False))

    words = "the domain locks after 3 failures; at most 2 of them come from here"
    assert last(connect(servers=[samba.ldaps], forest=False)) == (True, words)
    assert ruled(0) == (True, "the domain never locks an account")
    assert ruled(1)[0] is False
    assert ruled(None) == (
        True,
        "the rules of the domain cannot be read: keep tries below what locks an account there",
    )


@pytest.mark.parametrize(
    ("changes", "step", "words"),
    [
        ({"bind_dn": f"disabled@{DOMAIN}"}, "bind", "data 533: it is disabled"),
        ({"bind_dn": f"nobody@{DOMAIN}"}, "bind", "data 52e: unknown name or wrong password"),
        ({"domain": "other.test", "forest": False}, "search", "there is no such place"),
        ({"forest": True}, "search", "nobody under the whole forest"),
    ],
)
def test_a_test_says_what_is_wrong_with_what_was_configured(
    connect: Callable[..., ActiveDirectory], samba: Samba, changes: dict[str, Any], step: str, words: str
) -> None:
    found = list(connect(**{"servers": [samba.ldaps], "forest": False, **changes}).examine(None))[-1]
    assert (found.step, found.passed) == (step, False)
    assert words in found.words


def test_why_the_account_that_searches_is_refused_is_in_the_record(
    connect: Callable[..., ActiveDirectory], samba: Samba
) -> None:
    corp = connect(servers=[samba.ldaps], forest=False, bind_dn=f"mustchange@{DOMAIN}")
    assert (refused(corp, "alice").outcome, refused(corp, "alice").code) == (
        Outcome.UNAVAILABLE,
        "service account: 49 773",
    )
