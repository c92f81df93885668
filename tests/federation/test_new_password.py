"""A new password in a real Samba domain: by whom, under which rules, and what is never done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import ldap3
import pytest

from idp.federation.active_directory import ActiveDirectory
from idp.federation.connector import FinerConnector, NotSignedIn, Outcome, PasswordRefused
from idp.federation.directory import new_password
from idp.federation.directory.config import Reach
from idp.federation.directory.domain import Rules
from idp.federation.directory.finer import Finer, told_of_person
from idp.federation.ldap.answers import Answer
from idp.federation.registry import Made, make
from idp.federation.values import Values
from tests.services.authority import Authority
from tests.services.samba import ADMIN, DOMAIN, PASSWORD, STAFF, Domain, Samba

pytestmark = pytest.mark.xdist_group("samba")
NEW = "Wholly-New-77"


def always(_key: str) -> bool:
    return True


@pytest.fixture
def corp(samba: Samba, reader: str, authority: Authority) -> Iterator[ActiveDirectory]:
    config = {"servers": [samba.ldaps], "ca_file": str(authority.file), "domain": DOMAIN, "bind_dn": reader}
    connector = make("active_directory", Made(name="corp", config=config, secrets={"bind_password": PASSWORD}))
    assert isinstance(connector, ActiveDirectory)
    yield connector
    connector.close()


def refused(corp: ActiveDirectory, name: str, password: str) -> Outcome:
    with pytest.raises(NotSignedIn) as caught:
        corp.authenticate(name, password, always)
    return caught.value.outcome


def test_who_must_change_does_and_signs_in_with_the_new_one_alone(
    corp: ActiveDirectory, someone: Callable[..., str]
) -> None:
    name = someone(pwdLastSet=0)
    assert refused(corp, name, PASSWORD) is Outcome.MUST_CHANGE

    corp.change_password(name, PASSWORD, NEW, always)

    assert corp.authenticate(name, NEW, always).username == name
    assert refused(corp, name, PASSWORD) is Outcome.NO_MATCH


def test_whose_password_is_over_changes_it_too(
    corp: ActiveDirectory, someone: Callable[..., str], samba: Samba
) -> None:
    name = someone()
    samba.change(f"dn: CN={name},{STAFF}\nchangetype: modify\nreplace: pwdLastSet\npwdLastSet: 129000000000000000\n")
    assert refused(corp, name, PASSWORD) is Outcome.PASSWORD_EXPIRED

    corp.change_password(name, PASSWORD, NEW, always)

    assert corp.authenticate(name, NEW, always).username == name


def test_a_wrong_old_password_changes_nothing_and_is_one_failure_over_there(
    corp: ActiveDirectory, domain: Domain, someone: Callable[..., str]
) -> None:
    name = someone(pwdLastSet=0)
    with pytest.raises(NotSignedIn) as caught:
        corp.change_password(name, "not this one", NEW, always)
    assert caught.value.outcome is Outcome.NO_MATCH
    assert refused(corp, name, PASSWORD) is Outcome.MUST_CHANGE
    domain.line.search(f"CN={name},{STAFF}", "(objectClass=*)", ldap3.BASE, attributes=["badPwdCount"])
    assert domain.line.response[0]["raw_attributes"]["badPwdCount"] == [b"1"]


@pytest.mark.attack("FD6")
@pytest.mark.parametrize(
    ("facts", "outcome"),
    [
        ({"userAccountControl": 514}, Outcome.DISABLED),
        ({"accountExpires": "129000000000000000"}, Outcome.ACCOUNT_EXPIRED),
        ({"logonHours": b"\x00" * 21}, Outcome.NOT_NOW),
    ],
)
def test_who_may_not_sign_in_may_not_change_though_the_domain_would_let_them(
    corp: ActiveDirectory, someone: Callable[..., str], facts: dict[str, Any], outcome: Outcome
) -> None:
    with pytest.raises(NotSignedIn) as caught:
        corp.change_password(someone(**facts), PASSWORD, NEW, always)
    assert caught.value.outcome is outcome


@pytest.mark.parametrize(
    ("new", "why"),
    [
        ("Ab1", "It has fewer than 7 characters."),
        ("smallletters", "It has too few kinds of characters: small letters, capitals, digits, others."),
        (PASSWORD, "It may be one that you had before, or the last one is too new to be changed already."),
        ("x\ud800Y77aaaa", "It has a character that cannot be written."),
    ],
)
def test_what_the_domain_does_not_take_is_told_in_words_and_the_old_one_stays(
    corp: ActiveDirectory, someone: Callable[..., str], new: str, why: str
) -> None:
    name = someone(pwdLastSet=0)
    with pytest.raises(PasswordRefused) as caught:
        corp.change_password(name, PASSWORD, new, always)
    assert str(caught.value) == why
    assert refused(corp, name, PASSWORD) is Outcome.MUST_CHANGE


def test_one_that_was_just_changed_is_too_new(corp: ActiveDirectory, someone: Callable[..., str]) -> None:
    with pytest.raises(PasswordRefused, match="too new"):
        corp.change_password(someone(), PASSWORD, NEW, always)


def test_the_rules_are_told_in_words(corp: ActiveDirectory) -> None:
    assert corp.password_rules("alice") == (
        "At least 7 characters",
        "At least three of: small letters, capitals, digits, other characters",
        "Not your name or your user name",
        "None of your last 24 passwords",
    )


@pytest.fixture
def knowing(samba: Samba, domain: Domain, authority: Authority) -> Iterator[ActiveDirectory]:
    """A connector whose account may read everything."""
    config = {"servers": [samba.ldaps], "ca_file": str(authority.file), "domain": DOMAIN, "bind_dn": ADMIN[0]}
    connector = make("active_directory", Made(name="corp", config=config, secrets={"bind_password": ADMIN[1]}))
    assert isinstance(connector, ActiveDirectory)
    yield connector
    connector.close()


def test_where_finer_rules_apply_they_are_told_or_none_if_they_may_not_be_read(
    corp: ActiveDirectory, knowing: ActiveDirectory, domain: Domain, someone: Callable[..., str]
) -> None:
    name = someone(pwdLastSet=0)
    with domain.finer(name):
        assert knowing.password_rules(name) == ("At least 15 characters", "None of your last 3 passwords")
        assert corp.password_rules(name) == ()
        for connector, why in ((knowing, "It has fewer than 15 characters."), (corp, new_password.UNSAID)):
            with pytest.raises(PasswordRefused) as caught:
                connector.change_password(name, PASSWORD, NEW, always)
            assert str(caught.value) == why


@pytest.mark.attack("FD10")
def test_whose_account_locks_sooner_by_finer_rules_is_tried_less(
    corp: ActiveDirectory, knowing: ActiveDirectory, domain: Domain, someone: Callable[..., str]
) -> None:
    assert isinstance(corp, FinerConnector)
    sooner, later, other = someone(), someone(), someone()
    keys = {}
    with domain.finer(sooner, lockout=2), domain.finer(later, lockout=10):
        for name in (sooner, later, other):
            for connector in (corp, knowing):
                found = connector.find(name)
                assert found is not None
                keys[name] = found.external_id
        # The domain locks after three failures within ten minutes; the policies look at an hour.
        tries = {name: knowing.tries_of(key) for name, key in keys.items()}
        assert tries == {sooner: (1, 3600), later: (4, 3600), other: (2, 1800)}
        assert knowing.tries_of("somebody else") == (2, 1800)
        # Who may not read the policies is careful with everybody they apply to.
        assert {corp.tries_of(key) for key in keys.values()} == {(2, 1800)}
        told = {name: [each.words for each in knowing.examine(name) if each.step == "lockout"] for name in keys}
        hidden = [each.words for each in corp.examine(sooner)][-1]
    assert told[sooner][1] == f"finer rules lock {sooner} after 2 failures; at most 1 of them come from here"
    assert told[later][1] == f"finer rules lock {later} after 10 failures; at most 4 of them come from here"
    assert len(told[other]) == 1
    assert "may not read: at most 2 failures" in hidden


def test_finer_rules_that_were_taken_away_apply_no_more() -> None:
    finer = Finer(Reach.read(Values({"servers": ["ldaps://dc1"]})))
    rules = Rules(length=7, mixed=True, history=0, age=0, lockout=0, window=60)
    asked: list[str] = []

    def read(policy: str) -> Rules | None:
        asked.append(policy)
        return rules

    finer.note("ada", "CN=strict", read)
    finer.note("bob", "CN=strict", read)
    assert asked == ["CN=strict"]
    assert finer.tries("ada", (2, 60)) == (4, 1800)
    assert "never lock" in told_of_person("ada", rules, 4).words
    finer.note("ada", None, read)
    assert finer.tries("ada", (2, 60)) == (2, 60)
    assert not finer.applies("ada")


def test_of_people_with_finer_rules_no_more_are_remembered_than_there_is_room_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("idp.federation.directory.finer.MOST", 2)
    finer = Finer(Reach.read(Values({"servers": ["ldaps://dc1"]})))
    for name in ("ada", "bob", "carol"):
        finer.note(name, "CN=strict", lambda _: None)
    assert [finer.applies(name) for name in ("ada", "bob", "carol")] == [False, False, True]


@pytest.mark.attack("FD10")
def test_a_change_is_a_try_like_any_other(corp: ActiveDirectory, someone: Callable[..., str]) -> None:
    asked: list[str] = []

    def never(key: str) -> bool:
        asked.append(key)
        return False

    with pytest.raises(NotSignedIn) as caught:
        corp.change_password(someone(pwdLastSet=0), PASSWORD, NEW, never)
    assert caught.value.outcome is Outcome.HELD_BACK
    assert len(asked) == 1


@pytest.mark.attack("FD3")
@pytest.mark.parametrize(("old", "new"), [("", NEW), (PASSWORD, ""), ("a\x00b", NEW)])
def test_an_empty_password_is_refused_before_the_directory_sees_it(corp: ActiveDirectory, old: str, new: str) -> None:
    with pytest.raises(NotSignedIn) as caught:
        corp.change_password("alice", old, new, always)
    assert (caught.value.outcome, caught.value.code) == (Outcome.NO_MATCH, "empty password")


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (Answer(code=19, message="00000056: AtrErr: DSID-03191083"), Outcome.NO_MATCH),
        (Answer(code=19, message="00000775: locked"), Outcome.LOCKED),
        (Answer(code=53, message="0000001F: SvcErr: DSID-031A12D2"), Outcome.UNAVAILABLE),
        (Answer(code=1, message="whatever"), Outcome.UNAVAILABLE),
    ],
)
def test_other_refusals_of_a_change_are_no_words_for_the_person(
    corp: ActiveDirectory, monkeypatch: pytest.MonkeyPatch, answer: Answer, outcome: Outcome
) -> None:
    monkeypatch.setattr("idp.federation.ldap.line.Line.modify", lambda *_, **__: answer)
    with pytest.raises(NotSignedIn) as caught:
        corp.change_password("bob", PASSWORD, NEW, always)
    assert caught.value.outcome is outcome


def test_who_may_not_change_it_themselves_is_told_whom_to_ask(
    corp: ActiveDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    denied = Answer(code=50, message="00000005: SecErr: DSID-031A11E5")
    monkeypatch.setattr("idp.federation.ldap.line.Line.modify", lambda *_, **__: denied)
    with pytest.raises(PasswordRefused) as caught:
        corp.change_password("bob", PASSWORD, NEW, always)
    assert str(caught.value) == new_password.NOT_YOURS
