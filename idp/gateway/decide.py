"""The one decision that every shape asks for: whether a request may go on, and as whom."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Mapping
from typing import Final

from idp.gateway import answers, stages
from idp.gateway.binding import challenge
from idp.gateway.binding.check import NotTheHolder
from idp.gateway.binding.works import ReplayWorks
from idp.gateway.config import Config, Route
from idp.gateway.credential import MethodOverride, Proved, TwoCredentials, find
from idp.gateway.exchange.exchanger import Exchanger
from idp.gateway.fetch import SECONDS, Fetch
from idp.gateway.issuers import Issuers, World
from idp.gateway.jwks import KeySource
from idp.gateway.limits.works import LimitWorks
from idp.gateway.log import Log
from idp.gateway.metrics import Registry
from idp.gateway.observed import Observed, watch
from idp.gateway.path import BadTarget, canonical, split_target
from idp.gateway.policy.facts import Facts
from idp.gateway.record import line
from idp.gateway.reference import ask
from idp.gateway.request import Decision, Request
from idp.gateway.revocation.doubt import InDoubt
from idp.gateway.revocation.feed import Feed
from idp.gateway.rules import Rule, Rules
from idp.gateway.stages import Works
from idp.gateway.verifier import KeyUnknown, Refused, Unavailable

_RECENT: Final = 5.0
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
        works: tuple[Works, ...] = (),
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log
        self._wall = wall
        self.metrics = Registry()
        self.observed = Observed(self.metrics)
        self.loaded_at = wall()
        world = World(log=log, fetch=fetch, wall=wall, monotonic=monotonic, took=self.observed.exchanged)
        self._issuers = Issuers(config.issuers, world)
        self.limits = LimitWorks(config.limits, log=log, monotonic=monotonic)
        self.replay = ReplayWorks(config.dpop, config.limits, log=log, in_force=lambda: self.rules.config.dpop)
        self._works: tuple[Works, ...] = (self.replay, self.limits, *works)  # in the order of the pipeline
        self.rules = self._ruled(config, self._issuers)
        self._prefix = os.urandom(4).hex()
        self._count = itertools.count(1)
        self._started_in: int | None = None
        watch(self, self.metrics)

    def start(self) -> None:
        """Begin to fetch and to listen. Threads do not survive a fork, so a forked worker starts its own."""
        if self._started_in == os.getpid():
            return
        self._started_in = os.getpid()
        self._issuers.start()
        for work in self._works:
            work.start()

    def stop(self) -> None:
        """End the threads."""
        for work in self._works:
            work.stop()
        self._issuers.stop()

    @property
    def sources(self) -> Mapping[str, KeySource]:
        """The keys of every issuer."""
        return self._issuers.sources

    @property
    def feeds(self) -> Mapping[str, Feed]:
        """What every issuer says is revoked."""
        return self._issuers.feeds

    @property
    def exchangers(self) -> Mapping[str, Exchanger]:
        """Give what asks each issuer for exchanges."""
        return self._issuers.exchangers

    def replace(self, config: Config) -> None:
        """Decide by another file from now on: everything is made ready first, then one assignment changes it.

        What listens, and how, stays as the server was built.
        """
        before, after = self._issuers, self._issuers.succeeded(config.issuers)
        rules = self._ruled(config, after)
        if self._started_in == os.getpid():
            after.start(before)
        self._issuers, self.rules = after, rules
        self.loaded_at = self._wall()
        before.stop(after)

    def _ruled(self, config: Config, issuers: Issuers) -> Rules:
        for work in self._works:
            work.adopt(config)
        return Rules(config, issuers.verifiers, self._works)

    def rule_for(self, route: Route) -> Rule:
        """Prepare a rule that no path leads to: see `decide`."""
        return self.rules.made(route, self._issuers.verifiers[route.issuer])

    def heard(self) -> bool:
        """Tell whether everything that was revoked before now is known."""
        return all(feed.silence() < _RECENT for feed in self.feeds.values())

    def ready(self) -> bool:
        """Tell whether tokens of every issuer can be checked."""
        return all(source.usable() is not None for source in self.sources.values())

    def decide_now(self, request: Request, rule: Rule | None = None) -> Decision:
        """Decide without waiting. With `waits` set nothing is decided until that has come: see `settle`."""
        began = time.perf_counter()
        decision = self._judge(request, rule)
        decision.began = began
        if decision.asks is not None:
            decision.waits = ask(decision.asks, decision.facts)
            if decision.waits is not None:
                return decision
        return self._staged(request, decision)

    def decide(self, request: Request, rule: Rule | None = None) -> Decision:
        """Decide. May wait for newer keys, three seconds at most and only one request per cooldown, and for stages.

        A rule is given where something else has already chosen it, as for a decorated function.
        """
        decision = self.decide_now(request, rule)
        while decision.waits is not None:
            stages.wait_for(decision.waits, _patience(decision))
            decision = self._again(request, decision, rule)
        return decision

    async def settle(self, request: Request, decision: Decision) -> Decision:
        """Finish a decision that waits for something, without holding up the event loop."""
        while decision.waits is not None:
            try:
                await stages.waited(decision.waits, _patience(decision))
            except BaseException:  # whoever asked has left
                decision.over()
                raise
            decision = self._again(request, decision)
        return decision

    def _again(self, request: Request, decision: Decision, rule: Rule | None = None) -> Decision:
        """Go on with what has come: a stage where it stopped, and newer keys from the beginning."""
        if decision.stage is not None:
            self._safely(decision, stages.resume, request, decision)
            return decision if decision.waits is not None else self._recorded(request, decision)
        began = time.perf_counter()
        decision = self._judge(request, rule)
        decision.began = began
        return self._staged(request, decision)

    def _staged(self, request: Request, decision: Decision) -> Decision:
        """Do what the rule has to do after the judgement, as far as that goes without waiting."""
        todo = decision.rule.stages if decision.rule is not None else ()
        if decision.proof is not None:
            todo = (self.replay.stage, *todo)
        if todo:
            decision.id = self._id()  # what a stage sends on may name it
            self._safely(decision, stages.begin, request, decision, todo)
            if decision.waits is not None:
                return decision
        return self._recorded(request, decision)

    def _safely(self, decision: Decision, step: Callable[..., None], *args: object) -> None:
        """Attack row GW24: a fault of ours refuses, whatever it is."""
        try:
            step(*args)
        except Exception as fault:  # noqa: BLE001 - a stage may fail in any way
            self._log.event("decide.fault", kind=type(fault).__name__)
            decision.waits, decision.stage, decision.left = None, None, ()
            decision.no(answers.FAULT)

    def _judge(self, request: Request, rule: Rule | None) -> Decision:  # noqa: C901, PLR0911 - one return per kind of refusal
        decision = Decision()
        try:
            if rule is not None:
                _, query = split_target(request.target)
                decision.facts = self._facts(request, self.rules, host="", path="/")
                return self._policy(rule, find(request.headers, query), decision, decision.facts)
            return self._steps(request, decision)
        except Refused as refused:
            if isinstance(refused, KeyUnknown) and decision.rule is not None:
                decision.asks = decision.rule.verifier.source
            invalid = answers.INVALID_TOKEN if decision.rule is None else decision.rule.invalid_token
            return decision.no(invalid, refused.reason)
        except NotTheHolder as stranger:
            return decision.no(stranger.refusal, stranger.reason)
        except BadTarget as bad:
            return decision.no(answers.BAD_PATH, bad.reason)
        except TwoCredentials:
            return decision.no(answers.TWO_CREDENTIALS)
        except MethodOverride:
            return decision.no(answers.METHOD_OVERRIDE)
        except Unavailable:
            return decision.no(answers.NO_KEYS)
        except InDoubt as doubt:
            decision.asks = doubt.question
            return decision.no(answers.IN_DOUBT)
        except Exception as fault:  # noqa: BLE001 - attack row GW24: a fault of ours refuses, whatever it is
            self._log.event("decide.fault", kind=type(fault).__name__)
            return decision.no(answers.FAULT)

    def _steps(self, request: Request, decision: Decision) -> Decision:
        """The pipeline of the gateway, in its order; the first doubt ends it."""
        rules = self.rules
        decision.policy = rules.config.digest
        path, query = split_target(request.target)
        token = find(request.headers, query)
        decision.path = canonical(path)
        if request.seen is not None and request.seen != decision.path:
            raise BadTarget("the application would read another path")
        if request.relayed and rules.aliases.among(request.headers):
            return decision.no(answers.HEADER_ALIAS)
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
        decision.facts = self._facts(request, rules, host=host, path=decision.path)
        return self._policy(rules.rule(route), token, decision, decision.facts)

    def _facts(self, request: Request, rules: Rules, *, host: str, path: str) -> Facts:
        return Facts(request, host=host, path=path, now=self._wall(), addresses=rules.addresses)

    def _policy(self, rule: Rule, token: bytes | None, decision: Decision, facts: Facts) -> Decision:
        """Whether this token opens this rule; looked at for every request, however often the token was seen."""
        decision.rule = rule
        for door in rule.doors:
            door.before(facts.request, decision)
            if decision.refusal is not None:
                return decision
        if token is None:
            return decision.no(rule.no_credential)
        decision.proved = isinstance(token, Proved)
        principal, decision.cached = rule.verifier.verify(token, facts.now)
        decision.caller = principal
        feed = rule.verifier.feed
        if feed is not None and not feed.passes(principal, token, rule.on_stale):
            return decision.no(rule.invalid_token, "revoked")
        if rule.audience not in principal.audiences:
            return decision.no(rule.invalid_token, "audience")
        if principal.bound is not None or decision.proved or rule.binding.demands:
            decision.proof = rule.binding.check(facts.request, principal, token, facts.now)
        failure = rule.judge(principal, facts)
        if failure is not None:
            decision.failed = failure.label
            if not rule.shadow:
                return decision.no(failure.refusal)
            decision.shadow = failure.refusal.reason
        decision.principal = principal
        return decision

    def _id(self) -> str:
        return f"{self._prefix}-{next(self._count):x}"

    def _recorded(self, request: Request, decision: Decision) -> Decision:
        if decision.proved and decision.refusal is not None:
            decision.refusal = challenge.proved(decision.refusal)
        if decision.holds and not decision.allowed:
            decision.over()
        decision.id = decision.id or self._id()
        now = self._wall()
        self.observed.decided(now, request, decision)
        self._log.record(line, now, request, decision, time.perf_counter() - decision.began)
        return decision


def _patience(decision: Decision) -> float:
    return SECONDS if decision.stage is None else decision.stage.seconds
