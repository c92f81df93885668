"""An address that a client cannot choose."""

from __future__ import annotations

import pytest

from idp.web.client_address import ClientAddress

GUNICORN = {"SERVER_SOFTWARE": "gunicorn/27.0.1"}
PROXIES = ("10.0.0.0/8", "fd00::/8")


def environ(peer, **headers):
    return {"REMOTE_ADDR": peer, **headers}


@pytest.mark.attack("GW9")
@pytest.mark.parametrize("header", ["HTTP_X_FORWARDED_FOR", "HTTP_X_REAL_IP", "HTTP_FORWARDED", "HTTP_CLIENTIP"])
def test_without_a_front_the_peer_is_the_caller(header):
    assert ClientAddress()(environ("192.0.2.1", **{header: "203.0.113.9"})) == "192.0.2.1"


@pytest.mark.attack("GW9")
def test_a_stranger_is_not_believed():
    address = ClientAddress(PROXIES, "ClientIp")
    assert address(environ("192.0.2.1", HTTP_CLIENTIP="203.0.113.9", **GUNICORN)) == "192.0.2.1"


@pytest.mark.attack("GW12")
@pytest.mark.parametrize(
    ("chain", "caller"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("198.51.100.7, 203.0.113.9", "203.0.113.9"),
        ("203.0.113.9, 10.0.0.7", "203.0.113.9"),
        ("203.0.113.9,10.0.0.7 , 10.0.0.8", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("198.51.100.7, 0203.0.113.9", "10.0.0.1"),
        ("198.51.100.7, unknown", "10.0.0.1"),
        ("", "10.0.0.1"),
        ("10.0.0.7, 10.0.0.8", "10.0.0.1"),
    ],
)
def test_the_rightmost_hop_that_is_no_proxy_is_the_caller(chain, caller):
    assert ClientAddress(PROXIES)(environ("10.0.0.1", HTTP_X_FORWARDED_FOR=chain, **GUNICORN)) == caller


def test_no_chain_is_heard_where_the_server_merges_aliases_into_it():
    assert ClientAddress(PROXIES)(environ("10.0.0.1", HTTP_X_FORWARDED_FOR="203.0.113.9")) == "10.0.0.1"


def test_the_fronts_own_header_is_heard_from_the_front():
    assert ClientAddress(PROXIES, "ClientIp")(environ("10.0.0.1", HTTP_CLIENTIP="203.0.113.9")) == "203.0.113.9"
    assert ClientAddress(PROXIES, "ClientIp")(environ("10.0.0.1", HTTP_CLIENTIP="nonsense")) == "10.0.0.1"
    assert ClientAddress(PROXIES, "ClientIp")(environ("10.0.0.1")) == "10.0.0.1"


@pytest.mark.parametrize("name", ["Client-Ip", "X_Client", "Client Ip", ""])
def test_refuses_a_header_that_has_an_alias(name):
    if name:
        with pytest.raises(ValueError, match="letters and digits"):
            ClientAddress(PROXIES, name)


def test_ipv4_and_its_mapped_twin_are_one_client():
    assert ClientAddress()(environ("::ffff:192.0.2.1")) == "192.0.2.1"


@pytest.mark.parametrize("peer", ["", "unix:", None])
def test_a_peer_without_address_has_none(peer):
    assert ClientAddress()(environ(peer)) == ""
