"""Names and passwords that belong to a directory, without one: realms, tries, and what a refusal costs."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from idp.accounts.connectors import Connectors
from idp.accounts.entrance import Entrance, NewPassword, Told, Vouched, realm_of
from idp.accounts.local import Attempt, LocalSignIn, Proof, Refused
from idp.accounts.new_password import NewPasswords
from idp.accounts.passwords import HashingBusy, Passwords, Verdict
from idp.accounts.sessions import Sessions
from idp.accounts.throttle import Limits, Throttle
from idp.audit.log import AuditLog
from idp.store import account, audit, device
from idp.store.account import Account
from idp.store.audit import AuditRow
from idp.store.database import Database
from idp.store.digests import digest
from idp.store.sealed import Sealer
from tests.fixtures.clock import FakeClock
from tests.services import house as houses
from tests.services.house import NEW, PASSWORD, House

OWN = "the browser of Bea"


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """One kind of store is enough here: what it promises has tests of its own."""
    return sqlite_url


@pytest.fixture
def house() -> House:
    """A directory with two people in it."""
    return House(people={"bea": PASSWORD, "eve": PASSWORD})


@dataclass(frozen=True, kw_only=True)
class Gate:
    """The door to a directory."""

    db: Database
    clock: FakeClock
    connectors: Connectors
    entrance: Entrance

    def ask(self, name: str, password: str = PASSWORD, on: str | None = None) -> Vouched | Proof | object:
        """Bring a name and a password, from a browser that may be known."""
        return self.entrance.authenticate(self.attempt(name, password, on), self.clock())

    def attempt(self, name: str, password: str = PASSWORD, on: str | None = None) -> Attempt:
        """Say what is brought."""
        known = None if on is None else digest(on)
        return Attempt(login=name, password=password, device_hash=known, address="192.0.2.7")

    def opens(self, name: str = "bea", password: str = PASSWORD, on: str | None = None) -> bool:
        """Say whether this lets somebody in; then it counts, as on the page, and the browser is known."""
        found = self.ask(name, password, on)
        return isinstance(found, Vouched) and self.accepts(found, on)

    def accepts(self, found: Vouched, on: str | None = None) -> bool:
        """Let a proof count."""
        with self.db.write() as tx:
            let_in = self.entrance.accept(tx, found, self.clock())
            if isinstance(let_in, Account) and on is not None:
                device.remember(tx, digest(on), let_in.id, self.clock())
        return isinstance(let_in, Account)

    def guess(self, times: int, name: str = "bea", on: str | None = None) -> None:
        """Try wrong passwords."""
        for _ in range(times):
            assert self.ask(name, "a guess", on) is Refused.NO_MATCH

    def new_passwords(self) -> NewPasswords:
        """Return what changes passwords."""
        return NewPasswords(entrance=self.entrance, sessions=Sessions(db=self.db), clock=self.clock)

    def last(self) -> AuditRow:
        """Return what was written down last."""
        with self.db.read() as tx:
            return next(iter(audit.recent(tx, limit=1)))


@pytest.fixture
def gate(
    db: Database,
    passwords: Passwords,
    sealer: Sealer,
    clock: FakeClock,
    house: House,
    monkeypatch: pytest.MonkeyPatch,
) -> Gate:
    limits = Limits(address_tries=1000, everywhere_tries=1000)
    local = LocalSignIn(db=db, passwords=passwords, throttle=Throttle(limits), audit=AuditLog(clock))
    connectors = Connectors(db, sealer)
    made = Gate(db=db, clock=clock, connectors=connectors, entrance=Entrance(local=local, connectors=connectors))
    houses.connect(made, house, monkeypatch)
    return made


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The passwords that were hashed, or as if."""
    seen: list[str] = []
    genuine = Passwords.verify

    def verify(self: Passwords, stored: str | None, password: str) -> Verdict:
        seen.append(password)
        return genuine(self, stored, password)

    monkeypatch.setattr(Passwords, "verify", verify)
    return seen


