"""private_key_jwt: a client signs that it is the one who asks."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json

import pytest

from idp.app import create_app
from idp.jose.keys import SigningKey
from idp.jose.sign import sign
from tests.fixtures.clients import register
from tests.fixtures.provider import Http
from tests.fixtures.race import at_once

TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ISSUER = "https://localhost"
KEYS = {alg: SigningKey.generate(alg) for alg in ("RS256", "PS256", "ES256", "EdDSA")}
STRANGER = SigningKey.generate("ES256")


@pytest.fixture(params=["sqlite"])
def database_url(request, sqlite_url):
    """One kind of database: what is attacked here is the assertion, not the store."""
    return sqlite_url


@pytest.fixture
def signer(services, orders_api):
    return register(
        services,
        "signer",
        auth_method="private_key_jwt",
        scopes=orders_api.scopes,
        grant_types=["client_credentials"],
        jwks={"keys": [key.public_jwk() for key in KEYS.values()]},
    )


@pytest.fixture
def strict_signer(services, orders_api):
    return register(
        services,
        "strict",
        auth_method="private_key_jwt",
        scopes=orders_api.scopes,
        grant_types=["client_credentials"],
        fapi2=True,
        jwks={"keys": [key.public_jwk() for key in KEYS.values()]},
    )


@pytest.fixture
def claims(clock):
    now = int(clock.timestamp)
    return {"iss": "signer", "sub": "signer", "aud": ISSUER, "jti": "one", "iat": now, "exp": now + 60}


def ask(http, assertion, **form):
    data = {
        "grant_type": "client_credentials",
        "client_assertion_type": TYPE,
        "client_assertion": assertion,
        **form,
    }
    return http.post("/token", data=data)


def is_refused(answer):
    assert (answer.status_code, answer.json["error"]) == (401, "invalid_client"), answer.text
    return True


@pytest.mark.spec("RFC 7523 section 3", "OpenID Connect Core section 9")
@pytest.mark.parametrize("alg", KEYS)
@pytest.mark.parametrize("typ", ["JWT", "client-authentication+jwt"])
def test_takes_every_algorithm_it_tells_of(http, signer, claims, alg, typ):
    assert ask(http, sign(claims, KEYS[alg], typ=typ)).status_code == 200


@pytest.mark.attack("TK7")
@pytest.mark.parametrize("aud", [ISSUER, [ISSUER], f"{ISSUER}/token", [f"{ISSUER}/token"]])
def test_takes_issuer_or_token_endpoint_as_audience(http, signer, claims, aud):
    assert ask(http, sign({**claims, "aud": aud}, KEYS["ES256"], typ="JWT")).status_code == 200


@pytest.mark.attack("TK7")
@pytest.mark.parametrize(
    "aud",
    [
        "https://evil.example",
        f"{ISSUER}/",
        f"{ISSUER}/introspect",
        [ISSUER, "https://evil.example"],
        [ISSUER, f"{ISSUER}/token"],
        [],
        [[ISSUER]],
        {ISSUER: 1},
        None,
        1,
    ],
)
def test_refuses_every_other_audience(http, signer, claims, aud):
    assert is_refused(ask(http, sign({**claims, "aud": aud}, KEYS["ES256"], typ="JWT")))


@pytest.mark.attack("TK7")
@pytest.mark.spec("FAPI 2.0 Security Profile section 5.3.2.1")
@pytest.mark.parametrize(
    ("aud", "status"), [(ISSUER, 200), ([ISSUER], 401), (f"{ISSUER}/token", 401), ([f"{ISSUER}/token"], 401)]
)
def test_a_fapi2_client_names_the_issuer_as_text_alone(http, strict_signer, claims, aud, status):
    told = {**claims, "iss": "strict", "sub": "strict", "aud": aud}
    assert ask(http, sign(told, KEYS["ES256"], typ="JWT")).status_code == status


@pytest.mark.spec("FAPI 2.0 Security Profile section 5.4")
def test_a_fapi2_client_may_not_sign_by_rs256(http, strict_signer, claims):
    assert is_refused(ask(http, sign({**claims, "iss": "strict", "sub": "strict"}, KEYS["RS256"], typ="JWT")))


@pytest.mark.attack("TK8")
def test_an_assertion_counts_once(http, signer, claims):
    assertion = sign(claims, KEYS["ES256"], typ="JWT")
    assert ask(http, assertion).status_code == 200
    assert is_refused(ask(http, assertion))
    # The twin with another signature is the same assertion: its jti is.
    assert is_refused(ask(http, sign(claims, KEYS["ES256"], typ="JWT")))


@pytest.mark.attack("TK8")
def test_of_fifty_at_once_one_counts(app, signer, claims):
    assertion = sign(claims, KEYS["ES256"], typ="JWT")
    answers = at_once(50, lambda: ask(app.test_client(), assertion).status_code)
    assert sorted(answers) == [200] + [401] * 49


@pytest.mark.attack("TK8")
def test_a_replay_after_a_restart_is_refused(http, signer, claims, settings, clock):
    assertion = sign(claims, KEYS["ES256"], typ="JWT")
    assert ask(http, assertion).status_code == 200
    restarted = create_app(settings, clock=clock)
    restarted.test_client_class = Http
    assert is_refused(ask(restarted.test_client(), assertion))
    restarted.extensions["idp"].db.close()


@pytest.mark.attack("TK9")
@pytest.mark.spec("RFC 7523 section 3")
@pytest.mark.parametrize("missing", ["exp", "jti", "iss", "sub", "aud"])
def test_refuses_an_assertion_without(http, signer, claims, missing):
    del claims[missing]
    assert is_refused(ask(http, sign(claims, KEYS["ES256"], typ="JWT")))


@pytest.mark.attack("TK9")
@pytest.mark.parametrize(
    "change",
    [
        {"exp": 331},
        {"exp": -31},
        {"exp": 3600},
        {"nbf": 61},
        {"iat": 61},
        {"exp": "soon"},
        {"jti": ""},
        {"jti": 7},
        {"jti": "x" * 300},
        {"iss": "other"},
        {"sub": "other"},
        {"iss": None},
    ],
)
def test_refuses_times_and_names_that_are_not_right(http, signer, claims, clock, change):
    dates = {
        name: int(clock.timestamp) + value for name, value in change.items() if isinstance(value, int) and name != "jti"
    }
    assert is_refused(ask(http, sign({**claims, **change, **dates}, KEYS["ES256"], typ="JWT")))


@pytest.mark.attack("TK9")
@pytest.mark.parametrize("change", [{"nbf": 8}, {"iat": 8}, {"exp": 300}])
def test_takes_a_clock_that_is_a_little_ahead(http, signer, claims, clock, change):
    dates = {name: int(clock.timestamp) + value for name, value in change.items()}
    assert ask(http, sign({**claims, **dates}, KEYS["ES256"], typ="JWT")).status_code == 200


@pytest.mark.attack("TK10")
@pytest.mark.parametrize("alg", ["none", "None", "HS256", "RS512", "ES384"])
def test_refuses_algorithms_that_are_not_for_this(http, signer, claims, alg):
    def part(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    text = f"{part({'alg': alg, 'kid': KEYS['RS256'].kid})}.{part(claims)}"
    public = json.dumps(KEYS["RS256"].public_jwk()).encode()
    signature = base64.urlsafe_b64encode(hmac.new(public, text.encode(), hashlib.sha256).digest()).rstrip(b"=").decode()
    assert is_refused(ask(http, f"{text}.{'' if 'one' in alg else signature}"))


@pytest.mark.attack("TK10")
def test_refuses_a_key_that_is_not_registered(http, signer, claims):
    assert is_refused(ask(http, sign(claims, STRANGER, typ="JWT")))


@pytest.mark.attack("TK3")
def test_refuses_a_client_id_beside_it_that_is_another(http, signer, service, claims):
    assert is_refused(ask(http, sign(claims, KEYS["ES256"], typ="JWT"), client_id=service.client_id))


@pytest.mark.attack("TK4")
def test_refuses_an_assertion_for_a_client_that_has_a_secret(http, service, claims):
    told = {**claims, "iss": service.client_id, "sub": service.client_id}
    assert is_refused(ask(http, sign(told, KEYS["ES256"], typ="JWT")))


@pytest.mark.parametrize("assertion", ["", "x", "a.b.c", "é", "x" * 16_000])
def test_refuses_what_is_no_assertion(http, signer, assertion):
    answer = ask(http, assertion)
    assert answer.status_code in {400, 401}


def test_refuses_an_unknown_type(http, signer, claims):
    assertion = sign(claims, KEYS["ES256"], typ="JWT")
    assert is_refused(
        ask(http, assertion, client_assertion_type="urn:ietf:params:oauth:client-assertion-type:saml2-bearer")
    )
