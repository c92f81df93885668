"""A person's token stops at the gateway: the server behind gets one of its own, and everybody is on record."""

from __future__ import annotations

import os
import signal
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from playwright.sync_api import Browser, Route

from idp.gateway.client import Key
from idp.jose.dpop import verify_proof
from idp.jose.keys import KeySet
from idp.jose.verify import verify
from idp.store import api
from tests.fixtures import clients
from tests.fixtures.browser import CHALLENGE, VERIFIER
from tests.fixtures.dpop import Prover
from tests.gateway import upstream as upstreams
from tests.gateway.upstream import Upstream
from tests.journeys.exchange import ORDERS, REDIRECT, STOCK, Ground, claims
from tests.services import provider as providers

EVEN_ON_A_BUSY_MACHINE = 5.0


@pytest.fixture(scope="module")
def _ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    with upstreams.running(Upstream()) as upstream:
        ground = Ground(tmp_path_factory.mktemp("exchange"), upstream)
        try:
            yield ground
        finally:
            ground.stop()


@pytest.fixture
def ground(_ground: Ground) -> Ground:
    """Shared by the tests of this file: each brings people of its own."""
    _ground.prover = None
    _ground.upstream.reset()
    _ground.allow()
    return _ground


@pytest.mark.spec("RFC 8693 section 4.1")
def test_a_person_signs_in_and_the_server_behind_sees_who_acts_for_whom(ground: Ground, chromium: Browser) -> None:
    ada = ground.person("ada")
    token = ground.redeemed(
        ground.app,
        grant_type="authorization_code",
        code=_walked(ground, chromium, ada.username, ada.password),
        code_verifier=VERIFIER,
        redirect_uri=REDIRECT,
    )
    answer = ground.ask(token)
    assert (answer.status_code, answer.text) == (200, "ok")
    sent = ground.sent()
    told, before = claims(sent), claims(token)
    assert (told["sub"], told["aud"], told["client_id"]) == (ada.id, STOCK, "gateway")
    assert told["act"] == {"sub": "gateway", "iss": ground.provider.issuer}
    assert told["parents"] == [{"jti": before["jti"], "client_id": "web-app"}]
    assert told["exp"] <= min(before["exp"], told["iat"] + 60)
    # Whoever serves stock may ask about it, and hears the same; so does whoever reads the audit.
    row = ground.exchanged()[-1]
    for name in ("act", "txn", "parents", "jti"):
        assert told[name] == row[name]
    assert _introspected(ground, sent) == {name: told[name] for name in ("act", "txn", "parents", "jti")}
    # The names under which the gateway itself speaks are there as ever.
    assert ground.upstream.last.header(b"x-auth-subject") == ada.id.encode()


def _introspected(ground: Ground, token: str) -> dict[str, object]:
    stock = clients.register(ground.provider.services, "stock-server", grant_types=[])
    with ground.provider.db.write() as tx:
        found = api.find(tx, STOCK)
        assert found is not None
        api.add_resource_client(tx, found.id, stock.client_id)
    said = ground.post("/introspect", stock, token=token).json()
    return {name: said[name] for name in ("act", "txn", "parents", "jti")}


def _walked(ground: Ground, chromium: Browser, username: str, password: str) -> str:
    """Sign in with a browser and return the code that reaches the app."""
    context = chromium.new_context(ignore_https_errors=True)
    context.set_default_timeout(15_000)
    tab = context.new_page()
    arrived: list[str] = []

    def arrive(route: Route) -> None:
        arrived.append(route.request.url)
        route.fulfill(status=200, body="signed in")

    tab.route("https://app.example/**", arrive)
    asked = {
        "client_id": "web-app", "redirect_uri": REDIRECT, "response_type": "code", "scope": "openid orders:read",
        "resource": ORDERS, "state": "s", "code_challenge": CHALLENGE, "code_challenge_method": "S256",
    }  # fmt: skip
    tab.goto(ground.provider.url("/authorize?" + urlencode(asked)))
    tab.fill("#username", username)
    tab.fill("#password", password)
    tab.click("#login-submit")
    tab.wait_for_url("https://app.example/**")
    context.close()
    return parse_qs(urlsplit(arrived[0]).query)["code"][0]


@pytest.mark.attack("GW21")
def test_fifty_at_once_cost_one_exchange_and_each_token_has_its_own(ground: Ground) -> None:
    grace, hedy = ground.person("grace"), ground.person("hedy")
    tokens = {name: ground.token(person) for name, person in (("grace", grace), ("hedy", hedy))}
    before = len(ground.exchanged())
    with ThreadPoolExecutor(25) as pool:
        answers = list(pool.map(lambda number: ground.ask(tokens["grace" if number % 2 else "hedy"]), range(50)))
    assert {answer.status_code for answer in answers} == {200}
    assert len(ground.exchanged()) - before == 2
    sent = {seen.header(b"x-auth-subject"): seen.header(b"authorization") for seen in ground.upstream.seen}
    assert len(set(sent.values())) == 2
    for person in (grace, hedy):
        assert claims(sent[person.id.encode()].decode())["sub"] == person.id


