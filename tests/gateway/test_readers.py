"""Clients that ask, and ask, and do not read what they are answered."""

from __future__ import annotations

import contextlib
import time

import pytest

from tests.gateway.conftest import config_text
from tests.gateway.raw import Client, request
from tests.gateway.websocket.peer import wait_until

SIZE = 128
ONE = request(X_P="a" * (SIZE - len(request(X_P=""))))
MANY = 512
MOST = 20_000_000


@pytest.fixture
def place(serve, issuer, upstream, tmp_path):
    """A gateway at a socket with room for little, and little patience."""
    return at(serve, issuer, upstream, tmp_path, patience="1s")


@pytest.fixture
def patient(serve, issuer, upstream, tmp_path):
    """Another one, with as much patience as a busy machine wants."""
    return at(serve, issuer, upstream, tmp_path, patience="60s")


def at(serve, issuer, upstream, folder, *, patience):
    text = config_text(issuer, upstream, server=f'limits = {{ body_timeout = "{patience}" }}')
    return serve(text.replace("127.0.0.1:0", f"unix:{folder}/gateway.sock", 1))


def connections(gateway):
    return tuple(gateway.server.server_state.connections)


def fill(client: Client) -> int:
    """Ask until nobody listens any more."""
    sent = 0
    client.socket.settimeout(0.3)
    with contextlib.suppress(TimeoutError):
        while sent < MOST:
            sent += client.socket.send((ONE * MANY)[sent % SIZE :])
    assert sent < MOST
    client.socket.settimeout(5)
    return sent


@pytest.mark.attack("GW27")
def test_who_does_not_read_is_not_read_either_and_goes_on_where_it_was(patient):
    with Client(patient.address) as client:
        sent = fill(client)
        (connection,) = connections(patient)
        assert connection.transport.get_write_buffer_size() < 200_000
        for _ in range(sent // SIZE):
            answer = client.answer()
            assert answer.status == 401
        client.send(ONE[sent % SIZE :])
        assert client.answer().status == 401


@pytest.mark.attack("GW27")
def test_who_never_reads_is_cut_off(place):
    with Client(place.address) as client:
        fill(client)
        assert wait_until(lambda: not connections(place))


@pytest.mark.attack("GW27")
def test_whoever_leaves_without_the_rest_of_an_answer_is_cut_off(place, upstream, issuer):
    upstream.answer = b"HTTP/1.1 200 OK\r\ncontent-length: 250000\r\n\r\n" + b"x" * 250_000
    with Client(place.address) as client:
        client.send(request(token=issuer.token(), Connection="close"))
        assert wait_until(lambda: upstream.seen)
        assert wait_until(lambda: not connections(place))  # though nobody has read it all


def test_pieces_that_hold_the_ends_of_two_heads_are_no_long_head(proxy):
    with Client(proxy.address) as client:
        for piece in (ONE[:50], ONE[50:] + ONE * 400 + ONE[:50], ONE[50:]):
            client.send(piece)
            time.sleep(0.05)
        for _ in range(402):
            assert client.answer().status == 401
