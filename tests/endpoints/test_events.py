"""Gateways ask which tokens count no longer, and say what they have heard (RFC 8936)."""

from __future__ import annotations

import itertools
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
import sqlalchemy
from sqlalchemy import func, select

from idp.accounts import administration
from idp.app import create_app
from idp.jose import strict
from idp.jose.keys import SigningKey
from idp.jose.sign import sign
from idp.jose.verify import verify
from idp.protocol import security_event
from idp.store import account, audit, client, event, grant, group, prune, taking
from idp.store import api as apis
from idp.store import token as tokens
from idp.store.event import Event, Stream, Waiting
from tests.fixtures import clients

ISSUER = "https://localhost"
NOW = {"returnImmediately": True}


@pytest.fixture
def ask(http, gateway_client):
    """Ask as the gateway of the orders API."""

    def ask(*, name="", caller=gateway_client, headers=None, body=None, over=http, **asked):
        query = {"stream": name} if name else {}
        raw = json.dumps({**NOW, **asked}) if body is None else body
        given = {"Content-Type": "application/json", **(caller.basic if headers is None else headers)}
        return over.post("/events", query_string=query, data=raw, headers=given)

    return ask


@pytest.fixture
def another_worker(settings, clock, app):
    """Start the application again on the same database."""
    made = []

    def start():
        made.append(create_app(settings, clock=clock))
        made[-1].test_client_class = app.test_client_class
        return made[-1].test_client()

    yield start
    for each in made:
        each.extensions["idp"].db.close()


@pytest.fixture
def db_writes(services):
    """Every statement that changes a row."""
    statements = []

    def note(_connection, _cursor, statement, *_rest):
        if statement.split(" ", 1)[0] in {"INSERT", "UPDATE", "DELETE"}:
            statements.append(statement)

    sqlalchemy.event.listen(services.db.engine, "before_cursor_execute", note)
    return statements


@pytest.fixture
def read(services, clock):
    """Verify what was told and read it as a gateway does."""

    def read(answer, audience="orders-gateway"):
        assert answer.status_code == 200, answer.text
        found = {}
        for jti, token in answer.json["sets"].items():
            verified = verify(
                token,
                services.keyring.verifying(clock()),
                typ=frozenset({"secevent+jwt"}),
                algs=frozenset({"ES256"}),
            )
            assert verified.claims["jti"] == jti
            found[jti] = security_event.read(verified.claims, issuer=ISSUER, audience=audience)
        return found

    return read


def end_tokens(services, number, *, prefix="jti"):
    with services.db.write() as tx:
        for count in range(number):
            tokens.revoke(tx, f"{prefix}-{count}", expires_at=services.clock(), now=services.clock())


@pytest.mark.spec("RFC 8936 section 2.2", "RFC 8417 section 2.2")
def test_a_revoked_token_is_told(ask, read, http, browser, web_app, alice, clock):
    assert ask().json == {"sets": {}, "moreAvailable": False}
    token = browser.tokens(web_app, alice, scope="openid")["access_token"]
    assert http.post("/revoke", data={"token": token}, headers=web_app.basic).status_code == 200
    answer = ask()
    (told,) = read(answer).values()
    claims = strict.loads(strict.split(token).payload)
    assert (told.kind, told.ids) == ("token", (claims["jti"],))
    assert told.until > claims["exp"] + 60
    (said,) = answer.json["sets"].values()
    parts = strict.split(said)
    assert parts.header["typ"] == "secevent+jwt"
    body = strict.loads(parts.payload)
    assert "exp" not in body
    assert "sub" not in body
    assert body["sub_id"] == {"format": "jwt_id", "iss": ISSUER, "jti": claims["jti"]}
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.spec("RFC 8936 section 2.4")
def test_is_told_again_until_it_is_acknowledged_and_then_never(ask, read, services):
    ask()
    end_tokens(services, 3)
    first, second = read(ask()), read(ask())
    assert len(first) == 3
    assert first == second
    jtis = list(first)
    assert list(read(ask(ack=jtis[:1]))) == jtis[1:]
    assert read(ask(ack=jtis[2:])).keys() == {jtis[1]}  # also out of order
    assert read(ask(ack=jtis)) == {}
    assert read(ask()) == {}


def test_each_gateway_has_its_own_stream_and_each_instance_too(ask, read, services, orders_api):
    other = clients.register(services, "second-gateway", grant_types=[])
    with services.db.write() as tx:
        apis.add_resource_client(tx, orders_api.id, other.client_id)
    ask()
    ask(name="two")
    ask(caller=other)
    end_tokens(services, 1)
    told = read(ask())
    read(ask(ack=list(told)))
    assert read(ask()) == {}
    assert read(ask(name="two")) == told
    assert read(ask(caller=other), audience="second-gateway") == told