@pytest.mark.attack("GW21")
def test_a_second_token_of_the_same_person_never_gets_what_the_first_one_fetched(ground: Ground) -> None:
    rosalind = ground.person("rosalind")
    first, second = ground.token(rosalind), ground.token(rosalind)
    sent = []
    for token in (first, second, first):
        assert ground.ask(token).status_code == 200
        sent.append(claims(ground.sent()))
    assert sent[0] == sent[2]
    assert [told["sid"] for told in sent[:2]] == [claims(first)["sid"], claims(second)["sid"]]
    assert sent[1]["parents"][0]["jti"] == claims(second)["jti"]


@pytest.mark.attack("IN7")
def test_what_is_revoked_is_given_up_within_a_second_on_both_sides(ground: Ground) -> None:
    token = ground.token(ground.person("edsger"))
    assert ground.ask(token).status_code == 200
    with ground.told("exchange.evicted"):
        ground.post("/revoke", ground.app, token=token)
        since = time.monotonic()
        while ground.ask(token).status_code != 401:
            assert time.monotonic() - since < EVEN_ON_A_BUSY_MACHINE


@pytest.mark.attack("IN7")
def test_an_exchanged_token_that_is_revoked_by_itself_is_fetched_anew(ground: Ground) -> None:
    token = ground.token(ground.person("ursula"))
    assert ground.ask(token).status_code == 200
    first = claims(ground.sent())["jti"]
    # The gateway is the client of what it fetched: as it, with its own key, the token is given back.
    keys = Key.read("gateway", ground.folder / "gateway.pem", "ES256")
    _, proof = keys.once(ground.provider.issuer, time.time())
    url = ground.provider.url("/revoke")
    assert providers.session().post(url, data={"token": ground.sent(), **proof}, timeout=20).status_code == 200
    since = time.monotonic()
    while claims(ground.sent())["jti"] == first:
        assert ground.ask(token).status_code == 200
        assert time.monotonic() - since < EVEN_ON_A_BUSY_MACHINE


@pytest.mark.spec("RFC 9470 section 3")
def test_a_target_that_wants_a_stronger_sign_in_asks_the_caller_for_it(ground: Ground) -> None:
    ground.allow(require_acr="aal2")
    answer = ground.ask(ground.token(ground.person("barbara")))
    assert answer.status_code == 401
    challenge = answer.headers["WWW-Authenticate"]
    assert 'error="insufficient_user_authentication"' in challenge
    assert 'acr_values="aal2 aal3"' in challenge
    assert ground.upstream.seen == []


def test_what_may_not_be_exchanged_is_502_and_an_alarm(ground: Ground) -> None:
    ground.allow(allowed_scopes=["something:else"])
    token = ground.token(ground.person("katherine"))
    with ground.told("exchange.alarm") as alarm:
        assert ground.ask(token).status_code == 502
    assert ground.upstream.seen == []
    assert (alarm["route"], alarm["audience"], alarm["reason"]) == ("stock", STOCK, "invalid_scope")


def test_what_would_hide_the_gateway_is_not_used(ground: Ground) -> None:
    ground.allow(allow_impersonation=True)
    with ground.told("exchange.alarm") as alarm:
        assert ground.ask(ground.token(ground.person("annie"))).status_code == 502
    assert alarm["reason"] == "the token does not name the gateway as actor"
    assert ground.upstream.seen == []


@pytest.mark.spec("RFC 9701 section 5")
def test_a_reference_outside_is_a_token_inside(ground: Ground) -> None:
    ada = ground.person("dorothy")
    reference = ground.token(ada, ground.shop)
    assert "." not in reference
    for _ in range(2):
        assert ground.ask(reference).status_code == 200
    told = claims(ground.sent())
    assert (told["sub"], told["aud"], told["parents"][0]["client_id"]) == (ada.id, STOCK, "shop")
    assert ground.ask(reference, "/orders").status_code == 200
    assert not any(reference.encode() in seen.head for seen in ground.upstream.seen)
    exchanges = len(ground.exchanged())
    assert "scopes [orders:read]" in ground.explained(reference, "/stock")
    assert len(ground.exchanged()) == exchanges
    ground.post("/revoke", ground.shop, token=reference)
    since = time.monotonic()
    while ground.ask(reference).status_code != 401:
        assert time.monotonic() - since < EVEN_ON_A_BUSY_MACHINE


@pytest.mark.parametrize("reference", ["made-up-by-somebody-else-entirely-0123456789", "short", "with space"])
def test_a_reference_that_means_nothing_is_no_token(ground: Ground, reference: str) -> None:
    for _ in range(2):
        answer = ground.ask(reference)
        assert answer.status_code == 401
        assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
    assert ground.upstream.seen == []


