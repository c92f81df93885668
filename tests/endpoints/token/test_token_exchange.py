"""A token for one API becomes a narrower one for the next."""

from __future__ import annotations

import pytest

from idp.jose.access_token import ACCESS_TOKEN_TYP
from idp.jose.sign import sign
from idp.store import account, api, audit, client, grant, group, role, session
from idp.store import token as tokens
from tests.endpoints.token.conftest import ACCESS_TOKEN, EXCHANGE, ORDERS, STOCK, allow, exchange
from tests.fixtures.browser import claims
from tests.fixtures.clients import register

ISSUER = "https://localhost"


def refused(answer):
    assert answer.headers["Cache-Control"] == "no-store"
    return answer.status_code, answer.json["error"]


def introspect(http, caller, token):
    return http.post("/introspect", data={"token": token}, headers=caller.basic).json


def made(services, clock, subject, **changed):
    """Sign a token as ours, from the claims of another with some changed; None leaves one out."""
    told = {name: value for name, value in {**claims(subject), **changed}.items() if value is not None}
    return sign(told, services.keyring.signing("ES256", clock()), typ=ACCESS_TOKEN_TYP)


def recorded(services, event="token.exchanged"):
    with services.db.read() as tx:
        return [row for row in audit.recent(tx, 1000) if row.event == event]


@pytest.mark.spec("RFC 8693 section 2.2.1", "RFC 8693 section 4.1")
def test_a_gateway_acts_for_a_person_at_the_api_behind(http, gateway, subject, alice, clock):
    answer = exchange(http, gateway, subject)
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    body = dict(answer.json)
    told, before = claims(body.pop("access_token")), claims(subject)
    assert body == {
        "issued_token_type": ACCESS_TOKEN,
        "token_type": "Bearer",
        "expires_in": 600,
        "scope": "orders:read orders:write",
    }
    assert told.pop("jti") != before["jti"]
    assert told.pop("txn")
    assert told == {
        "iss": ISSUER,
        "sub": alice.id,
        "aud": STOCK,
        "client_id": "gateway",
        "iat": int(clock.timestamp),
        "exp": before["exp"],
        "scope": "orders:read orders:write",
        "roles": ["keeper"],
        "act": {"sub": "gateway", "iss": ISSUER},
        "parents": [{"jti": before["jti"], "client_id": "web-app"}],
        **{name: before[name] for name in ("auth_time", "acr", "amr", "sid", "grant_id")},
    }


@pytest.mark.spec("RFC 8693 section 4.1")
def test_actors_and_transaction_are_told_alike_in_token_introspection_and_audit(
    http, services, gateway, keeper, subject
):
    first = exchange(http, gateway, subject).json["access_token"]
    second = exchange(http, keeper, first, audience=ORDERS).json["access_token"]
    told = claims(second)
    assert told["act"] == {"sub": "keeper", "iss": ISSUER, "act": {"sub": "gateway", "iss": ISSUER}}
    assert told["txn"] == claims(first)["txn"]
    asked = introspect(http, gateway, second)
    row = recorded(services)[-1]
    for name in ("act", "txn", "parents", "jti"):
        assert told[name] == asked[name] == row.detail[name]
    assert (row.client_id, row.account_id, row.detail["audience"]) == ("keeper", told["sub"], ORDERS)


ENDINGS = {
    "revoked": lambda tx, told, now: tokens.revoke(tx, told["jti"], expires_at=now, now=now),
    "grant revoked": lambda tx, told, now: grant.revoke(tx, told["grant_id"], now, reason="test"),
    "signed out": lambda tx, told, now: session.end(tx, told["sid"], now),
    "account closed": lambda tx, told, now: account.disable(tx, told["sub"], now),
    "password changed": lambda tx, told, now: account.void(tx, told["sub"], now, reason="test"),
    "client closed": lambda tx, told, now: client.disable(tx, told["client_id"], now),
}


