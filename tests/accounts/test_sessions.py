"""Sessions: a new secret at every rise, two limits of age, and an end that is seen at once."""

from __future__ import annotations

from typing import Any

import pytest

from idp.accounts.sessions import Opened, Sessions
from idp.store import account, session
from idp.store.account import Account
from idp.store.database import Database
from idp.store.session import BrowserSession

HOUR = 3600


@pytest.fixture
def sessions(db: Database) -> Sessions:
    return Sessions(db=db)


@pytest.fixture
def signed_in(sessions: Sessions, person: Account, clock: Any) -> Opened:
    return sign_in(sessions, person.id, None, clock)


def sign_in(sessions: Sessions, account_id: str, before: str | None, clock: Any) -> Opened:
    with sessions.db.write() as tx:
        return sessions.sign_in(tx, account_id, before, now=clock(), user_agent="x" * 5000, ip="192.0.2.7")


def step_up(sessions: Sessions, opened: Opened, clock: Any) -> Opened:
    here = sessions.current(opened.secret, clock())
    assert here is not None
    with sessions.db.write() as tx:
        raised = sessions.step_up(tx, here.session)
    assert raised is not None
    return raised


def test_a_password_is_aal1(sessions: Sessions, signed_in: Opened, clock: Any) -> None:
    here = sessions.current(signed_in.secret, clock())
    assert here is not None
    assert (here.session.acr, here.session.amr, here.session.auth_time) == ("aal1", ["pwd"], clock())


@pytest.mark.spec("RFC 8176 section 2")
def test_a_second_factor_makes_it_aal2_and_leaves_the_time_of_the_password(
    sessions: Sessions, signed_in: Opened, clock: Any
) -> None:
    begun = clock()
    clock.advance(60)
    here = sessions.current(step_up(sessions, signed_in, clock).secret, clock())
    assert here is not None
    assert (here.session.acr, here.session.amr) == ("aal2", ["pwd", "otp", "mfa"])
    assert here.session.auth_time == begun


@pytest.mark.attack("LG19")
def test_a_step_up_gives_a_new_secret_and_the_old_one_is_dead(
    sessions: Sessions, signed_in: Opened, clock: Any
) -> None:
    raised = step_up(sessions, signed_in, clock)
    assert raised.session_id == signed_in.session_id
    assert sessions.current(signed_in.secret, clock()) is None
    assert sessions.current(raised.secret, clock()) is not None


@pytest.mark.attack("LG19")
def test_signing_in_again_gives_a_new_secret_in_the_same_session(
    sessions: Sessions, signed_in: Opened, person: Account, clock: Any
) -> None:
    step_up(sessions, signed_in, clock)
    raised = sign_in(sessions, person.id, None, clock)
    clock.advance(10)
    again = sign_in(sessions, person.id, raised.secret, clock)
    assert again.session_id == raised.session_id
    assert sessions.current(raised.secret, clock()) is None
    here = sessions.current(again.secret, clock())
    assert here is not None
    assert (here.session.auth_time, here.session.acr) == (clock(), "aal1")


@pytest.mark.attack("LG19")
def test_a_planted_secret_is_never_taken_over(sessions: Sessions, person: Account, clock: Any) -> None:
    opened = sign_in(sessions, person.id, "planted by somebody else", clock)
    assert opened.secret != "planted by somebody else"
    assert sessions.current("planted by somebody else", clock()) is None


def test_another_person_at_the_same_browser_ends_the_session(
    db: Database, sessions: Sessions, signed_in: Opened, clock: Any
) -> None:
    with db.write() as tx:
        eve = account.create(tx, username="eve", now=clock())
    opened = sign_in(sessions, eve.id, signed_in.secret, clock)
    assert opened.session_id != signed_in.session_id
    with db.read() as tx:
        assert found(tx, signed_in).ended_at == clock()


@pytest.mark.parametrize(("hours", "alive"), [(11.9, True), (12, False)])
def test_an_unused_session_is_over_after_twelve_hours(
    sessions: Sessions, signed_in: Opened, clock: Any, hours: float, *, alive: bool
) -> None:
    clock.advance(hours * HOUR)
    assert (sessions.current(signed_in.secret, clock()) is not None) is alive


def test_use_keeps_it_alive_for_seven_days_at_most(sessions: Sessions, signed_in: Opened, clock: Any) -> None:
    for _ in range(16):
        here = sessions.current(signed_in.secret, clock())
        assert here is not None
        sessions.touch(here, clock())
        clock.advance(10.5 * HOUR)
    assert sessions.current(signed_in.secret, clock()) is None


def test_use_is_written_once_a_minute(db: Database, sessions: Sessions, signed_in: Opened, clock: Any) -> None:
    begun = clock()
    for _ in range(5):
        clock.advance(11)
        touch(sessions, signed_in, clock)
        with db.read() as tx:
            assert found(tx, signed_in).last_seen_at == begun
    clock.advance(5)
    touch(sessions, signed_in, clock)
    with db.read() as tx:
        assert found(tx, signed_in).last_seen_at == clock()


@pytest.mark.attack("LG23")
def test_an_ended_session_is_dead_at_once_for_every_worker(
    database_url: str, sessions: Sessions, signed_in: Opened, clock: Any
) -> None:
    other = Sessions(db=Database.open(database_url))
    assert other.current(signed_in.secret, clock()) is not None
    with sessions.db.write() as tx:
        assert sessions.end(tx, signed_in.session_id, clock())
    assert other.current(signed_in.secret, clock()) is None
    other.db.close()


@pytest.mark.attack("LG23")
def test_a_disabled_account_has_no_session(
    db: Database, sessions: Sessions, signed_in: Opened, person: Account, clock: Any
) -> None:
    with db.write() as tx:
        account.disable(tx, person.id, clock())
    assert sessions.current(signed_in.secret, clock()) is None


@pytest.mark.attack("LG23")
def test_all_sessions_end_together(sessions: Sessions, signed_in: Opened, person: Account, clock: Any) -> None:
    second = sign_in(sessions, person.id, None, clock)
    with sessions.db.write() as tx:
        assert sessions.end_all(tx, person.id, clock(), reason="password changed") == 2
    assert [sessions.current(each.secret, clock()) for each in (signed_in, second)] == [None, None]


@pytest.mark.attack("LG23")
def test_an_ended_session_cannot_be_raised(sessions: Sessions, signed_in: Opened, clock: Any) -> None:
    here = sessions.current(signed_in.secret, clock())
    assert here is not None
    with sessions.db.write() as tx:
        sessions.end(tx, signed_in.session_id, clock())
    with sessions.db.write() as tx:
        assert sessions.step_up(tx, here.session) is None


@pytest.mark.attack("ST1")
def test_only_a_digest_of_the_secret_is_kept_and_it_opens_nothing(
    db: Database, sessions: Sessions, signed_in: Opened, clock: Any
) -> None:
    with db.read() as tx:
        row = found(tx, signed_in)
    assert signed_in.secret.encode() not in row.cookie_hash
    assert sessions.current(row.cookie_hash.hex(), clock()) is None


def found(tx: Any, opened: Opened) -> BrowserSession:
    row = session.find(tx, opened.session_id)
    assert row is not None
    return row


def touch(sessions: Sessions, opened: Opened, clock: Any) -> None:
    here = sessions.current(opened.secret, clock())
    assert here is not None
    sessions.touch(here, clock())