@pytest.mark.attack("FD14")
@pytest.mark.parametrize(
    ("login", "realm"),
    [
        ("alice", None),
        ("alice@Corp.Test", "corp.test"),
        (" CORP\\alice ", "corp"),
        ("CORP-EU\\alice", "corp-eu"),
        ("corp_2\\alice", "corp_2"),
        ("CORP\\", None),
        ("\\alice", None),
        ("-\\alice", None),
        ("CORP\\CORP\\alice", None),
        ("CÖRP\\alice", None),
        ("a@b@corp.test", None),
        ("corp.test\\a@other.test", None),
    ],
)
def test_a_realm_is_read_exactly_or_not_at_all(login: str, realm: str | None) -> None:
    assert realm_of(login) == realm


@pytest.mark.attack("LG7", "FD10")
@pytest.mark.parametrize(("tries", "strangers"), [(1, 1), (2, 1), (3, 2), (4, 3), (9, 6)])
def test_the_last_tries_are_kept_for_a_device_that_is_known(
    gate: Gate, house: House, tries: int, strangers: int
) -> None:
    house.tries = tries
    assert gate.opens(on=OWN)
    house.asked.clear()
    # By every spelling: each has a wait of its own, and the person in the directory one count.
    for spelling in ("bea", "CORP\\bea", "bea@corp.test"):
        gate.guess(4, spelling)
        gate.guess(4, spelling, on="the browser of Eve")
    assert house.asked["bea"] == strangers
    assert gate.opens(on=OWN) is (tries > 1)


@pytest.mark.attack("LG7", "FD10")
def test_a_known_device_guesses_no_more_than_the_directory_forgives(gate: Gate, house: House) -> None:
    assert gate.opens(on=OWN)
    house.asked.clear()
    gate.guess(10, on=OWN)
    assert house.asked["bea"] == house.tries
    assert not gate.opens(on=OWN)
    gate.clock.advance(house.tries_window)
    assert gate.opens(on=OWN)


def test_failures_on_a_known_device_leave_strangers_their_share(gate: Gate, house: House) -> None:
    house.tries = 2  # of a domain that locks at three
    assert gate.opens(on=OWN)
    gate.guess(1, on=OWN)
    assert gate.opens()
    gate.guess(2)
    assert gate.opens(on=OWN)
    assert gate.opens()  # a success forgets the strangers' failures too, as the directory does


@pytest.mark.attack("LG6")
def test_another_persons_device_is_a_strangers(gate: Gate, house: House) -> None:
    assert gate.opens("bea", on=OWN)
    assert gate.opens("eve", on="the browser of Eve")
    house.asked.clear()
    gate.guess(10, "bea", on="the browser of Eve")
    assert house.asked["bea"] == house.tries - 1


@pytest.mark.attack("LG7")
@pytest.mark.parametrize("name", ["bea", "CORP\\bea", "bea@corp.test"])
def test_a_known_device_is_let_in_by_any_name_while_strangers_wait(gate: Gate, house: House, name: str) -> None:
    assert gate.opens(name, on=OWN)
    gate.guess(20, name)
    house.asked.clear()
    assert not gate.opens(name)
    assert house.asked["bea"] == 0
    assert gate.opens(name, on=OWN)


@pytest.mark.attack("LG6", "FD10")
def test_a_name_that_waits_brings_a_known_device_no_further_than_its_own_person(gate: Gate, house: House) -> None:
    gate.guess(5, "CORP\\bea")
    gate.clock.advance(house.tries_window)
    gate.guess(1, "CORP\\bea")
    assert gate.opens("eve", on="the browser of Eve")
    house.asked.clear()
    assert not gate.opens("CORP\\bea", on="the browser of Eve")
    assert house.asked["bea"] == 0


@pytest.mark.attack("LG7", "LG3")
def test_a_known_device_has_tries_of_its_own_by_a_name_that_waits(gate: Gate, house: House) -> None:
    house.tries = 1000
    assert gate.opens("CORP\\bea", on=OWN)
    gate.guess(10, "CORP\\bea")
    house.asked.clear()
    gate.guess(30, "CORP\\bea", on=OWN)
    assert house.asked["bea"] == 20
    assert not gate.opens("CORP\\bea", on=OWN)


@pytest.mark.attack("LG1")
@pytest.mark.parametrize("name", ["bea", "nobody", "ada", "closed"])
@pytest.mark.usefixtures("person")
def test_every_refusal_costs_one_hash(gate: Gate, house: House, hashed: list[str], name: str) -> None:
    house.people["closed"] = PASSWORD
    assert gate.opens("closed")
    with gate.db.write() as tx:
        found = account.find_by_login(tx, "closed")
        assert found is not None
        account.disable(tx, found.id, gate.clock())
    for tried in range(8):  # of the directory's tries, held back, waiting
        hashed.clear()
        assert gate.ask(name, "a guess") is Refused.NO_MATCH
        assert hashed == ["a guess"], tried