@pytest.mark.attack("TX1")
@pytest.mark.spec("RFC 8693 section 2.2.2")
@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS.keys())
def test_what_ended_is_not_exchanged_and_takes_along_what_was(http, services, gateway, keeper, subject, clock, ending):
    first = exchange(http, gateway, subject).json["access_token"]
    second = exchange(http, keeper, first, audience=ORDERS).json["access_token"]
    assert introspect(http, gateway, second)["active"] is True
    clock.advance(2)
    with services.db.write() as tx:
        ending(tx, claims(subject), clock())
    for caller, token, target in ((gateway, subject, STOCK), (keeper, first, ORDERS)):
        assert refused(exchange(http, caller, token, audience=target)) == (400, "invalid_request")
    assert introspect(http, gateway, second) == {"active": False}
    assert introspect(http, keeper, first) == {"active": False}


@pytest.mark.attack("TX1")
def test_the_middle_of_a_chain_takes_only_what_came_after(http, services, gateway, keeper, subject, clock):
    first = exchange(http, gateway, subject).json["access_token"]
    second = exchange(http, keeper, first, audience=ORDERS).json["access_token"]
    http.post("/revoke", data={"token": first}, headers=gateway.basic)
    assert introspect(http, gateway, second) == {"active": False}
    assert introspect(http, gateway, subject)["active"] is True


@pytest.mark.attack("TX1")
def test_an_expired_token_is_not_exchanged(http, gateway, subject, clock):
    clock.advance(600)
    assert refused(exchange(http, gateway, subject)) == (400, "invalid_request")


@pytest.mark.attack("TX2")
@pytest.mark.parametrize("fault", ["issuer", "none", "signature", "garbage", "key"])
def test_what_this_provider_did_not_sign_is_not_exchanged(http, services, gateway, subject, clock, fault):
    header, payload, signature = subject.split(".")
    token = {
        "issuer": lambda: made(services, clock, subject, iss="https://other.example"),
        "none": lambda: f"eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0.{payload}.",
        "signature": lambda: f"{header}.{payload}.{'A' * len(signature)}",
        "garbage": lambda: "garbage",
        "key": lambda: f"{header}.{payload}.",
    }[fault]()
    assert refused(exchange(http, gateway, token)) == (400, "invalid_request")


@pytest.mark.attack("TX3")
@pytest.mark.spec("RFC 8693 section 2.1")
@pytest.mark.parametrize(
    "form",
    [
        {"subject_token": None},
        {"subject_token_type": None},
        {"subject_token_type": "access_token"},
        {"subject_token_type": "urn:ietf:params:oauth:token-type:jwt"},
        {"actor_token": "x"},
        {"actor_token_type": ACCESS_TOKEN},
        {"actor_token": "x", "actor_token_type": "urn:ietf:params:oauth:token-type:saml2"},
        {"requested_token_type": "urn:ietf:params:oauth:token-type:refresh_token"},
        {"requested_token_type": "urn:ietf:params:oauth:token-type:id_token"},
        {"requested_token_type": "urn:ietf:params:oauth:token-type:saml1"},
        {"subject_token": "x" * 16_385},
        {"subject_token_type": [ACCESS_TOKEN, ACCESS_TOKEN]},
        {"scope": ["orders:read", "orders:write"]},
    ],
)
def test_types_are_named_and_each_value_comes_once(http, gateway, subject, form):
    assert refused(exchange(http, gateway, subject, **form)) == (400, "invalid_request")


@pytest.mark.attack("TX4")
@pytest.mark.spec("RFC 8725 section 3.12")
@pytest.mark.parametrize("kind", ["id_token", "refresh_token"])
def test_only_an_access_token_is_one_whatever_it_is_called(http, browser, web_app, gateway, alice, kind):
    held = browser.tokens(web_app, alice, scope="openid offline_access orders:read", resource=ORDERS, prompt="consent")
    for declared in (ACCESS_TOKEN, f"urn:ietf:params:oauth:token-type:{kind}"):
        answer = exchange(http, gateway, held[kind], subject_token_type=declared)
        assert refused(answer) == (400, "invalid_request")


@pytest.mark.attack("TX5")
def test_only_clients_with_the_grant_exchange(http, services, gateway, subject):
    with services.db.write() as tx:
        client.change(tx, gateway.client_id, services.clock(), {"grant_types": ["client_credentials"]})
    services.clients.forget()
    assert refused(exchange(http, gateway, subject)) == (400, "unauthorized_client")


