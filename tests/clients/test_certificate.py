"""Certificates as proof of who a client is."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from idp.clients.certificate import NAMES, Authorities, check, problem, registered
from idp.clients.client import SELF_SIGNED, TLS, Client
from idp.protocol.errors import InvalidClient
from tests.fixtures.certificates import ALTERNATIVES, Certified, make

NOW = dt.datetime(2030, 1, 2, tzinfo=dt.UTC)
CA = make("Authority", authority=True)
ORDERS = make(by=CA, names=ALTERNATIVES, uses=(ExtendedKeyUsageOID.CLIENT_AUTH,))
DN = "CN=orders,O=Example,C=FR"
NOBODY = Authorities(None)


@pytest.fixture(scope="module")
def authorities(tmp_path_factory: pytest.TempPathFactory) -> Authorities:
    file = tmp_path_factory.mktemp("ca") / "ca.pem"
    file.write_bytes(CA.pem)
    return Authorities(file)


def known_by(name: str, value: str) -> Client:
    return Client(
        id="1", client_id="orders", name="Orders", auth_method=TLS, grant_types=frozenset(), tls_subject=(name, value)
    )


def owner_of(*certificates: Certified) -> Client:
    held = frozenset(each.x5t for each in certificates)
    return Client(
        id="1", client_id="orders", name="Orders", auth_method=SELF_SIGNED, grant_types=frozenset(), certificates=held
    )


def refused(client: Client, presented: bytes | None, authorities: Authorities, now: dt.datetime = NOW) -> str:
    with pytest.raises(InvalidClient) as found:
        check(client, presented, authorities, now)
    assert found.value.description == "client authentication failed"
    return found.value.reason


@pytest.mark.spec("RFC 8705 section 2.1")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("subject_dn", DN),
        ("san_dns", "orders.example"),
        ("san_uri", "spiffe://example/orders"),
        ("san_ip", "192.0.2.7"),
        ("san_email", "orders@example.com"),
    ],
)
def test_a_client_is_known_by_the_name_that_it_registered(authorities: Authorities, name: str, value: str) -> None:
    check(known_by(name, value), ORDERS.der, authorities, NOW)


@pytest.mark.attack("TK35")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("subject_dn", "CN=stock,O=Example,C=FR"),
        ("subject_dn", "CN=orders,O=Example"),
        ("subject_dn", "C=FR,O=Example,CN=orders"),
        ("san_dns", "example"),
        ("san_dns", "spiffe://example/orders"),
        ("san_uri", "orders.example"),
        ("san_ip", "192.0.2.8"),
        ("san_email", "stock@example.com"),
    ],
)
def test_another_name_is_somebody_else(authorities: Authorities, name: str, value: str) -> None:
    assert refused(known_by(name, value), ORDERS.der, authorities) == "certificate is somebody else's"


@pytest.mark.attack("TK35")
def test_a_certificate_without_alternative_names_has_none(authorities: Authorities) -> None:
    assert refused(known_by("san_dns", "orders"), make(by=CA).der, authorities) == "certificate is somebody else's"


@pytest.mark.attack("TK35")
@pytest.mark.parametrize(
    "presented",
    [
        make(names=ALTERNATIVES),  # signed by itself, with the same names
        make(by=make("Authority", authority=True), names=ALTERNATIVES),  # by another of the same name
        make(by=CA, uses=(ExtendedKeyUsageOID.SERVER_AUTH,)),
        make(by=make(by=CA)),  # by somebody who is no authority
        make(by=CA, authority=True),
    ],
)
def test_whose_name_nobody_vouches_for_is_refused(authorities: Authorities, presented: Certified) -> None:
    reason = refused(known_by("subject_dn", DN), presented.der, authorities)
    assert reason == "no authority vouches for the certificate"


@pytest.mark.attack("TK35")
def test_without_authorities_nobody_is_vouched_for() -> None:
    assert refused(known_by("subject_dn", DN), ORDERS.der, NOBODY) == "no authority vouches for the certificate"


def test_a_certificate_for_any_use_is_for_clients_too(authorities: Authorities) -> None:
    anything = make(by=CA, uses=(ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,))
    check(known_by("subject_dn", DN), anything.der, authorities, NOW)
    check(known_by("subject_dn", DN), make(by=CA).der, authorities, NOW)


@pytest.mark.spec("RFC 8705 section 2.2")
def test_a_registered_certificate_needs_no_authority() -> None:
    one, other = make(), make()
    check(owner_of(one, other), other.der, NOBODY, NOW)


@pytest.mark.attack("TK35")
def test_a_certificate_of_the_same_name_is_another() -> None:
    assert refused(owner_of(make()), make().der, NOBODY) == "certificate is not registered"
    assert refused(owner_of(), make().der, NOBODY) == "certificate is not registered"


@pytest.mark.attack("TK35")
@pytest.mark.parametrize("now", [dt.datetime(2025, 12, 31, tzinfo=dt.UTC), dt.datetime(2040, 1, 1, tzinfo=dt.UTC)])
def test_a_certificate_has_its_time(authorities: Authorities, now: dt.datetime) -> None:
    for client in (owner_of(ORDERS), known_by("subject_dn", DN)):
        assert refused(client, ORDERS.der, authorities, now) == "certificate has ended or not begun"


@pytest.mark.attack("TK35")
def test_no_certificate_and_none_that_can_be_read_are_refused() -> None:
    assert refused(owner_of(ORDERS), None, NOBODY) == "no client certificate"
    for broken in (b"", b"\x30\x00", ORDERS.der[:-1], ORDERS.der + b"\x00"):
        assert refused(owner_of(ORDERS), broken, NOBODY) == "certificate cannot be read"


def test_a_file_without_certificates_is_named(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("nothing")
    with pytest.raises(ValueError, match="client_ca_file"):
        Authorities(file)


@pytest.mark.spec("RFC 7517 section 4.7")
def test_certificates_of_a_key_set_are_found() -> None:
    assert registered(ORDERS.jwks) == {ORDERS.x5t}


@pytest.mark.parametrize(
    "jwks",
    [
        None,
        {},
        {"keys": "none"},
        {"keys": ["none"]},
        {"keys": [{"kty": "EC"}]},
        {"keys": [{"x5c": []}]},
        {"keys": [{"x5c": [7]}]},
        {"keys": [{"x5c": ["no base64"]}]},
        {"keys": [{"x5c": ["AAAA"]}]},
    ],
)
def test_a_key_set_without_certificates_has_none(jwks: dict[str, object] | None) -> None:
    assert registered(jwks) == frozenset()


@pytest.mark.parametrize(
    ("name", "value"), [("subject_dn", DN), ("san_dns", "orders.example"), ("san_ip", "2001:db8::1")]
)
def test_takes_a_name_that_can_be_compared(name: str, value: str) -> None:
    assert problem(name, value) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [("subject", DN), ("subject_dn", "orders"), ("san_ip", "192.0.2"), ("san_dns", ""), ("san_dns", "a\nb")],
)
def test_tells_what_is_wrong_with_a_name(name: str, value: str) -> None:
    said = problem(name, value)
    assert said is not None
    assert said.startswith(name if name in NAMES else "write one of")
