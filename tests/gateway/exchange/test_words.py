"""A request that got no token for the service behind: what passed before is said to have passed."""

from __future__ import annotations

import pytest

from idp.gateway.load import parse
from idp.gateway.policy.explain import explain
from tests.gateway.exchanging import a_token


def explained(ground, **options):
    headline, points = explain(parse(ground.text), ground.log.decisions[-1])
    return headline, [str(point).strip() for point in points]


@pytest.mark.parametrize(
    ("refusal", "status", "why"),
    [((400, "invalid_scope"), 502, "invalid_scope"), ((503, ""), 503, "provider has trouble")],
)
def test_an_exchange_that_failed_comes_after_what_passed(make, refusal, status, why):
    ground = make(top='[defaults]\nlimit = [{ by = "ip", rate = "5/s" }]')
    ground.provider.refusal = refusal
    assert ground.ask().status == status
    headline, points = explained(ground)
    assert headline.endswith(f"was refused with {status}: no token for the service behind could be had: {why}")
    assert points == [
        'passed        the request belongs to route "stock": GET api.example/stock',
        "passed        the token is sound and for https://orders.example",
        'limit "ip": at most 5/s for each address, 5 at once, before its token is looked at',
        "goes on with a token for https://stock.example with orders:read, used 60 s, naming the gateway as actor",
        f"FAILED        no token for the service behind could be had: {why}",
    ]


def test_a_token_that_ended_beforehand_got_no_further(make):
    ground = make(issuer="revocation = {}")
    token = a_token(jti="gone")
    ground.stream.end("token", "gone")
    for feed in ground.gate.feeds.values():
        feed.poll()
    assert ground.ask(token).status == 401
    _, points = explained(ground)
    assert not any("is sound" in point for point in points)
    assert "FAILED        the token, its session, its client or its person has been revoked" in points