@pytest.mark.attack("TX5")
def test_public_clients_never_exchange(http, services, orders_api, stock_api, subject):
    open_app = register(services, "open", auth_method="none", grant_types=[EXCHANGE])
    with services.db.write() as tx:
        api.add_resource_client(tx, orders_api.id, open_app.client_id)
    allow(services, open_app.client_id, STOCK)
    assert refused(exchange(http, open_app, subject)) == (400, "unauthorized_client")


@pytest.mark.attack("TX5")
def test_a_caller_without_proof_hears_nothing(http, gateway, subject):
    answer = http.post("/token", data={"grant_type": EXCHANGE, "client_id": "gateway", "subject_token": subject})
    assert refused(answer) == (401, "invalid_client")


@pytest.mark.attack("TX6")
@pytest.mark.spec("RFC 8693 section 5")
def test_a_token_that_was_not_meant_for_the_caller_is_refused_as_a_dead_one_is(http, services, gateway, subject):
    stranger = register(services, "stranger", grant_types=[EXCHANGE])
    allow(services, stranger.client_id, STOCK)
    mine, dead = exchange(http, stranger, subject), exchange(http, gateway, "dead")
    assert refused(mine) == (400, "invalid_request")
    assert mine.json == dead.json
    assert recorded(services, "token.exchanged.refused")[0].detail["reason"] != mine.json["error_description"]


@pytest.mark.attack("TX6")
def test_a_client_may_exchange_a_token_of_its_own(http, services, web_app, subject):
    with services.db.write() as tx:
        client.change(tx, web_app.client_id, services.clock(), {"grant_types": [EXCHANGE]})
    services.clients.forget()
    allow(services, web_app.client_id, STOCK)
    assert exchange(http, web_app, subject).status_code == 200


@pytest.mark.attack("TX7")
@pytest.mark.spec("RFC 8693 section 2.2.2")
@pytest.mark.parametrize(
    "form",
    [
        {"audience": "https://nowhere.example"},
        {"audience": ORDERS},
        {"audience": "stock"},
        {"audience": f"{STOCK}/"},
        {"audience": [STOCK, ORDERS]},
        {"resource": ORDERS},
        {"resource": "stock"},
        {"resource": f"{STOCK}#x"},
        {"resource": [STOCK, ORDERS], "audience": None},
    ],
)
def test_the_target_is_one_and_allowed(http, gateway, subject, form):
    assert refused(exchange(http, gateway, subject, **form)) == (400, "invalid_target")


@pytest.mark.attack("TX7")
@pytest.mark.parametrize(
    "form",
    [
        {"resource": STOCK},
        {"audience": [STOCK, STOCK]},
        {"audience": None, "resource": [STOCK, STOCK]},
        {"audience": None},
    ],
)
def test_one_api_by_two_names_is_one_target_and_the_only_one_is_the_default(http, gateway, subject, form):
    assert claims(exchange(http, gateway, subject, **form).json["access_token"])["aud"] == STOCK


@pytest.mark.attack("TX7")
def test_without_a_target_there_must_be_only_one(http, services, gateway, subject):
    allow(services, gateway.client_id, ORDERS)
    assert refused(exchange(http, gateway, subject, audience=None)) == (400, "invalid_target")


@pytest.mark.attack("TX8")
@pytest.mark.spec("RFC 8693 section 2.1")
@pytest.mark.parametrize("scope", ["stock:move", "orders:read stock:move", "orders:write", "openid", "unknown"])
def test_no_scope_beyond_subject_policy_and_target(http, services, gateway, subject, scope):
    allow(services, gateway.client_id, STOCK, allowed_scopes=["orders:read", "stock:move", "openid"])
    assert refused(exchange(http, gateway, subject, scope=scope)) == (400, "invalid_scope")
    assert exchange(http, gateway, subject).json["scope"] == "orders:read"


