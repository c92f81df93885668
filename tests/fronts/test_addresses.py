"""From where a caller comes: what the front saw, and never what the caller wrote."""

from __future__ import annotations

import pytest

from tests.gateway.raw import request


def report(front, *lines: str) -> bytes:
    return (
        request(target="/reports/1", token=front.token())[:-2]
        + "".join(f"{line}\r\n" for line in (*lines, "")).encode()
    )


def test_a_rule_of_addresses_sees_the_caller_and_not_the_front(front, office):
    assert front.ask(report(front)).status == 403
    assert front.api.seen == []
    assert front.decided()[0]["client_ip"] == "127.0.0.2"
    assert front.ask(report(front), source=office).status == 200


@pytest.mark.attack("GW12")
@pytest.mark.parametrize(
    "line",
    ["X-Forwarded-For: {0}", "X-Forwarded-For: {0}, {0}", "X-Forwarded-For: ::ffff:{0}", "X-Forwarded-For: 0177.0.0.3",
     "X-Forwarded-For: 127.0.0.1", "X-Forwarded-For: 127.000.000.003", "X-Forwarded-For: {0}:443",
     "x_forwarded_for: {0}", "X.Forwarded.For: {0}", "X-Real-IP: {0}",
     "Forwarded: for={0}", "True-Client-IP: {0}", "CF-Connecting-IP: {0}",
     "X-Envoy-External-Address: {0}", "X-Cluster-Client-IP: {0}", "X-Forwarded-For: "],
)  # fmt: skip
def test_no_caller_writes_itself_into_the_office(line, front, office):
    answer = front.ask(report(front, line.format(office)))
    assert answer.status in {400, 403}
    assert front.api.seen == []


@pytest.mark.attack("GW12")
def test_two_lists_of_hops_are_no_way_in_either(front, office):
    assert front.ask(report(front, f"X-Forwarded-For: {office}", f"X-Forwarded-For: {office}")).status in {400, 403}
    assert front.api.seen == []


@pytest.mark.attack("GW12")
def test_the_api_hears_the_same_address(front):
    assert front.ask(request(token=front.token(), X_Forwarded_For="198.51.100.7")).status == 200
    assert front.api.last.header(b"x-forwarded-for") == b"127.0.0.2"
