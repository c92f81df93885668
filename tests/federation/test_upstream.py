"""Where a provider may send us, and what we take from there."""

from __future__ import annotations

import ssl

import pytest

from idp.federation import lookup
from idp.federation.upstream import Line, Reach, UpstreamError
from tests.services.authority import Authority, Certificate
from tests.services.upstream import Upstream


def reach(home: str = "https://op.example", *, private: bool = False, ca_file: str | None = None) -> Reach:
    return Reach.of(home, seconds=2.0, private_network=private, ca_file=ca_file)


@pytest.mark.attack("AD8")
@pytest.mark.parametrize(
    "address",
    [
        "http://op.example/",
        "https://localhost/",
        "https://127.0.0.1/",
        "http://127.0.0.1/",
        "https://user@op.example/",
        "https://op.example:0/",
        "https://op.example:99999/",
        "https://op.example/#x",
        "https://op.example\\@evil.example/",
        "https://op.example/ x",
        "https:///x",
        "file:///etc/passwd",
        "gopher://op.example/",
        "https://\u0430pple.example/",
        "",
        None,
        7,
    ],
)
def test_an_address_that_may_not_be_asked(address: object) -> None:
    assert not reach().sound(address)


def test_an_address_at_home_may_be_asked_by_who_lives_there() -> None:
    assert reach("http://localhost:9000").sound("http://127.0.0.1:9000/token")
    assert reach("http://localhost:9000").sound("https://op.example/token")
    assert not reach("http://localhost:9000").sound("http://op.example/token")


@pytest.mark.attack("AD8")
@pytest.mark.parametrize(
    ("address", "open_net", "private_net"),
    [
        ("93.184.216.34", True, True),
        ("2606:2800:220:1::1", True, True),
        ("10.0.0.1", False, True),
        ("192.168.1.1", False, True),
        ("fd00::1", False, True),
        ("::ffff:10.0.0.1", False, True),
        ("100.64.0.1", False, True),
        ("127.0.0.1", False, False),
        ("::1", False, False),
        ("::ffff:127.0.0.1", False, False),
        ("169.254.169.254", False, False),
        ("::ffff:169.254.169.254", False, False),
        ("fe80::1%eth0", False, False),
        ("224.0.0.1", False, False),
        ("0.0.0.0", False, False),
    ],
)
def test_what_is_not_on_the_open_internet_is_reached_only_where_the_operator_says_so(
    address: str, *, open_net: bool, private_net: bool
) -> None:
    assert reach().open_to(address) is open_net
    assert reach(private=True).open_to(address) is private_net


@pytest.mark.attack("AD8")
def test_a_name_of_which_one_address_is_within_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookup, "resolve", lambda *_asked: ("93.184.216.34", "10.0.0.1"))

    with pytest.raises(UpstreamError) as refused:
        Line(reach()).get("https://op.example/")

    assert refused.value.code == "address may not be asked"


def test_a_line_ends() -> None:
    line = Line(Reach.of("http://localhost", seconds=0.0, private_network=False, ca_file=None))

    with pytest.raises(UpstreamError, match="time is up"):
        line.get("http://127.0.0.1:9/")


@pytest.mark.attack("FD5")
def test_a_certificate_nobody_vouches_for_is_not_spoken_to(
    authority: Authority, certificate: Certificate, upstream: Upstream
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.chain, certificate.key)
    upstream.wrap(context)
    url = upstream.issuer.replace("http:", "https:") + "/jwks"
    home = "https://127.0.0.1"

    assert b"keys" in Line(reach(home, ca_file=str(authority.file))).get(url)
    with pytest.raises(UpstreamError, match="cannot be reached"):
        Line(reach(home)).get(url)