@pytest.mark.attack("TX8")
@pytest.mark.spec("RFC 8693 section 2.2.1")
def test_a_policy_may_narrow_what_is_asked_and_the_answer_says_to_what(http, services, gateway, subject):
    allow(services, gateway.client_id, STOCK, allowed_scopes=["orders:read", "stock:move"], mode="narrow")
    answer = exchange(http, gateway, subject, scope="orders:read orders:write stock:move unknown")
    assert answer.json["scope"] == claims(answer.json["access_token"])["scope"] == "orders:read"
    assert refused(exchange(http, gateway, subject, scope="orders:write")) == (400, "invalid_scope")


@pytest.mark.attack("TX8")
def test_a_narrow_subject_stays_narrow_and_an_empty_one_gets_nothing(http, browser, web_app, gateway, keeper, alice):
    held = browser.tokens(web_app, alice, scope="openid offline_access orders:read", resource=ORDERS, prompt="consent")
    first = exchange(http, gateway, held["access_token"])
    assert first.json["scope"] == "orders:read"
    again = exchange(http, keeper, first.json["access_token"], audience=ORDERS, scope="orders:read orders:write")
    assert refused(again) == (400, "invalid_scope")


def test_asks_for_less(http, gateway, subject):
    answer = exchange(http, gateway, subject, scope="orders:write")
    assert answer.json["scope"] == claims(answer.json["access_token"])["scope"] == "orders:write"


@pytest.mark.attack("TX9")
def test_roles_and_what_they_grant_are_those_of_now(http, services, gateway, subject, alice, stock_api):
    with services.db.write() as tx:
        staff, keeper = group.find(tx, "staff"), role.find(tx, stock_api.id, "keeper")
        reader = role.create(tx, api_id=stock_api.id, name="reader")
        role.add_scope(tx, reader.id, api.find_scope(tx, stock_api.id, "orders:read").id)
        group.remove_role(tx, staff.id, keeper.id)
        group.add_role(tx, staff.id, reader.id)
    told = claims(exchange(http, gateway, subject).json["access_token"])
    assert (told["roles"], told["scope"]) == (["reader"], "orders:read")
    with services.db.write() as tx:
        group.remove_member(tx, group.find(tx, "staff").id, alice.id)
    assert refused(exchange(http, gateway, subject)) == (400, "invalid_scope")


@pytest.mark.attack("TX9")
def test_a_token_for_the_same_api_gains_no_role_on_the_way(http, services, gateway, subject, orders_api):
    allow(services, gateway.client_id, ORDERS)
    with services.db.write() as tx:
        boss = role.create(tx, api_id=orders_api.id, name="boss")
        group.add_role(tx, group.find(tx, "staff").id, boss.id)
    told = claims(exchange(http, gateway, subject, audience=ORDERS).json["access_token"])
    assert told["roles"] == ["clerk"]


@pytest.mark.attack("TX9")
def test_a_service_has_at_the_target_what_it_may_have_there_itself(http, gateway, service_token):
    answer = exchange(http, gateway, service_token)
    told = claims(answer.json["access_token"])
    assert (told["sub"], told["client_id"], told["scope"]) == ("service", "gateway", "orders:read")
    assert "roles" not in told


@pytest.mark.attack("TX10")
@pytest.mark.spec("RFC 8693 section 2.2.1")
def test_it_does_not_outlive_its_subject_and_cannot_be_refreshed(http, services, gateway, subject, clock):
    clock.advance(590)
    answer = exchange(http, gateway, subject)
    assert claims(answer.json["access_token"])["exp"] == claims(subject)["exp"]
    assert answer.json["expires_in"] == 10
    assert not {"refresh_token", "id_token"} & answer.json.keys()


@pytest.mark.attack("TX10")
def test_the_policy_and_the_api_may_set_shorter_lives(http, services, gateway, subject):
    allow(services, gateway.client_id, STOCK, max_ttl=60)
    assert exchange(http, gateway, subject).json["expires_in"] == 60
    with services.db.write() as tx:
        api.find(tx, STOCK).token_lifetime = 30
    assert exchange(http, gateway, subject).json["expires_in"] == 30


