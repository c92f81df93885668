"""Each front asks in its own words; what is asked in others is refused."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from idp.gateway.aliases import Aliases
from idp.gateway.client_address import ClientAddress
from idp.gateway.contracts import FRONTS
from idp.gateway.load import ConfigError, parse
from idp.gateway.peers import Peers
from idp.gateway.request import Request
from tests.gateway.conftest import config_text
from tests.gateway.raw import Client, request

IDENTITY = ("x-auth-subject", "x-auth-client", "x-auth-scopes", "x-auth-roles")
ALICE = ["0190-alice", "web-app", "orders:read orders:write", "clerk"]
NOBODY = [""] * 4
NAMES = ("nginx", "caddy", "traefik", "envoy")


@pytest.fixture(scope="module", params=NAMES)
def _asked(request, _issuer, serve_module):
    server = f'shape = "forward_auth"\ncontract = "{request.param}"'
    text = config_text(_issuer, None, server=server, top='trusted_proxies = ["127.0.0.1"]')
    return request.param, serve_module(text)


@pytest.fixture
def name(_asked):
    return _asked[0]


@pytest.fixture
def auth(_asked, issuer):
    _asked[1].forget()
    return _asked[1]


def question(name, method="GET", uri="/orders/7", token=None, **more):
    """Ask as this front does about a request to api.example."""
    if name == "envoy":
        return request(method, f"/.gatehouse/auth{uri}", token=token, **more)
    if name == "nginx":
        words = {"X_Original_Method": method, "X_Original_URI": uri}
        return request("GET", "/.gatehouse/auth", token=token, **words, **more)
    words = {"X_Forwarded_Method": method, "X_Forwarded_Uri": uri, "X_Forwarded_Host": "api.example"}
    host = "api.example" if name == "caddy" else "127.0.0.1:8080"
    return request("GET", "/.gatehouse/auth", token=token, host=host, **{**words, **more})


def test_yes_is_200_and_says_who(name, auth, token):
    answer = auth.ask(question(name, token=token))
    assert (answer.status, answer.body) == (200, b"")
    assert [answer.header(each) for each in IDENTITY] == ALICE
    assert answer.header("x-gatehouse-decision") == auth.lines()[0]["id"]


@pytest.mark.parametrize(
    ("method", "uri", "claims", "status"),
    [
        ("GET", "/orders/7", {"exp": 1}, 401),
        ("GET", "/orders/7", {"scope": ""}, 403),
        ("GET", "/nowhere", {}, 403),
        ("DELETE", "/orders/7", {}, 405),
        ("TRACE", "/orders/7", {}, 405),
        ("GET", "/orders/../7", {}, 400),
    ],
)
def test_no_is_told_in_the_statuses_that_the_front_understands(method, uri, claims, status, name, auth, issuer):
    answer = auth.ask(question(name, method, uri, issuer.token(**claims)))
    told = status if name != "nginx" or status == 401 else 403
    assert (answer.status, answer.body) == (told, b"")
    assert answer.header("x-gatehouse-status") == (str(status) if name == "nginx" else None)
    assert [answer.header(each) for each in IDENTITY] == NOBODY
    assert answer.header("cache-control") == "no-store"
    assert auth.lines()[0]["status"] == status


@pytest.mark.attack("GW24")
def test_a_fault_is_trouble_of_the_gateway_and_never_a_yes(name, auth, token, monkeypatch):
    monkeypatch.setattr(auth.server._gate, "_policy", lambda *_: 1 / 0)
    answer = auth.ask(question(name, token=token))
    assert answer.status == (403 if name == "nginx" else 503)
    assert answer.header("x-gatehouse-status") == ("500" if name == "nginx" else None)


@pytest.mark.attack("GW9")
@pytest.mark.parametrize("other", NAMES)
def test_a_question_of_another_front_is_refused(other, name, auth, token):
    answer = auth.ask(question(other, token=token))
    if other == name or {other, name} == {"caddy", "traefik"}:
        # The same words; only Caddy says the host twice, and so the gateway can compare.
        assert answer.status == (200 if name in {other, "traefik"} else 400)
        return
    assert answer.status in {400, 403, 404}
    assert auth.lines() == []


@pytest.mark.attack("GW9")
@pytest.mark.parametrize(
    "word", ["X-Original-URI", "X-Original-Method", "X-Forwarded-Uri", "X-Forwarded-Method", "X-Forwarded-Host"]
)
def test_a_word_said_twice_or_by_another_contract_is_refused(word, name, auth, token):
    data = question(name, token=token)[:-2] + f"{word}: GET\r\n\r\n".encode()
    answer = auth.ask(data)
    if word == "X-Forwarded-Host" and name in {"nginx", "envoy"}:  # no word of theirs: Host itself speaks
        assert answer.status == 200
        return
    assert answer.status == (403 if name == "nginx" else 400)
    assert auth.lines("question.refused")[0]["why"] == "not a question of this contract"


def test_words_that_are_missing_are_not_guessed(name, auth, token):
    if name == "envoy":
        assert auth.ask(request("GET", "/.gatehouse/auth", token=token)).status == 404
        return
    assert auth.ask(request("GET", "/.gatehouse/auth", token=token)).status == (403 if name == "nginx" else 400)
    assert auth.ask(question(name, method="G_T", token=token)).status == (403 if name == "nginx" else 400)


@pytest.mark.attack("GW8")
def test_the_host_asked_about_is_one_and_known(name, auth, token):
    for host in ("evil.example", "api.example, evil.example", ""):
        data = question(name, token=token).replace(b"api.example", host.encode())
        assert auth.ask(data).status in {400, 403}
    assert auth.ask(question(name, token=token)).status == 200


@pytest.mark.attack("GW2")
@pytest.mark.parametrize(
    "header",
    ["X_Auth_Subject", "X.Auth.Subject", "X-Auth_Subject", "x_auth-roles", "X-Auth-Other", "X-Gatehouse-Status",
     "X_Forwarded_For", "X.Real.IP", "X-Original_Url"],
)  # fmt: skip
def test_a_header_that_the_front_would_carry_past_us_is_refused(header, name, auth, token):
    data = question(name, token=token)[:-2] + f"{header}: mallory\r\n\r\n".encode()
    assert auth.ask(data).status == (403 if name == "nginx" else 400)
    assert auth.lines()[0]["why"] == "header_alias"


@pytest.mark.attack("GW1")
def test_the_callers_identity_headers_are_replaced_by_the_front_and_not_refused(name, auth, token):
    data = question(name, token=token)[:-2] + b"X-Auth-Subject: mallory\r\nX-Gatehouse-Decision: 1\r\n\r\n"
    answer = auth.ask(data)
    assert (answer.status, answer.header("x-auth-subject")) == (200, "0190-alice")


@pytest.mark.attack("GW16")
def test_two_credentials_are_refused(name, auth, token):
    data = question(name, token=token)[:-2] + b"Authorization: Bearer x\r\n\r\n"
    assert auth.ask(data).status == (403 if name == "nginx" else 400)
    assert auth.lines()[0]["why"] == "two_credentials"


def test_questions_follow_each_other_on_one_connection(name, auth, token):
    with Client(auth.address) as client:
        for uri in ("/orders/7", "/nowhere", "/orders/8?x=%2f"):
            client.send(question(name, uri=uri, token=token))
            assert client.answer().status == (403 if uri == "/nowhere" else 200)
    assert [line["raw_path"] for line in auth.lines()] == ["/orders/7", "/nowhere", "/orders/8"]


@pytest.mark.attack("GW9")
def test_a_stranger_may_not_ask(name, serve, issuer, token):
    server = f'shape = "forward_auth"\ncontract = "{name}"'
    auth = serve(config_text(issuer, None, server=server, top='trusted_proxies = ["10.0.0.0/8"]'))
    answer = auth.ask(question(name, token=token))
    assert answer.status == 403
    assert auth.lines() == []
    assert auth.lines("question.refused") == [{**auth.lines("question.refused")[0], "why": "peer is not trusted"}]


def test_what_operators_strip_is_refused_in_every_spelling():
    aliases = Aliases(["x-user"])
    for header in (b"x-user", b"x_user", b"x.user", b"x-user"):
        assert aliases.among([(b"host", b"a"), (header, b"1")])
    assert not aliases.among([(b"x-users", b"1"), (b"x-forwarded-for", b"1"), (b"forwarded", b"1")])


def test_names_from_strangers_fill_no_memory():
    aliases = Aliases()
    for number in range(2_000):
        assert not aliases.among([(b"a%d" % number, b"")])
        assert aliases.among([(b"x_auth_%d" % number, b"")])
    assert len(aliases._known) == 1_024


@pytest.mark.attack("GW12")
def test_the_address_of_a_front_is_never_its_callers():
    addresses = ClientAddress(Peers((ip_network("10.0.0.0/8"),)))
    asked = Request(method="GET", target=b"/", host=b"a", headers=(), peer="")
    asked.peer = "10.0.0.1"
    assert addresses.of(asked) == "10.0.0.1"
    asked.relayed = True
    assert addresses.of(asked) is None


def test_every_contract_can_be_chosen_and_no_other():
    text = '[server]\nshape = "{}"\ncontract = "{}"'
    for name in NAMES:
        with pytest.raises(ConfigError) as raised:
            parse(text.format("forward_auth", name))
        assert "contract" not in str(raised.value)
    for shape, name in (("forward_auth", "haproxy"), ("proxy", "nginx")):
        with pytest.raises(ConfigError, match='field "contract"'):
            parse(text.format(shape, name))
    assert set(FRONTS) == set(NAMES)
