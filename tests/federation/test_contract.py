"""What every connector promises, whatever is at its other end: five kinds, one contract."""

from __future__ import annotations

import dataclasses
import logging
import traceback
from collections.abc import Callable, Iterator
from datetime import datetime

import pytest

from idp.accounts.local import LocalSignIn
from idp.accounts.passwords import Cost, Passwords
from idp.accounts.throttle import Limits, Throttle
from idp.audit.log import AuditLog
from idp.federation.connector import (
    TELLING,
    Connector,
    Identity,
    NotSignedIn,
    Outcome,
    PasswordConnector,
    RedirectConnector,
)
from idp.store.database import Database
from idp.web import logs
from tests.federation import parties
from tests.federation.parties import BACK, AtDomain, AtHome, AtLdap, AtOAuth2, AtOidc, Elsewhere, Party, why
from tests.services.authority import Authority
from tests.services.slapd import Slapd
from tests.services.upstream import Upstream

IN_DOMAIN = pytest.param("active_directory", marks=pytest.mark.xdist_group("samba"))
KINDS = ["local", "ldap", IN_DOMAIN, "oidc", "oauth2"]
DIRECTORIES = ["ldap", IN_DOMAIN]
BY_PASSWORD = ["local", *DIRECTORIES]
BY_REDIRECT = ["oidc", "oauth2"]


@pytest.fixture
def local(sqlite_url: str, clock: Callable[[], datetime]) -> Iterator[Party]:
    passwords = Passwords(Cost(memory_kib=8, time_cost=1, parallelism=1))
    limits = Limits(address_tries=100, everywhere_tries=100)
    db = Database.open(sqlite_url)
    yield AtHome(
        LocalSignIn(db=db, passwords=passwords, throttle=Throttle(limits), audit=AuditLog(clock)), passwords, clock
    )
    db.close()


@pytest.fixture
def ldap(slapd: Slapd, authority: Authority) -> Iterator[Party]:
    there = AtLdap(slapd, authority)
    yield there
    there.leave()


@pytest.fixture
def active_directory(request: pytest.FixtureRequest, authority: Authority) -> Iterator[Party]:
    there = AtDomain(request.getfixturevalue("samba"), request.getfixturevalue("domain"), authority)
    yield there
    there.leave()


@pytest.fixture
def oidc(upstream: Upstream) -> Party:
    return AtOidc(upstream)


@pytest.fixture
def oauth2(upstream: Upstream) -> Party:
    return AtOAuth2(upstream)


@pytest.fixture(params=KINDS)
def party(request: pytest.FixtureRequest) -> Party:
    """Each kind in turn."""
    found: Party = request.getfixturevalue(request.param)
    return found


def test_takes_a_password_or_sends_the_browser_away_and_says_what_it_is(party: Party) -> None:
    connector = party.connector

    assert isinstance(connector, PasswordConnector) is (party.kind in {"local", "ldap", "active_directory"})
    assert isinstance(connector, RedirectConnector) is (party.kind in BY_REDIRECT)
    assert connector.kind == party.kind


def test_says_who_somebody_is_and_nothing_of_what_they_may(party: Party) -> None:
    who = party.sign_in()

    assert (who.connector, who.username, who.standing) == (party.connector.name, "zoe", None)
    assert {field.name for field in dataclasses.fields(who)}.isdisjoint({"roles", "scopes", "account"})
    assert who.acr is None  # how strongly somebody signed in counts only where the operator says so (FD21)


@pytest.mark.attack("FD11")
def test_the_key_of_a_person_stays_when_their_name_changes(party: Party) -> None:
    before = party.sign_in()
    party.rename()
    after = party.sign_in()

    assert after.external_id == before.external_id
    assert (after.username, after.email) != (before.username, before.email)


@pytest.mark.attack("FD11")
def test_the_next_bearer_of_a_name_is_another_person(party: Party) -> None:
    before = party.sign_in()
    party.replace()
    after = party.sign_in()

    assert after.username == before.username
    assert after.external_id != before.external_id


@pytest.mark.attack("FD6", "FD19")
@pytest.mark.parametrize("how", ["wrong", "unknown", "closed"])
def test_whoever_proves_nothing_is_unknown_or_closed_is_refused_and_not_told_which(party: Party, how: str) -> None:
    refused = party.refused(how)

    assert refused.outcome is party.refusals[how]
    assert refused.outcome not in TELLING


def test_a_refusal_leaves_nothing_behind(party: Party) -> None:
    if isinstance(party, Elsewhere):
        honest = party.upstream.answers.redirect, dict(party.upstream.person)
        party.refused("closed")
        party.upstream.answers.redirect, party.upstream.person = honest
    party.refused("wrong")

    assert party.sign_in().username == "zoe"