@pytest.mark.attack("TX14")
@pytest.mark.spec("RFC 9449 section 7.1")
def test_a_bound_token_becomes_one_that_is_bound_to_the_gateway(ground: Ground) -> None:
    ground.prover = Prover()
    token = ground.token(ground.person("hedwig"))
    assert claims(token)["cnf"] == {"jkt": ground.prover.jkt}
    for _ in range(2):
        answer = ground.ask(token)
        assert answer.status_code == 200, answer.text
    seen = ground.upstream.last
    assert seen.header(b"authorization") == b"DPoP " + ground.sent().encode()
    proof = verify_proof(
        str(seen.header(b"dpop"), "ascii"),
        method="GET",
        addresses=(f"http://127.0.0.1:{ground.port}/stock",),
        now=time.time(),
        access_token=ground.sent(),
    )
    assert claims(ground.sent())["cnf"] == {"jkt": proof.jkt}
    assert proof.jkt != ground.prover.jkt
    assert token.encode() not in seen.head


@pytest.mark.attack("GW23")
def test_the_server_behind_can_tell_the_gateway_from_anybody_else(ground: Ground) -> None:
    mary = ground.person("mary")
    token = ground.token(mary)
    assert ground.ask(token, "/orders").status_code == 200
    statement = ground.upstream.last.header(b"x-auth-assertion")
    assert statement is not None
    found = providers.session().get(f"http://127.0.0.1:{ground.port}/.gatehouse/jwks.json", timeout=20)
    keys = KeySet.from_remote(found.content)
    told = verify(statement.decode(), keys, typ=frozenset({"identity-assertion+jwt"}), algs=frozenset({"ES256"})).claims
    assert (told["iss"], told["sub"], told["aud"]) == ("https://gateway.example", mary.id, "orders")
    assert told["act"] == {"sub": "https://gateway.example", "iss": "https://gateway.example"}
    assert told["exp"] - told["iat"] <= 60
    # The next request costs no signature, and the token itself stays outside.
    assert ground.ask(token, "/orders").status_code == 200
    assert ground.upstream.last.header(b"x-auth-assertion") == statement
    assert not any(token.encode() in seen.head for seen in ground.upstream.seen)


def test_keys_of_the_provider_may_change(ground: Ground) -> None:
    radia = ground.person("radia")
    before = ground.token(radia)
    with ground.told("jwks.replaced"):
        ground.provider.idp("key", "rotate")
    since = time.monotonic()
    while (token := ground.token(radia)).partition(".")[0] == before.partition(".")[0]:
        assert time.monotonic() - since < EVEN_ON_A_BUSY_MACHINE  # published for a second, then in use
        time.sleep(0.1)
    assert ground.ask(token).status_code == 200
    assert ground.ask(before).status_code == 200


@pytest.mark.attack("GW24")
@pytest.mark.parametrize("how", ["hangs", "is gone"])
def test_without_a_provider_what_is_known_serves_and_nothing_opens(ground: Ground, how: str) -> None:
    name = how.replace(" ", "-")
    person = ground.person(f"known-{name}")
    known, reference = ground.token(person), ground.token(person, ground.shop)
    unknown, other = ground.token(person), ground.token(person, ground.shop)
    others = [ground.token(person) for _ in range(10)]
    for token in (known, reference):
        assert ground.ask(token).status_code == 200
    _stop(ground, how)
    try:
        ground.upstream.reset()
        for token in (unknown, other):
            answer = ground.ask(token)
            assert answer.status_code == 503
            assert int(answer.headers["Retry-After"]) >= 1
        assert ground.upstream.seen == []
        # Now and then one finds out whether somebody answers again; nobody else waits for that.
        with ThreadPoolExecutor(10) as pool:
            answers = list(pool.map(ground.ask, others))
        assert {answer.status_code for answer in answers} == {503}
        assert statistics.median(answer.elapsed.total_seconds() for answer in answers) < 1
        for token in (known, reference):
            assert ground.ask(token).status_code == 200
        # The gateway's own statements need no provider at all.
        assert ground.ask(unknown, "/orders").status_code == 200
        sent = b"".join(seen.head for seen in ground.upstream.seen)
        assert not any(token.encode() in sent for token in (known, unknown, reference, other))
    finally:
        _go_on(ground, how)
    since = time.monotonic()
    while {ground.ask(token).status_code for token in (unknown, other)} != {200}:
        assert time.monotonic() - since < 4 * EVEN_ON_A_BUSY_MACHINE
        time.sleep(0.2)


def _stop(ground: Ground, how: str) -> None:
    if how == "is gone":
        ground.provider.kill()
        return
    for pid in (ground.provider.program.pid, *ground.provider.workers()):
        os.kill(pid, signal.SIGSTOP)


def _go_on(ground: Ground, how: str) -> None:
    if how == "is gone":
        ground.provider.start()
        return
    for pid in (*ground.provider.workers(), ground.provider.program.pid):
        os.kill(pid, signal.SIGCONT)
