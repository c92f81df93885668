"""Several servers behind a route: who gets what, who is left alone, and what is sent again."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from idp.gateway.config import ServerConfig
from idp.gateway.load import parse
from idp.gateway.upstreams.model import Eject, HealthCheck, Origin, Upstream
from idp.gateway.upstreams.servers import Servers
from tests.gateway import upstream as upstreams
from tests.gateway.conftest import config_text
from tests.gateway.raw import Client, request
from tests.gateway.upstream import Upstream as Server
from tests.gateway.websocket.peer import wait_until


@pytest.fixture
def many() -> Iterator[Callable[[int], list[Server]]]:
    with ExitStack() as stack:
        yield lambda number: [stack.enter_context(upstreams.running(Server())) for _ in range(number)]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def text(issuer, *urls: str, **more: str) -> str:
    """All routes before one upstream of these addresses."""
    listed = ", ".join(f'"{url}"' for url in urls)
    fields = "\n".join(f"{name} = {value}" for name, value in more.items())
    named = config_text(issuer, None).replace('upstream = "http://127.0.0.1:9"', 'upstream = "orders"')
    return f"{named}\n[upstreams.orders]\naddress = [{listed}]\n{fields}\n"


def test_requests_are_shared_among_those_who_are_well(serve, issuer, many, token):
    one, two, three = many(3)
    gateway = serve(text(issuer, one.url, two.url, three.url, balance='"round_robin"'))
    for _ in range(9):
        assert gateway.ask(request(token=token)).status == 200
    assert [len(each.seen) for each in (one, two, three)] == [3, 3, 3]


def test_the_one_with_the_least_to_do_is_asked(serve, issuer, many, token):
    slow, quick = many(2)
    go = threading.Event()
    slow.script = lambda connection, _seen: go.wait(30) and connection.sendall(slow.answer) is None
    gateway = serve(text(issuer, slow.url, quick.url))
    with Client(gateway.address) as waiting, Client(gateway.address) as other:
        for client in (waiting, other):  # one of them meets the slow one, whoever is first
            client.send(request(token=token))
        assert wait_until(lambda: slow.seen)
        for _ in range(5):
            assert gateway.ask(request(token=token)).status == 200
        assert len(slow.seen) == 1
        go.set()
        assert [waiting.answer().status, other.answer().status] == [200, 200]


@pytest.mark.parametrize(("method", "length"), [("GET", None), ("POST", "3")])
def test_what_no_server_has_seen_is_sent_to_another(method, length, serve, issuer, many, token):
    (alive,) = many(1)
    gateway = serve(text(issuer, f"http://127.0.0.1:{free_port()}", alive.url))
    for _ in range(12):
        framing = {"Content_Length": length} if length else {}
        assert gateway.ask(request(method, token=token, **framing) + (b"abc" if length else b"")).status == 200
    assert len(alive.seen) == 12
    ejected, *_ = gateway.lines("upstream.ejected")  # and again after a second, on a machine that takes so long
    assert ejected["seconds"] == 1.0


def test_what_does_no_harm_twice_is_sent_to_another_and_what_does_is_not(serve, issuer, many, token):
    rude, polite = many(2)
    rude.script = lambda _connection, _seen: False  # reads, and closes without a word
    gateway = serve(text(issuer, rude.url, polite.url, balance='"round_robin"', eject="{ failures = 100 }"))
    assert [gateway.ask(request(token=token)).status for _ in range(4)] == [200] * 4
    assert rude.seen
    asked = [gateway.ask(request("POST", token=token, Content_Length="0")).status for _ in range(4)]
    assert sorted(asked) == [200, 200, 502, 502]


def test_a_server_that_takes_too_long_is_not_waited_for_twice(serve, issuer, many, token):
    slow, other = many(2)
    for each in (slow, other):
        each.script = lambda _connection, _seen: time.sleep(2) is not None
    quick = text(issuer, slow.url, other.url).replace('drain = "2s"', 'drain = "2s"\nresponse_timeout = "300ms"')
    assert serve(quick).ask(request(token=token)).status == 504
    assert len(slow.seen) + len(other.seen) == 1


def test_one_that_answers_with_errors_is_left_alone_while_another_is_well(serve, issuer, many, token):
    sick, well = many(2)
    sick.answer = b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n"
    eject = '{ failures = 3, first = "5m", longest = "5m" }'
    gateway = serve(text(issuer, sick.url, well.url, balance='"round_robin"', eject=eject))
    statuses = [gateway.ask(request(token=token)).status for _ in range(12)]
    assert statuses.count(503) == 3
    sick.answer = well.answer
    for member in gateway.server._proxy.behind.all()[0].members:
        member.until = 0.0  # five minutes later
    assert wait_until(lambda: gateway.ask(request(token=token)).status == 200 and len(sick.seen) >= 4)


def test_the_last_one_is_never_left_alone_for_its_answers(serve, issuer, many, token):
    (sick,) = many(1)
    sick.answer = b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n"
    gateway = serve(text(issuer, sick.url, eject="{ failures = 1 }"))
    for _ in range(5):
        assert gateway.ask(request(token=token)).status == 500
    assert len(sick.seen) == 5


def test_nobody_waits_where_nobody_is_well(serve, issuer, token):
    address = f"http://127.0.0.1:{free_port()}"
    gateway = serve(text(issuer, address, eject='{ failures = 2, first = "5m", longest = "5m" }'))
    statuses = [gateway.ask(request(token=token)) for _ in range(4)]
    assert [each.status for each in statuses] == [502, 502, 503, 503]
    assert statuses[-1].json()["error"] == "temporarily_unavailable"
    assert 1 <= int(statuses[-1].header("retry-after")) <= 300


HEALTH = '{ path = "/health?deep=1", every = "100ms", timeout = "200ms" }'


def test_a_server_that_does_not_answer_when_asked_gets_no_request(serve, issuer, many, token):
    one, two = many(2)
    sick: list[bytes] = [b"HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n"]

    def script(connection, seen):
        asked = seen.line == b"GET /health?deep=1 HTTP/1.1"
        connection.sendall(sick[0] if asked and sick else one.answer)
        return True

    one.script = script
    gateway = serve(text(issuer, one.url, two.url, health=HEALTH))
    assert wait_until(lambda: gateway.lines("upstream.down"))
    (down,) = gateway.lines("upstream.down")
    assert down["server"] == one.url
    for _ in range(4):
        assert gateway.ask(request(token=token)).status == 200
    assert all(seen.line.startswith(b"GET /health") for seen in one.seen)
    assert two.seen
    sick.clear()
    assert wait_until(lambda: gateway.lines("upstream.up"))
    facts = gateway.server._proxy.behind.all()[0].members
    assert all(member.answers for member in facts)


def test_without_anybody_who_answers_the_next_question_is_waited_for(serve, issuer, many, token):
    (mute,) = many(1)
    mute.script = lambda _connection, _seen: time.sleep(1) is not None
    health = '{ path = "/", every = "200ms", timeout = "100ms" }'
    gateway = serve(text(issuer, mute.url, health=health))
    assert wait_until(lambda: gateway.lines("upstream.down"))
    answer = gateway.ask(request(token=token))
    assert (answer.status, answer.header("retry-after")) == (503, "1")


def test_a_new_file_keeps_what_it_names_and_lets_go_of_the_rest(serve, issuer, many, token):
    old, new = many(2)
    before, after = text(issuer, old.url, health=HEALTH), text(issuer, new.url)
    gateway = serve(before)
    answering: list[Client] = []
    old.script = lambda connection, seen: (
        time.sleep(0.6 if b"/orders/slow" in seen.line else 0) or connection.sendall(old.answer) or True
    )
    with Client(gateway.address) as client:
        assert gateway.ask(request(token=token)).status == 200
        client.send(request(token=token, target="/orders/slow"))
        answering.append(client)
        assert wait_until(lambda: any(b"/slow" in seen.line for seen in old.seen))
        gateway.server._gate.replace(parse(after))
        assert gateway.ask(request(token=token)).status == 200
        assert new.seen
        assert client.answer().status == 200
    behind = gateway.server._proxy.behind
    assert wait_until(lambda: not behind._leaving)
    asked = len(old.seen)
    time.sleep(0.3)
    assert len(old.seen) <= asked + 1
    (servers,) = behind.all()
    assert servers.upstream.origins[0].port == new.port


class Ground:
    """Servers in a loop of their own, without a network."""

    def __init__(self, *, failures: int = 1, health: bool = False, number: int = 2) -> None:
        origins = tuple(Origin(host="::1", port=port) for port in range(1, number + 1))
        upstream = Upstream(
            origins=origins, eject=Eject(failures=failures), health=HealthCheck(path="/") if health else None
        )
        self.told: list[dict[str, object]] = []
        self.servers = Servers(upstream, ServerConfig(), log=self)

    def event(self, name: str, **facts: object) -> None:
        self.told.append({"name": name, **facts})


def test_a_server_that_fails_again_is_left_alone_for_longer_and_not_for_ever():
    async def walk() -> None:
        ground = Ground(number=1)
        (member,) = ground.servers.members
        for _ in range(40):
            ground.servers.failed(member, sure=True)
            ground.servers.failed(member, sure=True)  # while it is left alone, that is no news
            member.until = 0.0
        assert [told["seconds"] for told in ground.told[:6]] == [1, 2, 4, 8, 16, 30]
        assert len(ground.told) == 40
        assert ground.told[0]["server"] == "http://[::1]:1"
        member.recovered()
        assert ground.servers.choose() is member

    asyncio.run(walk())


def test_nobody_who_was_tried_is_tried_again():
    async def walk() -> None:
        ground = Ground()
        one, two = ground.servers.members
        assert ground.servers.choose([one]) is two
        assert ground.servers.choose([one, two]) is None
        assert ground.servers.nobody().retry_after == 1

    asyncio.run(walk())


def test_questions_end_with_the_gateway():
    async def walk() -> None:
        ground = Ground(health=True)
        ground.servers.check(1_000.0)
        ground.servers.check(1_001.0)
        assert len(ground.servers._asking) == 2
        ground.servers.close()
        await asyncio.sleep(0.01)
        assert not ground.servers._asking

    asyncio.run(walk())


def test_whoever_is_waited_for_may_leave(serve, issuer, many, token, monkeypatch):
    (server,) = many(1)
    gateway = serve(text(issuer, server.url))

    async def connect(_pool):
        await asyncio.sleep(30)

    monkeypatch.setattr("idp.gateway.pool.Pool.connect", connect)
    with Client(gateway.address) as client:
        client.send(request(token=token))
        (member,) = gateway.server._proxy.behind.all()[0].members
        assert wait_until(lambda: member.busy == 1)
    assert wait_until(lambda: member.busy == 0)