def test_a_new_stream_begins_with_everything_that_may_still_matter(ask, read, services, clock):
    end_tokens(services, 1, prefix="long-ago")
    clock.advance(services.settings.access_token_longest.total_seconds() + 91)
    end_tokens(services, 2)
    read(ask())
    assert {told.ids for told in read(ask()).values()} == {("jti-0",), ("jti-1",)}


def test_what_can_matter_no_longer_is_not_told(ask, read, services, clock):
    ask()
    end_tokens(services, 1)
    clock.advance(services.settings.access_token_longest.total_seconds() + 91)
    assert read(ask()) == {}


@pytest.mark.spec("OpenID CAEP 1.0 section 3.3")
def test_every_way_to_end_something_is_told(ask, read, services, browser, web_app, alice, service, clock):
    ask()
    browser.tokens(web_app, alice, scope="openid")
    now = clock()
    with services.db.write() as tx:
        person = account.find(tx, alice.id)
        (held,) = grant.of_account(tx, alice.id, now)
        services.sessions.end(tx, held.session_id, now)
        administration.disable(tx, person, now)
        account.void(tx, alice.id, now, reason="password changed")
        client.disable(tx, service.client_id, now)
    answer = ask()
    told = {(each.kind, each.ids): each for each in read(answer).values()}
    second = int(now.timestamp())
    assert set(told) == {
        ("session", (held.session_id,)),
        ("grants", (held.id,)),
        ("account", (alice.id,)),
        ("client", (service.client_id,)),
    }
    assert told["account", (alice.id,)].not_before == second
    assert told["client", (service.client_id,)].not_before > second
    types = [next(iter(strict.loads(strict.split(each).payload)["events"])) for each in answer.json["sets"].values()]
    assert types.count(security_event.CREDENTIAL_CHANGE) == 1


@pytest.mark.spec("OpenID CAEP 1.0 section 3.2")
def test_a_person_who_leaves_a_group_needs_new_tokens(ask, read, services, browser, web_app, alice, clock):
    ask()
    browser.tokens(web_app, alice, scope="openid")
    with services.db.write() as tx:
        taking.person_from_group(tx, group.find(tx, "staff").id, alice.id, clock())
    answer = ask()
    (told,) = read(answer).values()
    assert (told.kind, told.ids, told.not_before) == ("account", (alice.id,), int(clock().timestamp()) + 2)
    (said,) = answer.json["sets"].values()
    assert security_event.TOKEN_CLAIMS_CHANGE in strict.loads(strict.split(said).payload)["events"]


@pytest.mark.attack("GW20")
def test_a_withdrawn_key_is_told_under_another_and_for_as_long_as_it_may_be_believed(ask, read, services, clock):
    ask()
    services.keyring.ensure(clock())
    before = {row.id for row, state in services.keyring.listing(clock()) if state == "signing"}
    assert services.keyring.withdraw_all(clock()) >= before
    told = read(ask()).values()
    assert {(each.kind, each.not_before) for each in told} == {("key", None)}
    assert {kid for each in told for kid in each.ids} >= before
    assert {each.until - int(clock().timestamp()) > 7 * 86_400 for each in told} == {True}


def test_a_key_withdrawn_twice_is_told_once(ask, read, services, clock):
    ask()
    services.keyring.ensure(clock())
    (kid, *_) = (row.id for row, _ in services.keyring.listing(clock()))
    assert services.keyring.withdraw(kid, clock())
    assert not services.keyring.withdraw(kid, clock())
    assert [each.ids for each in read(ask()).values()] == [(kid,)]


def test_many_grants_fit_into_small_events(ask, read, services, db, alice, web_app, clock):
    ask()
    now = clock()
    facts = {"auth_time": now, "acr": "aal1", "amr": ["pwd"], "now": now, "expires_at": clock.advance(60)}
    with services.db.write() as tx:
        made = {
            grant.create(tx, account_id=alice.id, client_id=web_app.client_id, session_id=None, scopes={}, **facts).id
            for _ in range(250)
        }
        grant.revoke_account(tx, alice.id, now, reason="test")
    answer = ask()
    told = read(answer).values()
    assert [len(each.ids) for each in told] == [100, 100, 50]
    assert {name for each in told for name in each.ids} == made


def test_what_is_rolled_back_is_not_told(ask, read, services):
    ask()
    with suppress(ZeroDivisionError), services.db.write() as tx:
        tokens.revoke(tx, "one", expires_at=services.clock(), now=services.clock())
        raise ZeroDivisionError
    assert read(ask()) == {}


