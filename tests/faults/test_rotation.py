"""Keys change, and the provider goes away, while calls pass the gateway: no valid token fails, no other passes."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from idp.keys.rotation import Keyring
from idp.store import api, role
from tests.fixtures import clients
from tests.fixtures.clients import App
from tests.services.gateway import Gateway
from tests.services.provider import Provider, session

AUDIENCE = "https://orders.example"
EVERY, LEAD, REFRESH, COOLDOWN = 2.0, "1s", "300ms", "200ms"
SHORT, LONG = 12.0, 60.0
BUSY = 90.0  # how much longer a busy machine may take for as much
KNOWN = 0.25  # seconds, a quarter of the lead, for which a worker knows the keys it has read
CALLERS = 3


@pytest.fixture
def provider(sqlite_url: str, tmp_path: Path) -> Iterator[Provider]:
    """A provider whose new keys sign after a second: less than finding an RSA key may take."""
    chosen = {"workers": 2, "publish_lead": LEAD, "signing_algs": ["ES256"]}
    with Provider(tmp_path / "provider", database_url=sqlite_url, **chosen) as running:
        yield running


@pytest.fixture
def service(provider: Provider) -> App:
    """A program that may read orders."""
    with provider.db.write() as tx:
        orders = api.create(tx, audience=AUDIENCE, name="Orders", now=provider.clock())
        scope = api.add_scope(tx, orders.id, "orders:read", "Read orders")
        reader = role.create(tx, api_id=orders.id, name="reader")
        role.add_scope(tx, reader.id, scope.id)
    app = clients.register(provider.services, "reporter", scopes=("orders:read",), grant_types=["client_credentials"])
    with provider.db.write() as tx:
        role.add_client(tx, reader.id, app.client_id)
    return app


@pytest.fixture
def gateway(provider: Provider, tmp_path: Path) -> Iterator[Gateway]:
    """A gateway that looks for keys three times a second."""
    running = Gateway(
        tmp_path / "gateway", issuer=provider.issuer, audience=AUDIENCE, refresh=REFRESH, cooldown=COOLDOWN
    )
    yield running
    running.stop()


def token(provider: Provider, app: App, caller: requests.Session) -> str:
    """Ask for a token."""
    answer = caller.post(
        provider.url("/token"), data={"grant_type": "client_credentials"}, headers=app.basic, timeout=10
    )
    assert answer.status_code == requests.codes.ok, answer.text
    return str(answer.json()["access_token"])


def call(gateway: Gateway, bearer: str, caller: requests.Session) -> int:
    """Call the API through the gateway."""
    headers = {"Authorization": f"Bearer {bearer}"}
    return caller.get(gateway.url, headers=headers, timeout=10).status_code


@contextmanager
def rotating(provider: Provider) -> Iterator[Counter[str]]:
    """Rotate all the while, as `idp key rotate` does."""
    keyring = Keyring(provider.db, provider.sealer, provider.settings)
    over, done = threading.Event(), Counter[str]()

    def turn() -> None:
        while not over.wait(EVERY):
            keyring.rotate(provider.clock())
            done["rotations"] += 1

    thread = threading.Thread(target=turn, daemon=True)
    thread.start()
    try:
        yield done
    finally:
        over.set()
        thread.join(30)


def traffic(provider: Provider, app: App, gateway: Gateway, seconds: float) -> tuple[Counter[int], set[str]]:
    """Call with fresh tokens and with ones kept for a while; count the answers, and remember who signed."""
    answers, kids, turn = Counter[int](), set[str](), threading.Lock()
    begun = time.monotonic()

    def enough() -> bool:
        passed = time.monotonic() - begun
        done = answers.total() > seconds * 5 and len(kids) >= seconds / EVERY - 2
        return passed > seconds + BUSY or (passed > seconds and done)

    def one() -> None:
        caller, kept = session(), list[str]()
        while not enough():
            kept = [*kept[-40:], token(provider, app, caller)]
            statuses = [call(gateway, bearer, caller) for bearer in (kept[-1], kept[0], kept[len(kept) // 2])]
            with turn:
                answers.update(statuses)
                kids.add(kept[-1].partition(".")[0])

    threads = [threading.Thread(target=one, daemon=True) for _ in range(CALLERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds + BUSY + 30)
    return answers, kids


def campaign(provider: Provider, app: App, gateway: Gateway, seconds: float) -> dict[str, int]:
    """Call while keys rotate; return how often each was done."""
    call(gateway, token(provider, app, session()), session())
    with rotating(provider) as done:
        answers, kids = traffic(provider, app, gateway, seconds)
    assert set(answers) == {200}, answers
    assert answers[200] > seconds * 5
    assert done["rotations"] >= seconds / EVERY - 2
    # Each rotation brings a key that really signs: otherwise nothing was tried.
    assert len(kids) >= done["rotations"] - 2
    return {"rotations": done["rotations"], "calls, none refused": answers[200]}


@pytest.mark.attack("F8")
def test_no_valid_token_fails_while_keys_rotate(provider: Provider, service: App, gateway: Gateway) -> None:
    campaign(provider, service, gateway, SHORT)


@pytest.mark.long
@pytest.mark.attack("F8")
def test_no_valid_token_fails_in_a_minute_of_rotations(
    provider: Provider, service: App, gateway: Gateway, record_property: Callable[[str, object], None]
) -> None:
    for name, count in campaign(provider, service, gateway, LONG).items():
        record_property(name, count)


@pytest.mark.attack("F8", "GW20")
def test_a_withdrawn_key_opens_nothing_after_the_next_look(provider: Provider, service: App, gateway: Gateway) -> None:
    caller = session()
    bearer = token(provider, service, caller)
    assert call(gateway, bearer, caller) == requests.codes.ok
    Keyring(provider.db, provider.sealer, provider.settings).withdraw_all(provider.clock())
    deadline = time.monotonic() + 10
    while call(gateway, bearer, caller) == requests.codes.ok:
        assert time.monotonic() < deadline, "the withdrawn key still opens the gate"
        time.sleep(0.1)
    assert call(gateway, bearer, caller) == requests.codes.unauthorized
    time.sleep(KNOWN)  # until then a worker that has not looked signs with the old one
    assert call(gateway, token(provider, service, caller), caller) == requests.codes.ok


@pytest.mark.attack("F12", "GW18")
def test_valid_tokens_pass_while_the_provider_is_away_and_others_do_not(
    provider: Provider, service: App, gateway: Gateway
) -> None:
    caller = session()
    bearer = token(provider, service, caller)
    assert call(gateway, bearer, caller) == requests.codes.ok
    provider.kill()
    with pytest.raises(requests.ConnectionError):
        token(provider, service, session())
    head, _, rest = bearer.partition(".")
    forged = f"{head}.{rest[:-20]}{rest[-20:].swapcase()}"
    for _ in range(30):
        assert call(gateway, bearer, caller) == requests.codes.ok
        assert call(gateway, forged, caller) == requests.codes.unauthorized
        time.sleep(0.05)
    # A gateway that starts again finds the keys it wrote down.
    gateway.program.stop()
    gateway.start()
    assert call(gateway, bearer, session()) == requests.codes.ok
