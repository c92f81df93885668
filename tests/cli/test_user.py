"""`idp user`."""

from __future__ import annotations

import getpass
from typing import Any

import pytest
from sqlalchemy import update

from idp.accounts import recovery
from idp.accounts.sessions import Sessions
from idp.accounts.throttle import Limits, Throttle
from idp.store import account, connector, device, identity, session, totp
from idp.store.digests import digest
from tests.cli.conftest import PASSWORD, Cli


@pytest.fixture
def ada(cli: Cli) -> Any:
    return cli.user("ada", "--email", "ada@example.org")


def row_of(cli: Cli, made: Any) -> account.Account:
    with cli.db.read() as tx:
        found = account.find(tx, made["id"])
    assert found is not None
    return found


def test_creates_an_account_with_an_argon2id_hash(cli: Cli, ada: Any) -> None:
    stored = row_of(cli, ada).password_hash
    assert stored is not None
    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")


def test_the_password_is_never_an_argument_and_never_shown(cli: Cli) -> None:
    assert "No such option" in cli.refused("user", "create", "eve", "--password", PASSWORD)
    assert PASSWORD not in cli.told("user", "create", "eve", "--password-stdin", typed=f"{PASSWORD}\n")


def test_asks_nobody_when_nobody_is_there(cli: Cli) -> None:
    assert "--password-stdin" in cli.refused("user", "create", "eve", typed="")


@pytest.mark.attack("LG9")
@pytest.mark.parametrize("password", ["short", "password2024", "I am evelyn at night", "x" * 5000])
def test_refuses_a_weak_password(cli: Cli, password: str) -> None:
    cli.refused("user", "create", "evelyn", "--password-stdin", typed=f"{password}\n")
    assert cli.json("user", "list")["users"] == []


@pytest.mark.attack("LG5")
@pytest.mark.parametrize("name", ["ADA", " ada", "\uff41da", "Ada@Example.org"])
def test_refuses_another_spelling_of_a_name_that_is_taken(cli: Cli, ada: Any, name: str) -> None:
    cli.refused("user", "create", name, "--no-password")


@pytest.mark.attack("LO2")
@pytest.mark.parametrize("name", ["", " ", "a\x1b[31m", "a\nb", "x" * 101])
def test_refuses_a_name_that_cannot_be_shown(cli: Cli, name: str) -> None:
    assert "user name" in cli.refused("user", "create", name, "--no-password")


@pytest.mark.parametrize("email", ["", "ada", "ada@", "@x", "a b@x", "a@b@c", "x" * 250 + "@y.example"])
def test_refuses_what_is_no_address(cli: Cli, email: str) -> None:
    assert "e-mail" in cli.refused("user", "create", "ada", "--email", email, "--no-password")


@pytest.mark.attack("SC4")
def test_a_new_installation_knows_nobody(cli: Cli) -> None:
    assert cli.json("user", "list")["users"] == []
    assert cli.json("client", "list")["clients"] == []


def test_lists_and_shows(cli: Cli, ada: Any) -> None:
    assert [each["username"] for each in cli.json("user", "list")["users"]] == ["ada"]
    assert "ada@example.org" in cli.told("user", "list")
    shown = cli.json("user", "show", "ADA@example.org")
    assert (shown["id"], shown["has_password"], shown["second_factor"]) == (ada["id"], True, [])
    assert "argon2" not in cli.told("user", "show", "ada")


def test_says_that_there_is_no_such_account(cli: Cli) -> None:
    assert "no such account" in cli.refused("user", "show", "nobody")
    assert "cannot be stored" in cli.refused("user", "show", "\udcff")


def test_markup_in_names_is_shown_as_it_is(cli: Cli) -> None:
    cli.user("[bold]x[/bold]")
    assert "[bold]x[/bold]" in cli.told("user", "list")


@pytest.fixture
def signed_in(cli: Cli, ada: Any, clock: Any) -> str:
    """A session of Ada's, on a device that is known since."""
    sessions = Sessions(db=cli.db)
    with cli.db.write() as tx:
        opened = sessions.sign_in(tx, ada["id"], None, now=clock(), user_agent="", ip="")
        device.remember(tx, digest("device"), ada["id"], clock())
    return opened.secret


def is_signed_in(cli: Cli, secret: str, clock: Any) -> bool:
    return Sessions(db=cli.db).current(secret, clock()) is not None