def test_strength_of_the_sign_in_is_copied_and_can_be_demanded(http, services, gateway, subject):
    allow(services, gateway.client_id, STOCK, require_acr="aal2")
    assert refused(exchange(http, gateway, subject)) == (400, "unmet_authentication_requirements")
    allow(services, gateway.client_id, STOCK, require_acr="aal1")
    assert claims(exchange(http, gateway, subject).json["access_token"])["acr"] == "aal1"


def test_an_api_that_demands_a_second_factor_is_not_reached_around_it(http, services, gateway, subject):
    with services.db.write() as tx:
        api.find(tx, STOCK).mfa = "required"
    assert refused(exchange(http, gateway, subject)) == (400, "unmet_authentication_requirements")


@pytest.mark.attack("TX11")
@pytest.mark.spec("RFC 8693 section 4.1")
def test_the_chain_of_actors_is_kept_and_ends_at_four(http, services, subject, orders_api, stock_api):
    token, expected = subject, None
    for number in range(5):
        actor = register(services, f"actor-{number}", grant_types=[EXCHANGE])
        with services.db.write() as tx:
            api.add_resource_client(tx, orders_api.id, actor.client_id)
        allow(services, actor.client_id, ORDERS)
        answer = exchange(http, actor, token, audience=ORDERS)
        if number == 4:
            assert refused(answer) == (400, "invalid_request")
            return
        token = answer.json["access_token"]
        expected = {"sub": actor.client_id, "iss": ISSUER, **({"act": expected} if expected else {})}
        assert claims(token)["act"] == expected


@pytest.mark.attack("TX11")
def test_impersonation_does_not_wipe_out_earlier_actors(http, services, gateway, keeper, subject):
    allow(services, keeper.client_id, ORDERS, allow_impersonation=True)
    first = exchange(http, gateway, subject).json["access_token"]
    told = claims(exchange(http, keeper, first, audience=ORDERS).json["access_token"])
    assert told["act"] == {"sub": "gateway", "iss": ISSUER}


@pytest.mark.attack("TX12")
@pytest.mark.spec("RFC 8693 section 4.4")
@pytest.mark.parametrize(
    ("may_act", "allowed"),
    [
        ({"sub": "gateway"}, True),
        ({"sub": "gateway", "iss": ISSUER}, True),
        ({"sub": "keeper"}, False),
        ({"sub": "gateway", "iss": "https://other.example"}, False),
        ({"sub": "gateway", "email": "gateway@example.org"}, False),
        ({}, False),
    ],
)
def test_only_whom_may_act_names_may_act(http, services, gateway, subject, clock, may_act, allowed):
    answer = exchange(http, gateway, made(services, clock, subject, may_act=may_act))
    assert answer.status_code == (200 if allowed else 400)
    assert allowed or answer.json["error"] == "invalid_request"


@pytest.mark.attack("TX12")
def test_a_policy_says_who_comes_next_and_may_insist_on_being_named(http, services, gateway, keeper, subject):
    allow(services, keeper.client_id, ORDERS, require_may_act=True)
    first = exchange(http, gateway, subject).json["access_token"]
    assert refused(exchange(http, keeper, first, audience=ORDERS)) == (400, "invalid_request")
    for named, status in (("gateway", 400), ("keeper", 200)):
        allow(services, gateway.client_id, STOCK, may_act=named)
        first = exchange(http, gateway, subject).json["access_token"]
        assert introspect(http, keeper, first)["may_act"] == {"sub": named, "iss": ISSUER}
        assert exchange(http, keeper, first, audience=ORDERS).status_code == status


@pytest.mark.attack("TX13")
@pytest.mark.spec("RFC 8693 section 1.1")
def test_nobody_impersonates_or_delegates_without_being_allowed_to(http, services, gateway, subject):
    own = {"actor_token": _own(http, gateway), "actor_token_type": ACCESS_TOKEN}
    allow(services, gateway.client_id, STOCK, allow_delegation=False)
    assert refused(exchange(http, gateway, subject)) == (400, "unauthorized_client")
    allow(services, gateway.client_id, STOCK, allow_delegation=False, allow_impersonation=True)
    assert "act" not in claims(exchange(http, gateway, subject).json["access_token"])
    assert refused(exchange(http, gateway, subject, **own)) == (400, "unauthorized_client")


