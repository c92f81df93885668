"""Browsers in the domain sign in by their tickets; everybody else sees the page they know."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Callable, Iterator
from io import StringIO
from typing import Any

import pytest
from flask import Flask

from idp.accounts import administration, connectors
from idp.accounts.connectors import Definition
from idp.store import account, audit, identity, session, totp
from idp.web import logs
from tests.fixtures.markup import Page
from tests.services.authority import Authority
from tests.services.samba import DOMAIN, PASSWORD, Samba
from tests.services.tickets import SERVICE, Tickets

pytestmark = [
    pytest.mark.xdist_group("samba"),
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
]
NTLM = b"NTLMSSP\x00\x01\x00\x00\x00" + bytes(24)
Someone = Callable[..., str]


@pytest.fixture
def join(services: Any, samba: Samba, reader: str, authority: Authority, machine: Tickets) -> Any:
    """Connect the domain, with tickets; settings may differ."""
    kerberos = {"keytab": str(machine.keytab), "service": SERVICE, "addresses": ["127.0.0.0/8"]}
    table = {
        "kind": "active_directory",
        "label": "Corp",
        "servers": [samba.ldaps],
        "ca_file": str(authority.file),
        "domain": DOMAIN,
        "bind_dn": reader,
        "bind_password": PASSWORD,
        "timeout": 10,
        "kerberos": kerberos,
    }

    def to(*, addresses: list[str] | None = None, **changes: object) -> None:
        asked = kerberos if addresses is None else {**kerberos, "addresses": addresses}
        definition = Definition.parse("corp", {**table, "kerberos": asked, **changes})
        with services.db.write() as tx:
            connectors.save(tx, services.sealer, definition, services.clock(), declared=False)
        services.connectors.forget()

    yield to
    services.connectors.close()


@pytest.fixture
def person(machine: Tickets, someone: Someone) -> str:
    """Somebody of the domain who has signed in at the machine."""
    name = someone()
    machine.sign_in(name)
    return name


@pytest.fixture
def said(app: Flask) -> Iterator[StringIO]:
    """What the provider logs."""
    root = logging.getLogger()
    handlers, level, stream = root.handlers, root.level, StringIO()
    logs.configure("warning", stream)
    yield stream
    root.handlers = handlers
    root.setLevel(level)


def show(browser: Any, page: Any, token: bytes | str, scheme: str = "Negotiate") -> Any:
    """Ask for the same page again with a token, as a browser does by itself."""
    text = token if isinstance(token, str) else base64.b64encode(token).decode()
    return browser.http.get(page.request.full_path, headers={"Authorization": f"{scheme} {text}"})


@pytest.mark.spec("RFC 4559 section 4")
def test_a_browser_of_the_domain_is_asked_under_the_page_that_everybody_knows(
    browser: Any, web_app: Any, alice: Any, join: Any
) -> None:
    join()
    page = browser.authorize(web_app)
    assert (page.status_code, page.headers["WWW-Authenticate"]) == (401, "Negotiate")
    assert "no-store" in page.headers["Cache-Control"]
    assert "consent-allow" in Page(browser.log_in(page, alice).text).ids


def test_nobody_else_is_asked(browser: Any, web_app: Any, join: Any) -> None:
    join(addresses=["192.0.2.0/24"])
    page = browser.authorize(web_app)
    assert (page.status_code, page.headers.get("WWW-Authenticate")) == (200, None)


def test_a_ticket_signs_in_without_a_question_and_the_browser_has_our_proof(
    browser: Any, web_app: Any, services: Any, join: Any, machine: Tickets, person: str
) -> None:
    join()
    page = browser.authorize(web_app)
    answer = show(browser, page, machine.show(person), scheme="negotiate")
    assert (answer.status_code, answer.headers["WWW-Authenticate"][:10]) == (303, "Negotiate ")
    assert len(base64.b64decode(answer.headers["WWW-Authenticate"][10:])) > 100
    assert "consent-allow" in Page(browser.follow(answer).text).ids
    with services.db.read() as tx:
        found = account.find_by_login(tx, person)
        assert found is not None
        assert [each.username for each in identity.of_account(tx, found.id)] == [person]
        (held,) = session.of_account(tx, found.id, services.clock())
        assert (held.acr, held.amr, held.auth_time) == ("aal1", ["wia"], session.UNPROVED)
    assert "login-submit" in Page(browser.authorize(web_app, max_age="86400").text).ids


def test_by_ticket_and_by_password_it_is_the_same_account(
    browser: Any, web_app: Any, services: Any, join: Any, machine: Tickets, person: str
) -> None:
    join()
    show(browser, browser.authorize(web_app), machine.show(person))
    other = browser.another()
    page = other.submit(other.authorize(web_app), "login-submit", username=person, password=PASSWORD)
    assert "consent-allow" in Page(page.text).ids
    with services.db.read() as tx:
        found = account.find_by_login(tx, person)
        assert found is not None
        assert len(identity.of_account(tx, found.id)) == 1


@pytest.mark.attack("LG16", "FD21")
def test_a_ticket_is_a_first_factor_alone(
    browser: Any, web_app: Any, services: Any, clock: Any, join: Any, machine: Tickets, person: str
) -> None:
    join()
    show(browser, browser.authorize(web_app), machine.show(person))
    with services.db.write() as tx:
        found = account.find_by_login(tx, person)
        assert found is not None
        sealed = services.sealer.seal("totp", "seed_sealed", "t1", b"twenty bytes of seed")
        totp.create(tx, totp_id="t1", account_id=found.id, label="Phone", seed_sealed=sealed, now=clock())
        totp.confirm(tx, "t1", 0, clock())
    other = browser.another()
    answer = show(other, other.authorize(web_app), machine.show(person))
    assert "mfa-submit" in Page(other.follow(answer).text).ids


@pytest.mark.attack("LG17")
def test_a_first_second_factor_is_not_added_by_what_a_machine_holds(
    browser: Any, web_app: Any, join: Any, machine: Tickets, person: str
) -> None:
    join()
    page = browser.authorize(web_app, acr_values="aal2")
    again = browser.follow(show(browser, page, machine.show(person)))
    # Their own password first; and now that somebody is here, no ticket is asked for.
    assert (again.status_code, again.headers.get("WWW-Authenticate")) == (200, None)
    assert browser.form(again).fields["username"] == person
    typed = browser.submit(again, "login-submit", username=person, password=PASSWORD)
    assert "enrol-submit" in Page(typed.text).ids


@pytest.mark.parametrize(
    "wish",
    [
        {"prompt": "login"},
        {"prompt": "select_account"},
        {"max_age": "600"},
        {"claims": '{"id_token": {"sub": {"value": "somebody"}}}'},
    ],
)
def test_an_app_that_wants_somebody_present_or_somebody_named_gets_no_ticket(
    browser: Any, web_app: Any, join: Any, machine: Tickets, person: str, wish: dict[str, str]
) -> None:
    join()
    page = browser.authorize(web_app, **wish)
    assert (page.status_code, page.headers.get("WWW-Authenticate")) == (200, None)
    assert show(browser, page, machine.show(person)).status_code == 200


@pytest.mark.attack("FD20", "LG15")
def test_a_ticket_is_good_once_and_for_the_browser_whose_sign_in_it_is(
    browser: Any, web_app: Any, services: Any, join: Any, machine: Tickets, person: str, monkeypatch: Any
) -> None:
    join()
    page, token = browser.authorize(web_app), machine.show(person)
    thief = browser.another()
    assert show(thief, page, token).status_code == 403
    assert show(browser, page, token).status_code == 303
    assert show(thief, thief.authorize(web_app), token).status_code == 403
    # On another machine, whose library has not seen it: the store has.
    monkeypatch.setenv("KRB5RCACHENAME", "none:")
    assert services.connectors.find("corp", services.clock()).connector.by_ticket(token)[0].username == person
    assert show(thief, thief.authorize(web_app), token).status_code == 403


@pytest.mark.attack("FD6", "LG1")
def test_every_refusal_reads_alike_and_leads_to_the_password(
    browser: Any, web_app: Any, join: Any, services: Any, said: StringIO, machine: Tickets, person: str, alice: Any
) -> None:
    join()
    show(browser, browser.authorize(web_app), machine.show(person))
    with services.db.write() as tx:
        found = account.find_by_login(tx, person)
        assert found is not None
        administration.disable(tx, found, services.clock())
    shown: dict[str, bytes | str] = {
        "closed here": machine.show(person),
        "NTLM": NTLM,
        "noise": b"noise",
        "nothing": "",
        "no base64": "n*o",
        "too long": "A" * 65_540,
    }
    told = set()
    for token in shown.values():
        other = browser.another()
        page = other.authorize(web_app)
        answer = show(other, page, token)
        text = Page(answer.text).text
        number = text.partition("tell this number: ")[2][:12]
        told.add((answer.status_code, answer.headers.get("WWW-Authenticate"), text.replace(number, "")))
        with services.db.read() as tx:
            noted = {row.support_id for row in audit.recent(tx, limit=5)}
        assert number in noted or number in said.getvalue()
        assert "consent-allow" in Page(other.log_in(answer, alice).text).ids
    ((status, challenge, text),) = told
    assert (status, challenge) == (403, None)
    assert "Sign in with your user name and your password" in text
    assert "kerberos: NTLM" in [json.loads(line).get("reason") for line in said.getvalue().splitlines()]


def test_a_ticket_of_somebody_who_is_not_invited_makes_no_account(
    browser: Any, web_app: Any, services: Any, join: Any, machine: Tickets, person: str
) -> None:
    join(provisioning="linked")
    assert show(browser, browser.authorize(web_app), machine.show(person)).status_code == 403
    with services.db.read() as tx:
        assert account.find_by_login(tx, person) is None