@pytest.mark.attack("LG1")
@pytest.mark.parametrize("name", ["bea", "nobody", "ada"])
@pytest.mark.usefixtures("person")
def test_every_refusal_of_a_new_password_costs_one_hash(gate: Gate, hashed: list[str], name: str) -> None:
    for tried in range(8):
        hashed.clear()
        found = gate.new_passwords().change(gate.attempt(name, "a guess"), NEW, gate.clock())
        assert found is Refused.NO_MATCH
        assert hashed == ["a guess"], tried


@pytest.mark.attack("LG3")
def test_who_is_told_that_they_are_not_invited_has_made_no_failed_try(
    gate: Gate, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    houses.connect(gate, house, monkeypatch, provisioning="linked")
    for _ in range(10):
        found = gate.ask("bea")
        assert isinstance(found, Vouched)
        with gate.db.write() as tx:
            assert gate.entrance.accept(tx, found, gate.clock()) is Told.NOT_INVITED
    row = gate.last()
    assert (row.detail["reason"], row.ip) == ("not_linked", "192.0.2.7")


def test_a_right_password_of_the_directory_costs_no_hash(gate: Gate, hashed: list[str]) -> None:
    assert gate.opens()
    assert hashed == []


@pytest.mark.attack("FD10")
def test_a_guess_counts_though_there_was_no_time_for_the_hash(
    gate: Gate, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*_: object) -> Verdict:
        raise HashingBusy("busy")

    with monkeypatch.context() as patch:
        patch.setattr(Passwords, "verify", busy)
        for _ in range(10):
            with pytest.raises(HashingBusy):
                gate.ask("bea", "a guess")
    assert house.asked["bea"] == house.tries - 1
    assert gate.ask("bea") is Refused.NO_MATCH


@pytest.mark.parametrize(
    ("name", "reasons"),
    [
        ("bea", ["no_match", "held_back", "waiting"]),
        ("CORP\\bea", ["no_match", "held_back", "waiting"]),
        ("nobody", ["no_match", "no_match", "waiting"]),
    ],
)
def test_the_record_says_which_refusal_it_was(gate: Gate, name: str, reasons: list[str]) -> None:
    assert gate.opens()
    seen = []
    for _ in range(6):
        gate.guess(1, name)
        seen.append(gate.last().detail["reason"])
    assert [seen[2], seen[3], seen[5]] == reasons


@pytest.mark.attack("TK23")
def test_a_proof_by_a_password_that_was_changed_meanwhile_is_worth_nothing(gate: Gate, house: House) -> None:
    assert gate.opens()
    found = gate.ask("bea")
    assert isinstance(found, Vouched)
    gate.clock.advance(1)
    changed = gate.new_passwords().change(gate.attempt("bea"), NEW, gate.clock())
    assert isinstance(changed, Vouched)
    assert house.people["bea"] == NEW
    assert not gate.accepts(found)
    assert gate.last().detail["reason"] == "password changed"
    assert gate.accepts(changed)
    assert gate.opens(password=NEW)


def test_the_new_one_is_taken_by_whoever_has_changed_it_however_long_it_took(gate: Gate, house: House) -> None:
    assert gate.opens()
    house.changed = lambda: gate.clock.advance(2)
    begun = gate.clock()
    changed = gate.new_passwords().change(gate.attempt("bea"), NEW, begun)
    assert isinstance(changed, Vouched)
    assert gate.accepts(changed)


def test_what_a_refused_change_has_cost_is_given_back(gate: Gate, house: House) -> None:
    house.tries = 1
    for _ in range(20):
        found = gate.new_passwords().change(gate.attempt("bea"), PASSWORD, gate.clock())
        assert isinstance(found, NewPassword)
    house.must_change.add("bea")
    for _ in range(20):
        assert isinstance(gate.ask("bea"), NewPassword)
    house.slow_to_tell = True
    assert gate.new_passwords().change(gate.attempt("bea"), NEW, gate.clock()) is Told.CHANGED
    house.slow_to_tell = False
    assert gate.opens(password=NEW)
