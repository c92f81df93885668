"""The one decision that every shape asks for: whether a request may go on, and as whom."""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections.abc import Callable
from concurrent.futures import wait
from json.encoder import encode_basestring_ascii as quoted
from typing import Final

from idp.gateway import answers
from idp.gateway.config import Config, Route
from idp.gateway.credential import MethodOverride, TwoCredentials, find
from idp.gateway.fetch import SECONDS, Fetch
from idp.gateway.jwks import KeySource
from idp.gateway.log import Log
from idp.gateway.path import BadTarget, canonical, split_target
from idp.gateway.request import Decision, Request
from idp.gateway.rules import Rule, Rules
from idp.gateway.token_cache import TokenCache
from idp.gateway.verifier import KeyUnknown, Refused, Unavailable, Verifier

# RFC 9110 sections 9.3.6 and 9.3.8: not for resources behind a gateway, whatever a route says.
_NEVER: Final = frozenset({"TRACE", "CONNECT"})


class Gate:
    """A configuration with its keys, ready to decide.

    `rules` is one value: whoever replaces it does so at once or not at all.
    """

    def __init__(
        self,
        config: Config,
        *,
        log: Log,
        fetch: Fetch | None = None,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.cache = TokenCache()
        self.sources = {
            issuer.name: KeySource(issuer, log=log, fetch=fetch, wall=wall, monotonic=monotonic)
            for issuer in config.issuers
        }
        verifiers = {
            issuer.name: Verifier(issuer, self.sources[issuer.name], self.cache, monotonic=monotonic)
            for issuer in config.issuers
        }
        self._verifiers = verifiers
        self.rules = Rules(config, verifiers)
        self._log = log
        self._wall = wall
        self._prefix = os.urandom(4).hex()
        self._count = itertools.count(1)
        self._started_in: int | None = None

    def start(self) -> None:
        """Begin to fetch keys. Threads do not survive a fork, so a forked worker starts its own."""
        if self._started_in == os.getpid():
            return
        self._started_in = os.getpid()
        for source in self.sources.values():
            source.start()

    def stop(self) -> None:
        """End the threads."""
        for source in self.sources.values():
            source.stop()

    def rule_for(self, route: Route) -> Rule:
        """Prepare a rule that no path leads to: see `decide`."""
        return Rule(route, self._verifiers[route.issuer])

    def ready(self) -> bool:
        """Tell whether tokens of every issuer can be checked."""
        return all(source.usable() is not None for source in self.sources.values())

    def decide_now(self, request: Request, rule: Rule | None = None) -> Decision:
        """Decide without waiting. With `waits` set the answer stands only until that fetch has ended: see `settle`."""
        began = time.perf_counter()
        decision = self._judge(request, rule)
        if decision.asks is not None:
            decision.waits = decision.asks.ask()
            if decision.waits is not None:
                return decision
        return self._recorded(request, decision, began)

    def decide(self, request: Request, rule: Rule | None = None) -> Decision:
        """Decide. May wait for newer keys, three seconds at most, and only one request per cooldown does.

        A rule is given where something else has already chosen it, as for a decorated function.
        """
        decision = self.decide_now(request, rule)
        if decision.waits is None:
            return decision
        wait([decision.waits], SECONDS)
        return self._again(request, rule)

    async def settle(self, request: Request, decision: Decision) -> Decision:
        """Finish a decision that waits for newer keys, without holding up the event loop."""
        if decision.waits is None:
            return decision
        await asyncio.wait([asyncio.wrap_future(decision.waits)], timeout=SECONDS)
        return self._again(request)

    def _again(self, request: Request, rule: Rule | None = None) -> Decision:
        began = time.perf_counter()
        return self._recorded(request, self._judge(request, rule), began)

    def _judge(self, request: Request, rule: Rule | None) -> Decision:  # noqa: PLR0911 - one return per kind of refusal
        decision = Decision()
        try:
            if rule is not None:
                _, query = split_target(request.target)
                return self._policy(rule, find(request.headers, query), decision)
            return self._steps(request, decision)
        except Refused as refused:
            if isinstance(refused, KeyUnknown) and decision.rule is not None:
                decision.asks = decision.rule.verifier.source
            return decision.no(answers.INVALID_TOKEN, refused.reason)
        except BadTarget as bad:
            return decision.no(answers.BAD_PATH, bad.reason)
        except TwoCredentials:
            return decision.no(answers.TWO_CREDENTIALS)
        except MethodOverride:
            return decision.no(answers.METHOD_OVERRIDE)
        except Unavailable:
            return decision.no(answers.NO_KEYS)
        except Exception as fault:  # noqa: BLE001 - attack row GW24: a fault of ours refuses, whatever it is
            self._log.event("decide.fault", kind=type(fault).__name__)
            return decision.no(answers.FAULT)

    def _steps(self, request: Request, decision: Decision) -> Decision:
        """The pipeline of the gateway, in its order; the first doubt ends it."""
        rules = self.rules
        path, query = split_target(request.target)
        token = find(request.headers, query)
        decision.path = canonical(path)
        if request.seen is not None and request.seen != decision.path:
            raise BadTarget("the application would read another path")
        host = rules.host(request.host)
        if host is None or (request.replaced_host and not rules.knows(request.host)):
            return decision.no(answers.BAD_HOST)
        if request.method in _NEVER:
            return decision.no(answers.method_not_allowed(()))
        routes = rules.find(host, decision.path)
        if routes is None:
            return decision.no(answers.NO_ROUTE)
        route = routes.get(request.method)
        if route is None:
            return decision.no(answers.method_not_allowed(routes))
        return self._policy(rules.rule(route), token, decision)

    def _policy(self, rule: Rule, token: bytes | None, decision: Decision) -> Decision:
        """Whether this token opens this rule; looked at for every request, however often the token was seen."""
        decision.rule = rule
        if token is None:
            return decision.no(answers.NO_CREDENTIAL)
        principal, decision.cached = rule.verifier.verify(token, self._wall())
        decision.caller = principal
        if rule.audience not in principal.audiences:
            return decision.no(answers.INVALID_TOKEN, "audience")
        if not rule.scopes <= principal.scopes:
            return decision.no(rule.lacks_scope)
        if rule.roles and rule.roles.isdisjoint(principal.roles):
            return decision.no(rule.lacks_role)
        decision.principal = principal
        return decision

    def _recorded(self, request: Request, decision: Decision, began: float) -> Decision:
        decision.id = f"{self._prefix}-{next(self._count):x}"
        self._log.record(_line, self._wall(), request, decision, time.perf_counter() - began)
        return decision


def _line(at: float, request: Request, decision: Decision, seconds: float) -> str:
    """Write a decision for the log: whom it concerned as a digest, the path both ways, never a token or a query.

    Written by hand, because it is done for every request and costs half as much; `quoted` is what json itself uses.
    """
    caller, rule = decision.caller, decision.rule
    who, client, kid = (caller.subject_digest, caller.client_id, caller.kid) if caller else ("", "", "")
    return (
        f'{{"at":{at:.3f},"event":"decision","id":"{decision.id}","status":{decision.status},'
        f'"why":{quoted(decision.reason or "allowed")},"route":{quoted(rule.route.id) if rule else "null"},'
        f'"method":{quoted(request.method)},"host":{quoted(request.host.decode("latin-1"))},'
        f'"raw_path":{quoted(request.target.partition(b"?")[0].decode("latin-1"))},"path":{quoted(decision.path)},'
        f'"peer":{quoted(request.peer)},"sub_hash":"{who}","client":{quoted(client)},"kid":{quoted(kid)},'
        f'"cache":{"true" if decision.cached else "false"},"us":{seconds * 1_000_000:.0f}}}'
    )
