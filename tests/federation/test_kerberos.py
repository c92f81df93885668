"""Tickets of a real domain: which are taken, which are refused, and that nobody is found by a name."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import ldap3
import pytest

from idp.federation import kerberos
from idp.federation.active_directory import ActiveDirectory
from idp.federation.connector import Misconfigured, NotSignedIn, Outcome
from idp.federation.directory import in_domain
from idp.federation.kerberos import Kerberos
from idp.federation.ldap.answers import Answer
from idp.federation.registry import Made, make
from tests.services import trusting
from tests.services.authority import Authority
from tests.services.samba import DOMAIN, REALM, ROOT, STAFF, Domain, Samba
from tests.services.tickets import KERBEROS, SERVICE, Tickets, gssapi

pytestmark = pytest.mark.xdist_group("samba")
Someone = Callable[..., str]
NTLM = b"NTLMSSP\x00\x01\x00\x00\x00" + bytes(24)
OIDS = {
    "ntlm": bytes.fromhex("060a2b06010401823702020a"),
    "kerberos": bytes.fromhex("06092a864886f712010202"),
}


def der(tag: int, inside: bytes) -> bytes:
    length = bytes([len(inside)]) if len(inside) < 128 else b"\x82" + len(inside).to_bytes(2, "big")
    return bytes([tag]) + length + inside


def spnego(*mechanisms: str, token: bytes = b"") -> bytes:
    """A NegTokenInit (RFC 4178 section 4.2.1)."""
    listed = der(0xA0, der(0x30, b"".join(OIDS[each] for each in mechanisms)))
    carried = der(0xA2, der(0x04, token)) if token else b""
    return der(0x60, kerberos.SPNEGO_DER + der(0xA0, der(0x30, listed + carried)))


@pytest.fixture
def table(machine: Tickets) -> dict[str, object]:
    return {"keytab": str(machine.keytab), "service": SERVICE, "addresses": ["127.0.0.0/8", "::1"]}


@pytest.fixture
def corp(samba: Samba, reader: str, authority: Authority, table: dict[str, object]) -> Iterator[ActiveDirectory]:
    config = {
        "servers": [samba.ldaps],
        "ca_file": str(authority.file),
        "domain": DOMAIN,
        "bind_dn": reader,
        "timeout": 10,
        "kerberos": table,
    }
    made = make("active_directory", Made(name="corp", config=config, secrets={"bind_password": "Passw0rd-1"}))
    assert isinstance(made, ActiveDirectory)
    yield made
    made.close()


@pytest.fixture
def service(corp: ActiveDirectory) -> Kerberos:
    assert corp.kerberos is not None
    return corp.kerberos


def refused(take: Callable[[bytes], object], token: bytes) -> tuple[Outcome, str]:
    with pytest.raises(NotSignedIn) as caught:
        take(token)
    return caught.value.outcome, caught.value.code


def test_a_ticket_brings_who_it_names_as_the_directory_has_them_now(
    corp: ActiveDirectory, machine: Tickets, domain: Domain, someone: Someone
) -> None:
    name = someone()
    machine.sign_in(name)
    who, proof = corp.by_ticket(machine.show(name))
    found = corp.find(name)
    assert found is not None
    assert (who.external_id, who.username, who.amr) == (found.external_id, name, ("wia",))
    assert proof


def test_the_proof_in_return_is_one_that_the_browser_believes(
    service: Kerberos, machine: Tickets, someone: Someone
) -> None:
    name = someone()
    machine.sign_in(name)
    with machine.at_the_machine():
        browser = machine.dialogue(name)
        token = browser.step()
    assert token
    answer = service.accept(token).answer
    browser.step(answer)
    assert browser.complete


@pytest.mark.attack("FD20")
def test_a_ticket_is_taken_once(service: Kerberos, machine: Tickets, someone: Someone) -> None:
    name = someone()
    machine.sign_in(name)
    token = machine.show(name)
    service.accept(token)
    assert refused(service.accept, token) == (Outcome.NO_MATCH, "kerberos: replay")
    service.accept(machine.show(name))


@pytest.mark.parametrize("seconds", [-3600, 3600])
def test_a_ticket_of_another_hour_is_refused(
    service: Kerberos, machine: Tickets, someone: Someone, seconds: int
) -> None:
    name = someone()
    machine.sign_in(name)
    machine.show(name)  # now it has the ticket for the service, and needs nothing more of the domain
    machine.turn_clock(name, seconds)
    assert refused(service.accept, machine.show(name))[1] == "kerberos: clock"


def test_what_is_no_ticket_for_us_is_refused(service: Kerberos, machine: Tickets, someone: Someone) -> None:
    name = someone()
    machine.sign_in(name)
    token = machine.show(name)
    broken = {
        "nothing": b"",
        "one byte": b"\x60",
        "noise": bytes(range(256)) * 4,
        "cut": token[: len(token) // 2],
        "changed": token[:400] + bytes([token[400] ^ 1]) + token[401:],
        "more behind it": token + b"more",
        "too long": token + bytes(kerberos.LONGEST),
        "without SPNEGO": machine.show(name, KERBEROS),
        "NTLM": NTLM,
        "NTLM inside": spnego("ntlm", token=NTLM),
        "NTLM first": spnego("ntlm", "kerberos", token=NTLM),
        "a second round": spnego("kerberos"),
    }
    told = {what: refused(service.accept, each) for what, each in broken.items()}
    assert {outcome for outcome, _ in told.values()} == {Outcome.NO_MATCH}
    assert told["NTLM"][1] == "kerberos: NTLM"
    assert told["too long"][1] == "kerberos: too long"
    assert told["a second round"][1] == told["NTLM first"][1] == "kerberos: not in one round"
    service.accept(token)


@pytest.mark.attack("FD11")
def test_who_gets_a_freed_name_is_not_signed_in_by_its_former_bearers_ticket(
    corp: ActiveDirectory, machine: Tickets, domain: Domain, someone: Someone
) -> None:
    name = someone()
    machine.sign_in(name)
    before, _ = corp.by_ticket(machine.show(name))
    domain.line.delete(f"CN={name},{STAFF}")
    domain.person(name)
    assert refused(corp.by_ticket, machine.show(name)) == (Outcome.NO_MATCH, "unknown")
    machine.sign_in(name)
    after, _ = corp.by_ticket(machine.show(name))
    assert after.external_id != before.external_id


@pytest.mark.attack("FD7")
def test_who_is_disabled_after_the_ticket_was_given_is_refused(
    corp: ActiveDirectory, machine: Tickets, domain: Domain, someone: Someone
) -> None:
    name = someone()
    machine.sign_in(name)
    corp.by_ticket(machine.show(name))
    closed = {"userAccountControl": [(ldap3.MODIFY_REPLACE, [514])]}
    assert domain.line.modify(f"CN={name},{STAFF}", closed)
    assert refused(corp.by_ticket, machine.show(name)) == (Outcome.DISABLED, "kerberos: disabled")


def test_a_ticket_for_another_service_opens_nothing(service: Kerberos, machine: Tickets, someone: Someone) -> None:
    name = someone()
    machine.sign_in(name)
    other = replace(service, service="HTTP/other.example")
    assert refused(other.accept, machine.show(name))[0] is Outcome.UNAVAILABLE
    assert other.trouble() == "kerberos: the keytab has no key of HTTP/other.example"
    assert replace(service, keytab="/nowhere").trouble() is not None
    assert service.trouble() is None


def service_that_hears(
    monkeypatch: pytest.MonkeyPatch, principal: str, number: Callable[..., SimpleNamespace]
) -> Kerberos:
    """A service whose library tells of a ticket what no domain of the tests can be brought to sign."""
    context = SimpleNamespace(
        step=lambda _: None,
        complete=True,
        mech=SimpleNamespace(dotted_form=kerberos.KERBEROS),
        initiator_name=principal,
    )
    stand_in = SimpleNamespace(
        SecurityContext=lambda **_: context,
        Credentials=lambda **_: None,
        Name=lambda *_: None,
        NameType=gssapi.NameType,
        OID=gssapi.OID,
        exceptions=gssapi.exceptions,
        raw=SimpleNamespace(get_name_attribute=number),
    )
    monkeypatch.setitem(sys.modules, "gssapi", stand_in)
    return Kerberos(keytab="x", service=SERVICE, realm="CORP.EXAMPLE.TEST", addresses=())


@pytest.mark.parametrize(
    "principal",
    [
        "alice@OTHER.TEST",
        "alice@corp.example.test",
        "alice@EVIL\\@CORP.EXAMPLE.TEST",
        "alice\\@x@CORP.EXAMPLE.TEST",
        "alice@EVIL@CORP.EXAMPLE.TEST",
        "alice",
        "@CORP.EXAMPLE.TEST",
    ],
)
def test_people_of_other_realms_are_strangers(monkeypatch: pytest.MonkeyPatch, principal: str) -> None:
    # A trusted realm's ticket is as good as ours to the library.
    service = service_that_hears(monkeypatch, principal, lambda *_: signed(7))
    assert refused(service.accept, spnego("kerberos"))[1] == "kerberos: another realm"


def test_somebody_of_a_realm_that_the_domain_trusts_is_a_stranger(
    corp: ActiveDirectory, service: Kerberos, machine: Tickets, someone: Someone
) -> None:
    name = someone()
    # Somebody of the same name elsewhere, whom the domain has given a ticket for us.
    trusting.cache(machine.cache("stranger"), machine.keytab, f"{name}@OTHER.TEST", f"{SERVICE}@{REALM}")
    assert refused(service.accept, machine.show("stranger")) == (Outcome.NO_MATCH, "kerberos: another realm")
    assert refused(corp.by_ticket, machine.show("stranger"))[1] == "kerberos: another realm"
    # The same ticket with our realm in it is taken for ours: it was refused for nothing else.
    trusting.cache(machine.cache("stranger"), machine.keytab, f"{name}@{REALM}", f"{SERVICE}@{REALM}")
    assert refused(corp.by_ticket, machine.show("stranger"))[1] == "kerberos: no account in the ticket"


def test_a_ticket_without_a_number_names_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(*_: object) -> SimpleNamespace:
        raise gssapi.exceptions.GSSError(0, 0)

    for number in (nothing, lambda *_: signed(7, authenticated=False)):
        service = service_that_hears(monkeypatch, "alice@CORP.EXAMPLE.TEST", number)
        assert refused(service.accept, spnego("kerberos"))[1] == "kerberos: no account in the ticket"
    service = service_that_hears(monkeypatch, "alice@CORP.EXAMPLE.TEST", lambda *_: signed(7))
    assert service.accept(spnego("kerberos")).rid == 7


@pytest.mark.parametrize(
    ("code", "outcome"), [(0, Outcome.NO_MATCH), (32, Outcome.NO_MATCH), (52, Outcome.UNAVAILABLE)]
)
def test_a_directory_that_does_not_know_the_number_or_itself_brings_nobody(
    corp: ActiveDirectory, monkeypatch: pytest.MonkeyPatch, code: int, outcome: Outcome
) -> None:
    monkeypatch.setattr(corp.servers, "search", lambda _until, look: look(SimpleNamespace(search=asked), 1))

    def asked(*_: object, **__: object) -> tuple[Answer, list[object]]:
        return Answer(code=code), []

    with pytest.raises(NotSignedIn) as caught:
        in_domain.entry(corp, ROOT, 7, 1)
    assert caught.value.outcome is outcome


def signed(rid: int, **changes: Any) -> SimpleNamespace:
    """What the library says of the number in a ticket."""
    whole = kerberos.NDR + bytes(kerberos.RID_AT - len(kerberos.NDR)) + rid.to_bytes(4, "little")
    return SimpleNamespace(**{"values": [whole], "authenticated": True, **changes})


@pytest.mark.parametrize(
    "said",
    [
        signed(7, authenticated=False),
        signed(7, values=[]),
        signed(7, values=[signed(7).values[0][:-1]]),
        signed(7, values=[b"\x02" + signed(7).values[0][1:]]),
    ],
)
def test_a_number_that_the_domain_has_not_signed_is_none(said: SimpleNamespace) -> None:
    library = SimpleNamespace(raw=SimpleNamespace(get_name_attribute=lambda *_: said), exceptions=gssapi.exceptions)
    assert kerberos._rid(library, object()) is None


def test_only_browsers_of_the_domains_networks_are_asked(service: Kerberos) -> None:
    asked = {each: service.covers(each) for each in ("127.0.0.1", "::1", "192.0.2.1", "", "nonsense")}
    assert asked == {"127.0.0.1": True, "::1": True, "192.0.2.1": False, "": False, "nonsense": False}


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"keytab": 1}, "kerberos.keytab"),
        ({"service": "host/x"}, "kerberos.service"),
        ({"service": "HTTP/a b"}, "kerberos.service"),
        ({"addresses": []}, "kerberos.addresses"),
        ({"addresses": ["10.0.0.1/8"]}, "kerberos.addresses"),
        ({"adresses": ["10.0.0.0/8"]}, "kerberos.adresses"),
    ],
)
def test_a_setting_that_means_nothing_is_named(changes: dict[str, object], named: str) -> None:
    table = {"keytab": "x", "service": SERVICE, "addresses": ["10.0.0.0/8"], **changes}
    with pytest.raises(Misconfigured, match=named):
        Kerberos.read(table, DOMAIN)


def test_without_the_extra_the_setting_names_it_and_a_ticket_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    table = {"keytab": "x", "service": SERVICE, "addresses": ["10.0.0.0/8"]}
    plain = Kerberos.read(table, DOMAIN)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(Misconfigured, match=r"gatehouse-idp\[kerberos\]"):
        Kerberos.read(table, DOMAIN)
    with pytest.raises(Misconfigured, match="write a table"):
        Kerberos.read("yes", DOMAIN)
    monkeypatch.setitem(sys.modules, "gssapi", None)
    assert refused(plain.accept, spnego("kerberos")) == (
        Outcome.UNAVAILABLE,
        "kerberos: the library cannot be loaded",
    )


def test_the_connectors_test_says_whether_the_key_is_there(corp: ActiveDirectory) -> None:
    found = {each.step: each for each in corp.examine(None)}
    assert found["kerberos"].passed
    assert SERVICE in found["kerberos"].words
    corp.kerberos = None
    assert refused(corp.by_ticket, b"")[0] is Outcome.NO_MATCH
    assert not corp.asks("127.0.0.1")