def test_a_token_revoked_twice_is_told_once(ask, read, services):
    ask()
    end_tokens(services, 1)
    end_tokens(services, 1)
    assert len(read(ask())) == 1


@pytest.mark.spec("RFC 8936 section 2.4")
@pytest.mark.parametrize(("most", "more"), [(0, None), (1, True), (3, False), (10_000, False)])
def test_gives_as_many_as_are_wanted(ask, read, services, most, more):
    ask()
    end_tokens(services, 3)
    answer = ask(maxEvents=most)
    assert len(read(answer)) == min(most, 3)
    assert answer.json.get("moreAvailable") is more


@pytest.mark.spec("RFC 8936 section 2.6")
def test_what_a_gateway_cannot_use_is_not_sent_again_and_is_written_down(ask, read, services):
    ask()
    end_tokens(services, 1)
    (jti,) = read(ask())
    assert read(ask(setErrs={jti: {"err": "invalid_key", "description": "no such key"}})) == {}
    with services.db.read() as tx:
        row = audit.recent(tx, 1)[0]
    assert (row.event, row.detail) == ("events.not_understood", {"event_id": jti, "error": "invalid_key"})


def test_ten_thousand_events_reach_a_gateway_once_each(ask, read, services):
    ask()
    end_tokens(services, 10_000)
    heard, acks = set(), []
    for _ in range(60):
        answer = ask(ack=acks)
        acks = list(answer.json["sets"])
        assert heard.isdisjoint(acks)
        heard.update(acks)
        if not answer.json["moreAvailable"]:
            break
    assert len(heard) == 10_000
    assert ask(ack=acks).json["sets"] == {}


def test_nothing_is_lost_and_nothing_told_twice_over_a_restart_of_the_provider(ask, read, another_worker, services):
    ask()
    end_tokens(services, 4)
    before = read(ask(maxEvents=2))
    told = read(ask(ack=list(before), over=another_worker()))
    assert len(told) == 2
    assert before.keys().isdisjoint(told)
    assert read(ask(ack=list(told), over=another_worker())) == {}


def test_nothing_is_lost_while_two_workers_write_and_two_streams_open_and_ask(
    ask, another_worker, services, gateway_client
):
    workers = [another_worker() for _ in range(2)]
    over = threading.Event()
    heard = {name: [] for name in ("a", "b")}

    def write(number):
        for count in range(50):
            end_tokens(services, 1, prefix=f"{number}-{count}")

    def hear(name, worker):
        acks = []
        while True:
            last = over.is_set()
            answer = ask(name=name, ack=acks, over=worker)
            assert answer.status_code == 200, answer.text
            acks = list(answer.json["sets"])
            heard[name] += acks
            if last and not acks:
                return

    with ThreadPoolExecutor(4) as pool:
        hearing = [pool.submit(hear, name, worker) for name, worker in zip(heard, workers, strict=True)]
        for each in [pool.submit(write, number) for number in range(2)]:
            each.result()
        over.set()
        for each in hearing:
            each.result()
    with services.db.read() as tx:
        written = set(tx.scalars(select(Event.id)))
    for ids in heard.values():
        assert len(ids) == len(set(ids)) == 100
        assert set(ids) == written


def test_two_workers_that_open_one_stream_open_it_once(ask, another_worker, services):
    end_tokens(services, 3)
    workers = [another_worker() for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda worker: ask(over=worker), workers))
    assert {len(answer.json["sets"]) for answer in answers} == {3}
    with services.db.read() as tx:
        assert tx.scalar(select(func.count()).select_from(Stream)) == 1


def test_a_client_has_a_limited_number_of_streams(ask, services, clock):
    for count in range(event.STREAMS + 2):
        clock.advance(1)
        ask(name=f"gateway-{count}")
    with services.db.read() as tx:
        names = {stream.name for stream, _ in event.listing(tx)}
    assert names == {f"gateway-{count}" for count in range(2, event.STREAMS + 2)}


def test_a_stream_that_nobody_asks_is_forgotten_with_what_waits_for_it(ask, services, clock):
    ask(name="used")
    ask(name="left")
    for _ in range(26):
        clock.advance(3_600)
        ask(name="used")
    end_tokens(services, 1)
    gone = prune.prune(services.db, clock(), stop=100)
    assert gone["event_stream"] == 1
    with services.db.read() as tx:
        assert [(stream.name, count) for stream, count in event.listing(tx)] == [("used", 1)]
    clock.advance(26 * 3_600)
    assert prune.prune(services.db, clock(), stop=100)["security_event"] == 1
    with services.db.read() as tx:
        assert tx.scalar(select(func.count()).select_from(Waiting)) == 0


