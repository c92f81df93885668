"""A real Samba domain behind the connector: its names, its states, its groups."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import ldap3
import pytest

from idp.federation.active_directory import ActiveDirectory
from idp.federation.connector import Cannot, Identity, Mark, Misconfigured, NotSignedIn, Outcome
from idp.federation.directory import usn
from idp.federation.ldap.answers import NO_SUCH_OBJECT, Answer
from idp.federation.registry import Made, make
from tests.services.authority import Authority
from tests.services.samba import ADMIN, DOMAIN, EPOCH, PASSWORD, ROOT, STAFF, TICKS, Domain, Samba

pytestmark = pytest.mark.xdist_group("samba")


def always(_key: str) -> bool:
    return True


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


def followed(corp: ActiveDirectory, mark: Mark | None = None) -> Mark:
    """Read everybody, and return from where to go on."""
    with corp.look(mark, datetime.now(UTC)) as look:
        list(look.everybody())
        left = look.mark()
    assert left is not None
    return left


def test_only_who_has_changed_since_is_read_and_who_was_deleted_is_told(corp: ActiveDirectory, domain: Domain) -> None:
    gone, moved = domain.person("gone"), domain.person("moved")
    mark = followed(corp)
    bob = f"CN=bob,{STAFF}"
    assert domain.line.modify(bob, {"displayName": [(ldap3.MODIFY_REPLACE, ["Robert"])]})
    buried = corp.find("gone")
    assert domain.line.delete(gone)
    assert domain.line.modify(moved, {"userAccountControl": [(ldap3.MODIFY_REPLACE, [514])]})
    with corp.look(mark, datetime.now(UTC)) as look:
        assert look.follows
        found = {who.username: who for who in look.changed()}
        assert set(found) <= {"bob", "moved", "Administrator"}  # whoever signs in is changed by it
        assert found["bob"].claims["name"] == "Robert"
        assert found["moved"].standing is Outcome.DISABLED
        assert buried is not None
        assert list(look.gone() or ()) == [buried.external_id]
        assert len({*look.ids()} & {buried.external_id, found["bob"].external_id}) == 1
    assert domain.line.delete(moved)


def test_who_came_into_a_group_is_found_by_the_group_and_by_the_primary_one(
    corp: ActiveDirectory, domain: Domain
) -> None:
    mark = followed(corp)
    middle = f"CN=middle,{STAFF}"
    newcomer = domain.person("newcomer")
    assert domain.line.modify(middle, {"member": [(ldap3.MODIFY_ADD, [newcomer])]})
    with corp.look(mark, datetime.now(UTC)) as look:
        touched = {climbed[0].name: [each.name for each in climbed] for climbed in look.changed_groups()}
        assert touched == {"middle": ["middle", "outer", "inner"]}
        assert {"newcomer", "alice"} == {who.username for who in look.people_in([middle])}
        everybody = {who.username for who in look.people_in([f"CN=Domain Users,CN=Users,{ROOT}"])}
        assert {"newcomer", "alice", "bob"} <= everybody
        assert middle in set(look.groups())
        key = corp.find("newcomer")
        assert key is not None
        assert [who.username for who in look.these([key.external_id])] == ["newcomer"]
    assert domain.line.delete(newcomer)


@pytest.mark.attack("FD7")
def test_a_branch_that_was_moved_has_everybody_read(corp: ActiveDirectory, domain: Domain) -> None:
    branch = f"OU=Branch,{STAFF}"
    mark = followed(corp)
    assert domain.line.add(branch, ["top", "organizationalUnit"])
    inside = domain.person("inside", branch)
    with corp.look(mark, datetime.now(UTC)) as look:
        list(look.changed_groups())  # a new one has nothing in it that was known before
    mark = followed(corp)
    assert domain.line.modify_dn(branch, "OU=Branch", new_superior=ROOT)
    with corp.look(mark, datetime.now(UTC)) as look:
        # Nobody's own entry says that it is somewhere else now.
        assert "inside" not in {who.username for who in look.changed()}
        with pytest.raises(Cannot):
            list(look.changed_groups())
    with corp.look(followed(corp), datetime.now(UTC)) as look:
        list(look.changed_groups())
    assert domain.line.delete(inside.replace(STAFF, ROOT))
    assert domain.line.delete(f"OU=Branch,{ROOT}")


def test_an_account_that_ends_by_itself_is_given_though_nobody_has_changed_it(
    corp: ActiveDirectory, domain: Domain
) -> None:
    began = datetime.now(UTC)
    ends = int((began.timestamp() + 3600 + EPOCH) * TICKS)
    leaver = domain.person("leaver", accountExpires=str(ends))
    mark = followed(corp)
    with corp.look(mark, began + timedelta(minutes=59)) as look:
        assert "leaver" not in {who.username for who in look.changed()}
    with corp.look(mark, began + timedelta(minutes=61)) as look:
        assert "leaver" in {who.username for who in look.changed()}
    assert domain.line.delete(leaver)


@pytest.mark.parametrize(
    "other", [{"service": "CN=another"}, {"invocation": "00"}, {"usn": "99999999999"}, {"usn": "x"}, {"usn": ""}]
)
def test_a_mark_of_another_controller_or_of_one_that_was_set_back_is_not_followed(
    corp: ActiveDirectory, other: dict[str, str]
) -> None:
    with corp.look(None, datetime.now(UTC)) as look:
        assert not look.follows
        mark = look.mark()
    assert mark is not None
    with corp.look({**mark, **other}, datetime.now(UTC)) as look:
        assert not look.follows


def test_a_controller_that_does_not_say_how_far_it_is_leaves_no_mark(
    corp: ActiveDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usn, "ROOT", ("defaultNamingContext",))
    with corp.look({"service": "", "invocation": "", "usn": ""}, datetime.now(UTC)) as look:
        assert not look.follows
        assert look.mark() is None
        assert list(look.people_in([f"CN=nobody,{STAFF}"])) == []


def test_who_may_not_see_what_was_deleted_is_not_told_that_nothing_was(
    corp: ActiveDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = followed(corp)
    with corp.look(mark, datetime.now(UTC)) as look:
        # Windows answers so to whoever is no administrator; Samba lets everybody see the container.
        nothing = (Answer(code=NO_SUCH_OBJECT), [])
        monkeypatch.setattr(look.line, "search", lambda *_, **__: nothing)
        assert look.gone() is None


def test_a_test_walks_every_step(corp: ActiveDirectory) -> None:
    steps = list(corp.examine("CORP\\alice"))
    assert [each.step for each in steps] == ["TLS", "bind", "search", "person", "groups", "lockout"]
    assert all(each.passed for each in steps), steps


@pytest.mark.parametrize(
    ("changes", "field"), [({"domain": "a@b"}, "domain"), ({"domain": None}, "domain"), ({"bind": 1}, "bind")]
)
def test_what_cannot_be_is_refused_by_its_name(changes: dict[str, Any], field: str) -> None:
    config = {"servers": ["ldaps://dc1"], "domain": DOMAIN, "bind_dn": "x", **changes}
    plain = {name: value for name, value in config.items() if value is not None}
    with pytest.raises(Misconfigured, match=f"^{field}:"):
        make("active_directory", Made(name="corp", config=plain, secrets={"bind_password": "x"}))