@pytest.mark.attack("F15")
def test_closes_when_the_other_end_is_away(party: Party) -> None:
    away = party.away()

    refused = why(lambda: _sign_in(party, away))
    away.close()

    assert refused.outcome is Outcome.UNAVAILABLE
    assert party.sign_in()  # another connector knows nothing of it


def test_a_test_says_in_words_what_works(party: Party) -> None:
    found = list(party.connector.examine("zoe"))

    assert all(each.passed and each.words.strip() and each.step for each in found), found


def test_a_test_says_in_words_what_is_away(party: Party) -> None:
    away = party.away()

    *_, last = away.examine("zoe")
    away.close()

    assert not last.passed
    assert len(last.words.split()) >= 3


def test_groups_are_facts_with_the_way_to_them(party: Party) -> None:
    who = party.sign_in()
    by_key = {each.key.casefold(): each for each in who.groups}

    assert {each.name for each in who.groups} == party.groups
    assert who.groups_complete
    assert all(each.via is None or each.via.casefold() in by_key for each in who.groups)


@pytest.mark.attack("LO1")
def test_secrets_are_in_no_log_no_refusal_and_no_text_of_an_object(
    party: Party, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for library, level in logs._FLOORS.items():
        caplog.set_level(level, library)
    away = party.away()
    told = [str(each) for connector in (party.connector, away) for each in connector.examine("zoe")]
    who = party.sign_in()
    for refused in (party.refused("wrong"), party.refused("closed"), why(lambda: _sign_in(party, away))):
        told += [str(refused), refused.code, *traceback.format_exception(refused)]
    told += [repr(who), caplog.text, *_texts_of(party.connector), *_texts_of(away)]
    away.close()

    secrets = party.secrets()
    assert secrets
    assert not [secret for secret in secrets for text in told if secret in text]


def test_can_be_closed_twice(party: Party) -> None:
    party.sign_in()

    party.connector.close()
    party.connector.close()


@pytest.mark.parametrize("party", BY_PASSWORD, indirect=True)
def test_a_name_means_without_a_password_whom_it_means_with_one(party: Party) -> None:
    connector = party.connector
    assert isinstance(connector, PasswordConnector)

    found = connector.find("zoe")

    assert found is not None
    assert found.external_id == party.sign_in().external_id
    assert connector.find("nobody") is None


@pytest.mark.attack("FD3")
@pytest.mark.parametrize("party", DIRECTORIES, indirect=True)
@pytest.mark.parametrize("password", ["", "\x00"])
def test_an_empty_password_is_refused_before_anybody_is_asked(party: Party, password: str) -> None:
    away = party.away()

    refused = why(lambda: parties.by_password(away, "zoe", password))
    away.close()

    assert refused.outcome is Outcome.NO_MATCH


@pytest.mark.attack("FD10")
@pytest.mark.parametrize("party", BY_PASSWORD, indirect=True)
def test_whoever_is_held_back_is_not_tried(party: Party) -> None:
    connector = party.connector
    assert isinstance(connector, PasswordConnector)

    with pytest.raises(NotSignedIn) as refused:
        connector.authenticate("zoe", "whatever it is", lambda _key: False)

    assert refused.value.outcome is Outcome.HELD_BACK


@pytest.mark.attack("FD15")
@pytest.mark.parametrize("party", BY_REDIRECT, indirect=True)
def test_an_answer_belongs_to_the_question_it_was_asked_by(party: Party) -> None:
    assert isinstance(party, Elsewhere)
    connector = party.connector
    assert isinstance(connector, RedirectConnector)
    mine, another = party.begin(), party.begin()
    answer = parties.pairs(party.upstream.visit(another.url))

    assert mine.kept["state"] != another.kept["state"]
    assert why(lambda: connector.finish(answer, mine.kept, BACK)).outcome is Outcome.UNTRUSTED
    assert why(lambda: connector.finish(answer, {}, BACK)).outcome is Outcome.UNTRUSTED
    elsewhere = why(lambda: connector.finish(answer, another.kept, "https://evil.example/cb"))
    assert elsewhere.outcome is Outcome.UNTRUSTED


def _sign_in(party: Party, connector: Connector) -> Identity:
    if isinstance(party, Elsewhere) and isinstance(connector, RedirectConnector):
        shake = party.begin(connector)
        return connector.finish([("state", shake.kept["state"]), ("code", "x")], shake.kept, BACK)
    return parties.by_password(connector, "zoe", "whatever it is")


def _texts_of(thing: object, depth: int = 3) -> Iterator[str]:
    """Return what somebody would read who prints an object, or what it is made of."""
    yield repr(thing)
    if depth:
        names = (name for name in dir(thing) if not name.startswith("_"))
        held = (getattr(thing, name) for name in names)
        for each in held:
            if type(each).__module__.startswith("idp."):
                yield from _texts_of(each, depth - 1)
