"""The gateway says itself who is calling; whoever trusts its key needs no provider."""

from __future__ import annotations

import json
from collections import OrderedDict

import pytest

from idp.gateway.assertion import AssertionStage, Jwks, Signer
from idp.gateway.client import Unusable
from idp.gateway.config import AssertionConfig
from idp.gateway.decide import Gate
from idp.gateway.exchange.model import Assertion
from idp.gateway.load import parse
from idp.gateway.own import answer as own
from idp.gateway.principal import Principal
from idp.gateway.request import Decision, Request
from idp.jose.keys import KeySet
from idp.jose.sign import sign
from idp.jose.verify import verify
from tests.gateway.exchanging import NOW, a_token, inbound_claims
from tests.gateway.fakes import Clock, Fetcher, Log
from tests.gateway.issuer import a_key

FILE = """
version = 1
[issuers.main]
issuer = "https://id.example"

[assertion]
issuer = "https://gateway.example"
key_files = [{files}]

[headers]
identity = "signed_jwt"
forward_authorization = true

[[routes]]
id = "orders"
match = {{ host = "api.example", method = ["GET"], path = "/orders" }}
audience = "https://orders.example"
upstream = "http://orders:8000"
"""
TYP = frozenset({"identity-assertion+jwt"})


class Ground:
    def __init__(self, folder, *keys) -> None:
        for number, key in enumerate(keys):
            (folder / f"{number}.pem").write_bytes(key.private_pem())
            (folder / f"{number}.pem").chmod(0o600)
        self.text = FILE.format(files=", ".join(f'"{folder}/{number}.pem"' for number in range(len(keys))))
        self.wall, self.log = Clock(NOW), Log()
        self.gate = Gate(parse(self.text), log=self.log, fetch=_provider(), wall=self.wall, monotonic=Clock())
        self.gate.sources["main"].refresh()

    def ask(self, token=None, headers=()) -> Decision:
        authorization = (b"authorization", b"Bearer " + (token or a_token()).encode())
        return self.gate.decide(
            Request(method="GET", target=b"/orders", host=b"api.example", headers=[authorization, *headers])
        )

    def statement(self, token=None) -> bytes:
        return dict(self.ask(token).upstream_headers)[b"x-auth-assertion"]

    def told(self, statement):
        document = own(self.gate, "GET", b"/.gatehouse/jwks.json")[2]
        return verify(statement.decode(), KeySet.from_remote(document), typ=TYP, algs=frozenset({"ES256"})).claims


def _provider() -> Fetcher:
    issuer = "https://id.example"
    said = json.dumps({"issuer": issuer, "jwks_uri": f"{issuer}/jwks"}).encode()
    keys = json.dumps({"keys": [a_key().public_jwk()]}).encode()
    return Fetcher({f"{issuer}/.well-known/openid-configuration": said, f"{issuer}/jwks": keys})


@pytest.fixture
def ground(tmp_path):
    return Ground(tmp_path, a_key("ES256", 5), a_key("ES256", 6))


@pytest.mark.attack("GW23")
def test_it_says_who_calls_for_how_long_and_that_the_gateway_acts(ground):
    decision = ground.ask()
    told = ground.told(dict(decision.upstream_headers)[b"x-auth-assertion"])
    assert told.pop("jti")
    me = "https://gateway.example"
    assert told == {
        "iss": me,
        "sub": "alice",
        "aud": "http://orders:8000",
        "client_id": me,
        "iat": int(NOW),
        "exp": int(NOW) + 60,
        "txn": decision.id,
        "scope": "orders:read orders:write",
        "roles": ["clerk"],
        "act": {"sub": me, "iss": me},
        "parents": [{"jti": "jti-1", "client_id": "web-app"}],
        "acr": "aal1",
    }


@pytest.mark.spec("RFC 8693 section 4.1")
def test_earlier_actors_and_the_transaction_stay_on_record(ground):
    token = a_token_with(act={"sub": "first"}, txn="one")
    told = ground.told(ground.statement(token))
    assert told["act"]["act"] == {"sub": "first"}
    assert told["txn"] == "one"


def a_token_with(**claims):
    return sign(inbound_claims(**claims), a_key(), typ="at+jwt")


def test_one_statement_serves_for_half_of_its_life(ground):
    first = ground.statement()
    ground.wall.advance(29)
    assert ground.statement() == first
    ground.wall.advance(2)
    assert ground.statement() != first
    assert ground.statement(a_token(jti="jti-2")) != ground.statement()