@pytest.mark.attack("LG23")
def test_a_closed_account_loses_its_sessions_for_good(cli: Cli, signed_in: str, clock: Any) -> None:
    cli.told("user", "disable", "ada")
    assert not is_signed_in(cli, signed_in, clock)
    cli.told("user", "enable", "ada")
    assert not is_signed_in(cli, signed_in, clock)
    assert cli.json("user", "show", "ada")["state"] == "open"


@pytest.mark.attack("LG22", "LG23")
def test_a_new_password_ends_sessions_and_known_devices(cli: Cli, ada: Any, signed_in: str, clock: Any) -> None:
    before = row_of(cli, ada).password_hash
    cli.told("user", "password", "ada", "--password-stdin", typed="nine silver otters swim\n")
    assert row_of(cli, ada).password_hash != before
    assert not is_signed_in(cli, signed_in, clock)
    with cli.db.read() as tx:
        assert not device.known(tx, digest("device"), ada["id"])


@pytest.mark.attack("LG3")
@pytest.mark.parametrize("command", [("unlock",), ("password", "--password-stdin")])
def test_an_operator_opens_a_stopped_account(cli: Cli, ada: Any, clock: Any, command: tuple[str, ...]) -> None:
    throttle = Throttle(Limits(free_tries=1, ceiling=1))
    row = row_of(cli, ada)

    def refused() -> bool:
        with cli.db.write() as tx:
            asked = {"login": "ada", "account": row, "device_hash": None, "address": "", "now": clock()}
            return throttle.take(tx, **asked).refusal is not None

    assert [refused(), refused()] == [False, True]
    cli.told("user", command[0], "ada", *command[1:], typed="nine silver otters swim\n")
    assert not refused()


@pytest.mark.attack("LG16")
def test_a_reset_of_the_second_factor_ends_what_it_had_raised(cli: Cli, ada: Any, signed_in: str, clock: Any) -> None:
    with cli.db.write() as tx:
        totp.create(tx, totp_id="t", account_id=ada["id"], label="Phone", seed_sealed=b"x", now=clock())
        totp.confirm(tx, "t", 1, clock())
        recovery.issue(tx, ada["id"], clock())
    assert cli.json("user", "totp-reset", "ada")["removed"] == 1
    assert not is_signed_in(cli, signed_in, clock)
    shown = cli.json("user", "show", "ada")
    assert (shown["second_factor"], shown["recovery_codes_left"]) == ([], 0)


@pytest.fixture
def linked(cli: Cli, ada: Any, clock: Any) -> str:
    """Ada is somebody in a directory, too."""
    with cli.db.write() as tx:
        row = connector.put(tx, name="corp", kind="ldap", label="Corp", config={}, now=clock())
        named = {"external_id": "guid-1", "username": "ada.l", "username_key": "ada.l", "email": None}
        identity.create(tx, connector_id=row.id, account_id=ada["id"], now=clock(), **named)
    return "corp"


def test_invites_somebody_to_an_account_that_has_no_way_in_yet(cli: Cli, ada: Any, linked: str) -> None:
    cli.told("user", "create", "eve", "--email", "eve@example.org", "--no-password")
    told = cli.json("user", "invite", "eve", linked, "--days", "3")
    assert (told["username"], told["connector"], told["email"]) == ("eve", "corp", "eve@example.org")
    assert cli.json("user", "show", "eve")["invited"] == [f"corp: eve@example.org until {told['until']}"]
    assert "takes the account eve" in cli.told("user", "invite", "eve", linked, "--email", "e@corp.test")
    (one,) = cli.json("user", "show", "eve")["invited"]
    assert one.startswith("corp: e@corp.test until ")


def test_invites_nobody_to_an_account_that_has_a_way_in(cli: Cli, ada: Any, linked: str) -> None:
    assert "they have a way in already" in cli.refused("user", "invite", "ada", linked)
    assert "no such connector" in cli.refused("user", "invite", "ada", "elsewhere")
    cli.told("user", "create", "eve", "--no-password")
    assert "--email" in cli.refused("user", "invite", "eve", linked)
    assert "--email" in cli.refused("user", "invite", "eve", linked, "--email", "nobody")


def test_an_operator_takes_a_way_in_away(cli: Cli, ada: Any, linked: str, signed_in: str, clock: Any) -> None:
    assert cli.json("user", "show", "ada")["linked"] == ["corp: ada.l"]
    assert "no longer signs in by corp" in cli.told("user", "unlink", "ada", linked)
    assert cli.json("user", "show", "ada")["linked"] == []
    assert not is_signed_in(cli, signed_in, clock)
    assert "ada is not linked to corp" in cli.refused("user", "unlink", "ada", linked)