def test_most_questions_write_nothing(ask, services, db_writes, clock):
    ask()
    db_writes.clear()
    for _ in range(10):
        ask()
    assert db_writes == []
    clock.advance(61)
    ask()
    assert len(db_writes) == 1


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Basic !"}, {"Authorization": "Bearer x"}])
def test_refuses_a_stranger(ask, headers):
    answer = ask(headers=headers)
    assert (answer.status_code, answer.json["error"]) == (401, "invalid_client")


def test_refuses_a_wrong_secret(ask, gateway_client):
    wrong = clients.App(client_id=gateway_client.client_id, secret="wrong")
    assert ask(caller=wrong).status_code == 401


def test_refuses_a_client_that_serves_no_api(ask, web_app):
    answer = ask(caller=web_app)
    assert (answer.status_code, answer.json["error"]) == (403, "access_denied")


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[]",
        "{",
        '{"a":1,"a":2}',
        '{"maxEvents":-1}',
        '{"maxEvents":true}',
        '{"maxEvents":"1"}',
        '{"ack":"one"}',
        '{"ack":[1]}',
        '{"ack":[""]}',
        '{"returnImmediately":1}',
        '{"setErrs":[]}',
        '{"setErrs":{"a":1}}',
        '{"setErrs":{"a":{}}}',
        json.dumps({"ack": ["a"] * 2_001}),
        b"\xff",
    ],
)
def test_refuses_what_is_no_question(ask, body):
    ask()
    answer = ask(body=body)
    assert (answer.status_code, answer.json["error"]) == (400, "invalid_request")


def test_refuses_another_type_of_body(ask, gateway_client):
    headers = {**gateway_client.basic, "Content-Type": "application/x-www-form-urlencoded"}
    assert ask(headers=headers).status_code == 415


def test_refuses_a_body_that_is_too_long(ask):
    assert ask(body="x" * 70_000).status_code == 413


@pytest.mark.parametrize("name", ["a b", "x" * 65, "../a", "é"])
def test_refuses_a_name_that_is_none(ask, name):
    assert ask(name=name).json["error"] == "invalid_request"


class TestAssertions:
    """A gateway with a key signs a bearer of its own, for this address alone."""

    @pytest.fixture
    def key(self, services, orders_api):
        key = SigningKey.generate("ES256")
        clients.register(
            services,
            "key-gateway",
            auth_method="private_key_jwt",
            grant_types=[],
            jwks={"keys": [dict(key.public_jwk())]},
        )
        with services.db.write() as tx:
            apis.add_resource_client(tx, orders_api.id, "key-gateway")
        return key

    @pytest.fixture
    def bearer(self, key, clock):
        count = itertools.count()

        def bearer(**changed):
            now = int(clock().timestamp())
            claims = {
                "iss": "key-gateway",
                "sub": "key-gateway",
                "aud": f"{ISSUER}/events",
                "iat": now,
                "exp": now + 120,
                "jti": f"assertion-{next(count)}",
            }
            return {"Authorization": "Bearer " + sign({**claims, **changed}, key, typ="JWT")}

        return bearer

    @pytest.mark.spec("RFC 7523 section 3")
    def test_is_good_until_it_ends(self, ask, bearer, clock):
        headers = bearer()
        for _ in range(3):
            assert ask(headers=headers).status_code == 200
        clock.advance(151)
        assert ask(headers=headers).status_code == 401

    def test_is_for_this_address_alone(self, ask, bearer, http):
        for aud in (ISSUER, f"{ISSUER}/token", [f"{ISSUER}/events", ISSUER]):
            assert ask(headers=bearer(aud=aud)).status_code == 401
        headers = bearer()
        form = {
            "token": "x",
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": headers["Authorization"].removeprefix("Bearer "),
        }
        assert http.post("/introspect", data=form).status_code == 401

    def test_lives_for_minutes(self, ask, bearer, clock):
        assert ask(headers=bearer(exp=int(clock().timestamp()) + 3_600)).status_code == 401

    def test_speaks_for_nobody_else(self, ask, bearer, gateway_client):
        for who in ("nobody", gateway_client.client_id):
            assert ask(headers=bearer(iss=who, sub=who)).status_code == 401


@pytest.mark.spec("RFC 8414 section 2")
def test_discovery_tells_the_address(http):
    assert http.get("/.well-known/oauth-authorization-server").json["events_endpoint"] == f"{ISSUER}/events"