def _own(http, gateway):
    answer = http.post("/token", data={"grant_type": "client_credentials"}, headers=gateway.basic)
    return answer.json["access_token"]


@pytest.mark.spec("RFC 8693 section 1.1")
def test_an_actor_token_of_its_own_names_the_actor(http, services, gateway, subject):
    allow(services, gateway.client_id, STOCK, allow_impersonation=True)
    own = {"actor_token": _own(http, gateway), "actor_token_type": ACCESS_TOKEN}
    told = claims(exchange(http, gateway, subject, **own).json["access_token"])
    assert told["act"] == {"sub": "gateway", "iss": ISSUER}


@pytest.mark.attack("TX6")
def test_the_token_of_somebody_else_makes_nobody_an_actor(http, services, gateway, subject, service_token, clock):
    own = _own(http, gateway)
    dead = made(services, clock, own, jti="dead")
    with services.db.write() as tx:
        tokens.revoke(tx, "dead", expires_at=clock(), now=clock())
    delegated = made(services, clock, own, act={"sub": "somebody"})
    for token in (service_token, subject, "garbage", dead, delegated):
        answer = exchange(http, gateway, subject, actor_token=token, actor_token_type=ACCESS_TOKEN)
        assert refused(answer) == (400, "invalid_request")


@pytest.mark.attack("TX11")
def test_nobody_acts_for_itself(http, services, gateway, orders_api):
    with services.db.write() as tx:
        client.allow_scope(tx, gateway.client_id, api.find_scope(tx, orders_api.id, "orders:read").id)
        stock = api.find(tx, STOCK)
        client.allow_scope(tx, gateway.client_id, api.find_scope(tx, stock.id, "orders:read").id)
    services.clients.forget()
    own = http.post(
        "/token", data={"grant_type": "client_credentials", "audience": ORDERS}, headers=gateway.basic
    ).json["access_token"]
    assert refused(exchange(http, gateway, own)) == (400, "invalid_request")


@pytest.mark.attack("TX14")
@pytest.mark.spec("RFC 9700 section 4.10")
def test_a_bound_token_is_not_exchanged_for_a_bearer_token(http, services, gateway, web_app, subject, clock):
    bound = made(services, clock, subject, cnf={"jkt": "a-thumbprint"})
    with services.db.write() as tx:
        client.change(tx, web_app.client_id, services.clock(), {"grant_types": [EXCHANGE]})
    services.clients.forget()
    allow(services, web_app.client_id, STOCK)
    for caller in (gateway, web_app):
        assert refused(exchange(http, caller, bound)) == (400, "invalid_request")


@pytest.mark.attack("TX15")
def test_a_circle_of_exchanges_gains_nothing(http, services, gateway, keeper, subject, clock):
    """Orders to stock and back: less or the same, and the third time round is refused."""
    allow(services, gateway.client_id, STOCK, allowed_scopes=["orders:read", "stock:move"])
    clock.advance(100)
    first = exchange(http, gateway, subject).json["access_token"]
    second = exchange(http, keeper, first, audience=ORDERS).json["access_token"]
    before, after = claims(subject), claims(second)
    assert after["aud"] == before["aud"]
    assert after["scope"] == "orders:read"
    assert after["exp"] == before["exp"]
    assert set(after["roles"]) <= set(before["roles"])
    assert refused(exchange(http, gateway, second)) == (400, "invalid_request")


def test_every_refusal_leaves_one_record_without_a_token(http, services, gateway, subject):
    exchange(http, gateway, "garbage")
    exchange(http, gateway, subject, scope="stock:move")
    rows = recorded(services, "token.exchanged.refused")
    assert [row.detail["error"] for row in rows] == ["invalid_request", "invalid_scope"]
    assert all(subject not in str(row.detail) for row in rows)


def test_discovery_lists_the_grant(http):
    assert EXCHANGE in http.get("/.well-known/oauth-authorization-server").json["grant_types_supported"]