def test_an_operator_leaves_nobody_without_a_way_in(cli: Cli, ada: Any, linked: str) -> None:
    with cli.db.write() as tx:
        tx.execute(update(account.Account).values(password_hash=None))
    assert "the only way in" in cli.refused("user", "unlink", "ada", linked)
    assert cli.json("user", "show", "ada")["linked"] == ["corp: ada.l"]


@pytest.mark.attack("FD7")
def test_what_an_operator_has_closed_no_directory_keeps_closed(cli: Cli, ada: Any, linked: str, clock: Any) -> None:
    for command in ("disable", "enable"):
        with cli.db.write() as tx:
            (mine,) = identity.of_account(tx, ada["id"])
            identity.seen(tx, mine.id, clock(), closed_at=clock())
        assert cli.json("user", "show", "ada")["linked"] == ["corp: ada.l (closed there)"]
        cli.told("user", command, "ada")
        assert cli.json("user", "show", "ada")["linked"] == ["corp: ada.l"]


def test_demands_a_second_factor_of_one_person(cli: Cli, ada: Any) -> None:
    cli.told("user", "require-mfa", "ada")
    assert cli.json("user", "show", "ada")["must_use_second_factor"]
    cli.told("user", "require-mfa", "ada", "--off")
    assert not cli.json("user", "show", "ada")["must_use_second_factor"]


def test_sets_and_removes_claims(cli: Cli, ada: Any) -> None:
    cli.told("user", "set-claim", "ada", "name", "Ada Lovelace")
    cli.told("user", "set-claim", "ada", "address", '{"locality": "London"}')
    cli.told("user", "set-claim", "ada", "phone_number_verified", "true")
    cli.told("user", "set-claim", "ada", "email_verified", "true")
    shown = cli.json("user", "show", "ada")
    assert shown["claims"] == {
        "name": "Ada Lovelace",
        "address": {"locality": "London"},
        "phone_number_verified": True,
    }
    assert shown["email_verified"]
    cli.told("user", "set-claim", "ada", "name")
    assert "name" not in cli.json("user", "show", "ada")["claims"]


def test_a_new_e_mail_is_unverified_again(cli: Cli, ada: Any) -> None:
    cli.told("user", "set-claim", "ada", "email_verified", "true")
    cli.told("user", "set-claim", "ada", "email", "countess@example.org")
    shown = cli.json("user", "show", "countess@example.org")
    assert (shown["email"], shown["email_verified"]) == ("countess@example.org", False)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("role", "admin"),
        ("sub", "x"),
        ("updated_at", "1"),
        ("address", "London"),
        ("address", '{"planet": "Mars"}'),
        ("address", '{"locality": 1}'),
        ("phone_number_verified", "yes"),
        ("email_verified", "1"),
        ("email", "nowhere"),
    ],
)
def test_refuses_claims_that_are_none(cli: Cli, ada: Any, name: str, value: str) -> None:
    cli.refused("user", "set-claim", "ada", name, value)
    assert cli.json("user", "show", "ada")["claims"] == {}


def test_every_change_is_in_the_audit_with_its_operator(cli: Cli, ada: Any) -> None:
    for command in ("disable", "enable", "unlock", "totp-reset", "require-mfa"):
        cli.told("user", command, "ada")
    actor = f"cli:{getpass.getuser()}"
    assert cli.events() == [
        ("user.created", actor),
        ("user.disabled", actor),
        ("user.enabled", actor),
        ("user.unlocked", actor),
        ("user.factors_removed", actor),
        ("user.mfa_changed", actor),
    ]


def test_an_unknown_group_creates_nobody(cli: Cli) -> None:
    assert "no such group" in cli.refused("user", "create", "eve", "--no-password", "--group", "none")
    assert cli.json("user", "list")["users"] == []


def test_sessions_of_others_go_on(cli: Cli, ada: Any, clock: Any) -> None:
    eve = cli.user("eve")
    with cli.db.write() as tx:
        Sessions(db=cli.db).sign_in(tx, eve["id"], None, now=clock(), user_agent="", ip="")
    cli.told("user", "disable", "ada")
    with cli.db.read() as tx:
        assert len(session.of_account(tx, eve["id"], clock())) == 1
