"""A head of the size that anybody may send costs no more than reading it, however it is filled."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from idp.gateway import trace
from idp.gateway.credential import find
from idp.gateway.server.arrival import Arrival
from idp.gateway.websocket import handshake
from idp.gateway.websocket.model import WebSocket
from idp.protocol import client_certificate
from tests.gateway.untraced import untraced

SIZE = 32_000
PARENT = (b"traceparent", b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01")


def states() -> None:
    assert trace.of([PARENT, (b"tracestate", b"a=b," * (SIZE // 4))]).state == b""


def names() -> None:
    assert find([(b"authorization", b"Bearer x")], b"%&" * (SIZE // 4)) == b"x"


def options() -> None:
    arrival = Arrival()
    arrival.header(b"connection", b",".join(b"%x" % number for number in range(3_500)))
    for _ in range(SIZE // 32):
        arrival.header(b"connection", b"a")
    arrival.header(b"host", b"api.example")
    arrival.target = b"/"
    arrival.headers = []
    arrival.check("GET", "1.1")
    assert len(arrival.nominated) == 3_500


def offers() -> None:
    value = b"x," * (SIZE // 4) + b"bearer,x," * (SIZE // 18)
    found = handshake.revealed([(b"sec-websocket-protocol", value)], WebSocket(subprotocol=True))
    assert len(found) == 1 + SIZE // 18


def certificate() -> None:
    assert client_certificate.read("-----BEGIN CERTIFICATE-----" + " " * 1_000) is None


@pytest.mark.attack("GW27")
@pytest.mark.parametrize("fill", [states, names, options, offers, certificate])
def test_however_a_head_is_filled_it_is_read_in_milliseconds(fill: Callable[[], None]) -> None:
    """Milliseconds of this thread. Each took ten to seven hundred when it was found."""
    costs = []
    fill()  # with the tracer: what it reaches is tested
    for _ in range(5):
        with untraced():
            began = time.thread_time()
            fill()
            costs.append(time.thread_time() - began)
    assert min(costs) < (0.06 if fill is offers else 0.006)