def test_it_does_not_outlive_the_token(ground):
    assert ground.told(ground.statement(a_token(exp=int(NOW) + 20)))["exp"] == int(NOW) + 20
    # One that has ended within the leeway is not kept.
    late = a_token(exp=int(NOW) - 5)
    assert ground.statement(late) != ground.statement(late)


def test_the_callers_token_stays_outside_whatever_the_file_says_elsewhere(ground):
    decision = ground.ask()
    assert decision.rule.strip.drops(b"authorization")
    token = a_token()
    assert ground.ask(token, headers=[(b"x-copy", token.encode())]).status == 400


@pytest.mark.attack("JO23")
def test_it_passes_for_no_access_token(ground):
    assert ground.ask(ground.statement().decode()).status == 401


def test_the_first_key_signs_and_all_are_published(ground):
    document = own(ground.gate, "GET", b"/.gatehouse/jwks.json?x")[2]
    assert b'"d"' not in document
    assert document.count(b'"kid"') == 2
    header = verify(
        ground.statement().decode(), KeySet.from_remote(document), typ=TYP, algs=frozenset({"ES256"})
    ).header
    assert header["kid"] == a_key("ES256", 5).kid


@pytest.mark.spec("RFC 9110 section 13.1.2")
def test_who_has_the_keys_gets_them_not_again(ground):
    status, headers, body = own(ground.gate, "GET", b"/.gatehouse/jwks.json")
    etag = dict(headers)[b"etag"]
    assert (status, dict(headers)[b"content-length"]) == (200, b"%d" % len(body))
    for known in (etag, b"W/" + etag, b'"other", ' + etag, b"*"):
        status, headers, body = own(ground.gate, "GET", b"/.gatehouse/jwks.json", [(b"if-none-match", known)])
        assert (status, body, dict(headers)[b"etag"]) == (304, b"", etag)
    assert own(ground.gate, "GET", b"/.gatehouse/jwks.json", [(b"if-none-match", b'"other"')])[0] == 200
    assert own(ground.gate, "POST", b"/.gatehouse/jwks.json")[0] == 405


def test_a_new_file_may_bring_new_keys(ground, tmp_path):
    first = own(ground.gate, "GET", b"/.gatehouse/jwks.json")[2]
    (tmp_path / "0.pem").write_bytes(a_key("ES256", 8).private_pem())
    ground.gate.replace(parse(ground.text))
    assert own(ground.gate, "GET", b"/.gatehouse/jwks.json")[2] != first
    ground.told(ground.statement())


@pytest.mark.parametrize(
    ("name", "said"), [("nowhere", "cannot be read"), ("no key", "is not a key for ES256"), ("open", "by everybody")]
)
def test_a_key_that_is_none_or_that_everybody_can_read_is_not_used(tmp_path, name, said):
    (tmp_path / "no key").write_text("no key")
    (tmp_path / "no key").chmod(0o600)
    (tmp_path / "open").write_bytes(a_key().private_pem())
    (tmp_path / "open").chmod(0o644)
    with pytest.raises(Unusable, match=said):
        Signer.read(AssertionConfig(issuer="https://gateway.example", key_files=(tmp_path / name,)))


def stage():
    key = a_key("ES256", 5)
    return AssertionStage(
        Assertion(audience="orders"), Signer(issuer="https://g.example", key=key, jwks=Jwks.of((key,)))
    )


def principal():
    claims = inbound_claims()
    return Principal(claims, payload=json.dumps(claims).encode())


def test_what_is_kept_is_bounded(monkeypatch):
    monkeypatch.setattr("idp.gateway.assertion._MOST", 2)
    made = stage()
    for key in (b"1", b"2", b"3"):
        made._statement(key, principal(), "txn", NOW)
    assert list(made._signed) == [b"2", b"3"]


def test_another_thread_may_be_faster(monkeypatch):
    class Gone(OrderedDict):
        def popitem(self, last=True):  # noqa: FBT002, ARG002 - the method it stands for
            raise KeyError

    monkeypatch.setattr("idp.gateway.assertion._MOST", 0)
    made = stage()
    made._signed = Gone()
    assert made._statement(b"1", principal(), "txn", NOW)


def test_nothing_is_ever_waited_for():
    with pytest.raises(AssertionError):
        stage().end(Decision(), None)
