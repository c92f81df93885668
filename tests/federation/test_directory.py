"""A real OpenLDAP behind the connector: who gets in, who does not, and what is never sent."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from idp.federation.connector import Identity, Misconfigured, NotSignedIn, Outcome
from idp.federation.directory.connector import Directory
from tests.federation.conftest import Connect
from tests.services.authority import Authority, Certificate
from tests.services.program import free_port
from tests.services.slapd import BASE, GROUPS, PASSWORD, PEOPLE, READER, Slapd, group, person
from tests.services.wire import Wire

BUSY = 4.0  # how much longer a busy machine may take


def always(_key: str) -> bool:
    return True


def refused(connector: Directory, name: str, password: str = PASSWORD) -> tuple[Outcome, str]:
    with pytest.raises(NotSignedIn) as caught:
        connector.authenticate(name, password, always)
    return caught.value.outcome, caught.value.code


def names(who: Identity) -> set[str]:
    return {each.name for each in who.groups}


@pytest.mark.parametrize("login", ["alice", "ALICE", " alice ", "alice@example.test"])
def test_the_right_password_tells_who_it_is(connect: Connect, login: str) -> None:
    who = connect().authenticate(login, PASSWORD, always)
    assert (who.username, who.email, who.email_verified) == ("alice", "alice@example.test", False)
    assert len(who.external_id) == 36
    assert who.claims["given_name"] == "Alice"
    assert who.standing is None


def test_start_tls_serves_as_well_as_ldaps(connect: Connect, slapd: Slapd) -> None:
    assert connect(servers=[slapd.ldap]).authenticate("alice", PASSWORD, always).username == "alice"


def test_a_wrong_password_and_an_unknown_name_are_no_match(connect: Connect) -> None:
    directory = connect()
    assert refused(directory, "user000003", "wrong") == (Outcome.NO_MATCH, "49")
    assert refused(directory, "nobody-there") == (Outcome.NO_MATCH, "unknown")


@pytest.mark.attack("FD1")
@pytest.mark.parametrize("name", ["*", "a*", "alice)(uid=*", "alice)(|(uid=*", "\\2a", "alice\\", "(", "alice)"])
def test_filter_characters_are_just_characters(connect: Connect, name: str) -> None:
    assert refused(connect(), name) == (Outcome.NO_MATCH, "unknown")


@pytest.mark.attack("FD1", "FD2")
@pytest.mark.parametrize("template", [None, f"uid={{}},{PEOPLE}"])
def test_a_name_made_of_special_characters_signs_in_as_itself(connect: Connect, template: str | None) -> None:
    changes = {} if template is None else {"user_dn": template, "bind_dn": None}
    assert connect(**changes).authenticate('o, dd +"#(*)', PASSWORD, always).username == 'o, dd +"#(*)'


@pytest.mark.attack("FD2")
@pytest.mark.parametrize(
    "name", ["alice,ou=people", "user000001,ou=people,dc=example,dc=test", "alice+cn=x", "#616c696365", 'al"ice', "a;b"]
)
def test_dn_characters_are_just_characters(connect: Connect, slapd: Slapd, name: str) -> None:
    directory = connect(user_dn=f"uid={{}},{PEOPLE}", bind_dn=None)
    before = slapd.binds(person("alice")) + slapd.binds(person("user000001"))
    assert refused(directory, name)[0] is Outcome.NO_MATCH
    assert slapd.binds(person("alice")) + slapd.binds(person("user000001")) == before


@pytest.fixture
def credulous(box: Path, certificate: Certificate) -> Iterator[Slapd]:
    """A directory that answers an empty password with success."""
    server = Slapd(box / "credulous", certificate, people=1, groups=1, anonymous=True)
    yield server
    server.stop()
    __import__("shutil").rmtree(server.folder)


@pytest.mark.attack("FD3")
def test_an_empty_password_is_refused_before_the_directory_sees_it(connect: Connect, credulous: Slapd) -> None:
    for changes in ({}, {"user_dn": f"uid={{}},{PEOPLE}", "bind_dn": None}):
        directory = connect(servers=[credulous.ldaps], **changes)
        for empty in ("", "\x00", "\x00secret", PASSWORD + "\x00"):
            assert refused(directory, "alice", empty) == (Outcome.NO_MATCH, "empty password")
    assert credulous.binds(person("alice")) == 0


@pytest.mark.attack("FD4")
def test_two_people_of_one_address_are_nobody(connect: Connect) -> None:
    assert refused(connect(), "same@example.test") == (Outcome.NO_MATCH, "ambiguous")


@pytest.mark.attack("FD4")
def test_a_referral_is_not_followed(connect: Connect) -> None:
    directory = connect(user_base=f"ou=elsewhere,ou=refs,{BASE}")
    began = time.monotonic()
    assert refused(directory, "alice")[0] is Outcome.NO_MATCH
    assert time.monotonic() - began < 5
    assert refused(connect(user_base=BASE), "nobody-there") == (Outcome.NO_MATCH, "unknown")


@pytest.mark.attack("FD5")
@pytest.mark.parametrize("broken", ["authority", "name"])
@pytest.mark.parametrize("scheme", ["ldap", "ldaps"])
def test_without_a_trusted_certificate_for_the_name_no_password_is_sent(
    connect: Connect, slapd: Slapd, box: Path, broken: str, scheme: str
) -> None:
    changes: dict[str, Any] = {}
    host = "localhost"
    if broken == "authority":
        changes["ca_file"] = str(Authority(box / f"stranger-{scheme}").file)
    else:
        host = "127.0.0.2"
    with Wire(slapd.port if scheme == "ldap" else slapd.tls_port) as wire:
        if broken == "name":
            wire.listen_too("127.0.0.2")
        directory = connect(servers=[f"{scheme}://{host}:{wire.port}"], **changes)
        outcome, code = refused(directory, "alice")
        assert outcome is Outcome.UNAVAILABLE
        assert code.startswith("tls: the certificate")
        assert wire.connections >= 1
        assert PASSWORD.encode() not in wire.said
        assert READER[1].encode() not in wire.said
        assert b"cn=reader" not in wire.said


@pytest.mark.attack("FD5")
def test_where_start_tls_is_stripped_no_password_is_sent(connect: Connect) -> None:
    refusal = bytes.fromhex("300c02010178070a013504000400")  # extendedResp: unwillingToPerform
    with Stripper(refusal) as stripper:
        directory = connect(servers=[f"ldap://localhost:{stripper.port}"])
        assert refused(directory, "alice")[0] is Outcome.UNAVAILABLE
    assert b"1.3.6.1.4.1.1466.20037" in stripper.heard
    assert b"reader" not in stripper.heard


class Stripper:
    """Answers the first message, whatever it is, and listens to what follows."""

    def __init__(self, answer: bytes) -> None:
        import socket  # noqa: PLC0415

        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.heard = bytearray()
        self._answer = answer
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        self._thread.join(5)

    def _serve(self) -> None:
        try:
            line, _ = self._listener.accept()
            with line:
                line.settimeout(3)
                self.heard += line.recv(65536)
                line.sendall(self._answer)
                while more := line.recv(65536):
                    self.heard += more
        except OSError:
            return


@pytest.mark.attack("FD6")
def test_the_states_of_a_password_policy_are_told_apart(connect: Connect) -> None:
    directory = connect()
    assert refused(directory, "expired")[0] is Outcome.PASSWORD_EXPIRED
    assert refused(directory, "mustchange")[0] is Outcome.MUST_CHANGE
    assert refused(directory, "locked")[0] is Outcome.LOCKED
    assert refused(directory, "expired", "wrong") == (Outcome.NO_MATCH, "49")


@pytest.mark.attack("FD10")
def test_who_is_held_back_is_not_tried(connect: Connect, slapd: Slapd) -> None:
    directory, asked = connect(), []

    def never(key: str) -> bool:
        asked.append(key)
        return False

    before = slapd.binds(person("user000004"))
    with pytest.raises(NotSignedIn) as caught:
        directory.authenticate("user000004", PASSWORD, never)
    assert caught.value.outcome is Outcome.HELD_BACK
    assert slapd.binds(person("user000004")) == before
    by_mail = connect().find("user000004@example.test")
    assert by_mail is not None
    assert asked == [by_mail.external_id]


@pytest.mark.parametrize("how", ["memberof", "search"])
def test_groups_within_groups_are_found_with_the_way_to_them(connect: Connect, how: str) -> None:
    who = connect(groups=how, group_base=GROUPS).authenticate("alice", PASSWORD, always)
    assert names(who) == {"inner", "middle", "outer"}
    assert who.groups_complete
    assert {each.name: each.via for each in who.groups}["outer"] == group("middle")
    flat = connect(groups=how, nested_groups=False).authenticate("alice", PASSWORD, always)
    assert names(flat) == {"inner"}
    assert connect(groups="none").authenticate("alice", PASSWORD, always).groups == ()


@pytest.mark.attack("FD8")
def test_a_circle_of_groups_ends(connect: Connect) -> None:
    who = connect().authenticate("müller", PASSWORD, always)
    assert names(who) == {"ring-a", "ring-b"}


def test_the_one_who_binds_by_a_template_reads_only_themselves(connect: Connect) -> None:
    directory = connect(user_dn=f"uid={{}},{PEOPLE}", bind_dn=None)
    assert directory.authenticate("user000002", PASSWORD, always).email == "user000002@example.test"
    assert directory.find("user000002") is None
    with pytest.raises(NotSignedIn, match="bind_dn is missing"):
        list(directory.everybody())


@pytest.mark.attack("FD9")
def test_a_directory_that_hangs_is_given_up_in_time_and_then_at_once(connect: Connect, slapd: Slapd) -> None:
    directory = connect(timeout=1.0, connections=2)
    assert directory.authenticate("alice", PASSWORD, always)
    slapd.hang()
    try:
        took = []
        for _ in range(3):
            began = time.monotonic()
            assert refused(directory, "alice")[0] is Outcome.UNAVAILABLE
            took.append(time.monotonic() - began)
    finally:
        slapd.go_on()
    assert took[0] < 1 + BUSY
    assert min(took[1:]) < 0.9  # each that is tried takes a second; a machine may stumble once


def test_no_more_wait_than_may(connect: Connect, slapd: Slapd) -> None:
    directory = connect(timeout=1.0, connections=1)
    slapd.hang()
    outcomes: list[str] = []
    try:
        threads = [threading.Thread(target=lambda: outcomes.append(refused(directory, "alice")[1])) for _ in range(4)]
        for each in threads:
            each.start()
        for each in threads:
            each.join(5)
    finally:
        slapd.go_on()
    assert outcomes.count("busy") >= 2


def test_another_server_takes_over_and_kept_lines_that_broke_are_made_anew(connect: Connect, slapd: Slapd) -> None:
    with Wire(slapd.tls_port) as wire:
        directory = connect(servers=[f"ldaps://localhost:{free_port()}", f"ldaps://localhost:{wire.port}"])
        assert directory.authenticate("alice", PASSWORD, always)
        made = wire.connections
        assert directory.authenticate("alice", PASSWORD, always)
        assert wire.connections == made
        wire.drop()
        assert directory.authenticate("alice", PASSWORD, always)
        assert wire.connections > made
        wire.cut_after = 300
        wire.drop()
        assert refused(directory, "alice")[0] is Outcome.UNAVAILABLE


def test_everybody_is_read_in_pages_beyond_the_limit_of_the_server(
    connect: Connect, box: Path, certificate: Certificate
) -> None:
    crowd = Slapd(box / "crowd", certificate, people=1200, groups=3)
    try:
        found = {who.username: who for who in connect(servers=[crowd.ldaps]).everybody()}
    finally:
        crowd.stop()
    assert len(found) == 1208
    assert found["locked"].standing is Outcome.LOCKED
    assert names(found["alice"]) == {"inner", "middle", "outer"}


def test_a_test_walks_every_step_in_words(connect: Connect, slapd: Slapd, box: Path) -> None:
    steps = list(connect().examine("alice"))
    assert all(each.passed for each in steps)
    assert [each.step for each in steps] == ["TLS", "bind", "search", "person", "groups"]
    assert "outer" in steps[-1].words
    for changes, step in (
        ({"servers": [f"ldaps://localhost:{free_port()}"]}, "reach"),
        ({"ca_file": str(Authority(box / "unknown").file)}, "TLS"),
        ({"bind_dn": f"cn=nobody,{BASE}"}, "bind"),
        ({"user_base": GROUPS}, "search"),
    ):
        found = [each for each in connect(**changes).examine("alice") if not each.passed]
        assert [each.step for each in found] == [step]
    lost = [each for each in connect().examine("nobody-there") if not each.passed]
    assert [each.step for each in lost] == ["person"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"servers": ["http://localhost"]}, "servers"),
        ({"servers": []}, "servers"),
        ({"servers": ["ldaps://localhost:port"]}, "servers"),
        ({"ca_file": "/nowhere.pem"}, "ca_file"),
        ({"user_base": "people"}, "user_base"),
        ({"user_filter": "(a=b)(c=d)"}, "user_filter"),
        ({"user_filter": "objectClass=person"}, "user_filter"),
        ({"user_dn": "uid=alice,dc=x"}, "user_dn"),
        ({"groups": "guess"}, "groups"),
        ({"timeout": 0}, "timeout"),
        ({"connections": 0}, "connections"),
        ({"verify": False}, "verify"),
        ({"nested_groups": "yes"}, "nested_groups"),
        ({"login_attributes": [1]}, "login_attributes"),
        ({"claims": "cn"}, "claims"),
        ({"user_base": None}, "user_base"),
    ],
)
def test_what_cannot_be_is_refused_by_the_name_of_its_field(
    connect: Connect, changes: dict[str, Any], field: str
) -> None:
    with pytest.raises(Misconfigured, match=f"^{field}:"):
        connect(**changes)
