"""A token and a request, tried as the gateway would: for `idp gateway explain --token`."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import click

from idp.gateway.client import Unusable
from idp.gateway.config import Config
from idp.gateway.decide import Gate
from idp.gateway.request import Decision, Request

# What only the holder of a token could show, and what is said instead.
_UNPROVED: Final = {
    "bound to a key": "it is bound to a key, of which each call needs a proof",
    "bound to another certificate": "it is bound to a certificate, which the caller has to show",
}


class _One:
    """A decision log that keeps what it is told."""

    def __init__(self) -> None:
        self.line: Mapping[str, Any] = {}

    def event(self, name: str, **facts: object) -> None:
        """Note nothing: the decision says whatever matters here."""

    def record(self, write: Callable[..., str], *facts: object) -> None:
        """Keep the decision."""
        self.line = json.loads(write(*facts))


def tried(config: Config, token: str, method: str, url: str, address: str) -> Mapping[str, Any]:
    """Decide as the gateway would, now and here."""
    log = _One()
    # Whether a token is revoked a running gateway knows; here nobody has listened.
    # Nothing is fetched for the servers behind and nothing signed: only references have to be asked about.
    issuers = tuple(
        dataclasses.replace(issuer, revocation=None, client=issuer.client if issuer.reference_tokens else None)
        for issuer in config.issuers
    )
    routes = tuple(dataclasses.replace(route, exchange=None, assertion=None) for route in config.routes)
    tried = dataclasses.replace(config, issuers=issuers, routes=routes, assertion=None)
    try:
        gate = Gate(tried, log=log)
    except Unusable as unusable:
        raise click.ClickException(str(unusable)) from None
    for source in gate.sources.values():
        source.refresh()
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    decision = gate.decide(
        Request(
            method=method,
            target=target.encode("utf-8"),
            host=parts.netloc.encode("utf-8"),
            headers=[(b"authorization", b"Bearer " + token.encode("utf-8"))],
            peer=address,
        )
    )
    caller = decision.caller
    if caller is None:
        return log.line
    strength = f"acr {caller.claims['acr']}" if caller.claims.get("acr") else "no acr"
    has = f"the token has roles {sorted(caller.roles)}, scopes {sorted(caller.scopes)}, {strength}"
    return {**log.line, "token": has.replace("'", ""), **_as_its_holder(decision)}


def _as_its_holder(decision: Decision) -> Mapping[str, Any]:
    """Judge a token that is bound as if its holder had sent it: nobody else can prove the key."""
    caller, rule, facts = decision.caller, decision.rule, decision.facts
    if decision.reason not in _UNPROVED or caller is None or rule is None or facts is None:
        return {}
    failure = rule.judge(caller, facts)
    said: dict[str, Any] = {"untried": f"whether its holder sends it is not tried here: {_UNPROVED[decision.reason]}"}
    if failure is None:
        return {**said, "status": 200, "why": "allowed"}
    why = failure.refusal.reason
    said |= {"rule": failure.label, "trace": rule.judge.trace(caller, facts), "why": why}
    return {**said, "status": 200, "shadow": why} if rule.shadow else {**said, "status": failure.refusal.status}
