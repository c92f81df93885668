"""The stages after the judgement find the caller's token again, or nothing goes on."""

from __future__ import annotations

import pytest

from idp.gateway.inbound import inbound
from idp.gateway.request import Decision, Request


def request(*headers, target=b"/orders"):
    return Request(method="GET", target=target, host=b"api.example", headers=headers)


def test_it_is_the_token_of_the_one_header():
    assert inbound(request((b"authorization", b"Bearer token")), Decision()) == b"token"


@pytest.mark.parametrize("target", [b"/orders?t=token", b"/orders/token"])
def test_a_target_that_repeats_it_is_refused(target):
    decision = Decision()
    assert inbound(request((b"authorization", b"Bearer token"), target=target), decision) is None
    assert decision.status == 400


def test_without_a_token_nothing_was_allowed():
    with pytest.raises(AssertionError):
        inbound(request(), Decision())
