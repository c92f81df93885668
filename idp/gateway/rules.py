"""The configuration compiled for deciding. Replaced whole on reload, never changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from idp.gateway.aliases import Aliases
from idp.gateway.binding.challenge import said
from idp.gateway.binding.check import Binding, Surroundings
from idp.gateway.client_address import ClientAddress
from idp.gateway.config import Config, Route
from idp.gateway.forwarding import Forwarding
from idp.gateway.headers import Strip
from idp.gateway.host import valid_host
from idp.gateway.peers import Peers
from idp.gateway.policy.judge import Judge
from idp.gateway.policy.metadata import documents
from idp.gateway.routes import Routes, bare
from idp.gateway.stages import Door, Stage, Works
from idp.gateway.verifier import Verifier

_REMEMBERED: Final = 256


class Rule:
    """One route and everything about it that can be prepared."""

    __slots__ = (
        "audience",
        "binding",
        "doors",
        "invalid_token",
        "judge",
        "metadata",
        "no_credential",
        "on_stale",
        "route",
        "shadow",
        "stages",
        "strip",
        "verifier",
    )

    def __init__(
        self,
        route: Route,
        verifier: Verifier,
        strip: Strip,
        metadata: str = "",
        stages: tuple[Stage, ...] = (),
        *,
        around: Surroundings,
    ) -> None:
        self.route = route
        self.stages = stages  # what is done after the judgement
        self.doors = tuple(stage for stage in stages if isinstance(stage, Door))
        self.strip = strip  # decided and forwarded by one and the same file, whatever is loaded in between
        self.verifier = verifier
        self.audience = route.audience
        self.metadata = metadata
        self.judge = Judge(route.require, route.when, route.review, template=route.path, metadata=metadata)
        self.shadow = route.mode == "shadow"
        self.on_stale = route.on_stale
        self.no_credential, self.invalid_token = said(route.bind, metadata)
        self.binding = Binding(route.bind, around, metadata=metadata)


class Rules:
    """Every rule, found by host, path and method."""

    def __init__(self, config: Config, verifiers: Mapping[str, Verifier], works: Sequence[Works] = ()) -> None:
        self.config = config
        self._works = works
        self.peers = Peers(config.trusted_proxies)
        self.addresses = ClientAddress(self.peers)
        self._around = Surroundings(config, self.peers)
        self.strip = Strip(config.headers.withheld, authorization=not config.headers.forward_authorization)
        self.aliases = Aliases(config.headers.strip)
        self._strict = Strip(config.headers.withheld, authorization=True)
        self._forwarding = Forwarding(config)
        self.jwks = self._forwarding.jwks
        self._routes = Routes(config.routes)
        self._named = self._routes.hosts | config.server.hosts
        # A route for every host, and no list of names: then every well-formed name will do.
        self._open = self._routes.any_host and not config.server.hosts
        self._hosts: dict[bytes, str] = {}
        self.documents = documents(config, ours=lambda host: self.host(host.encode()) is not None)
        described = {audience: document.url for audience, document in self.documents.items()}
        self._rules = {
            route: self.made(route, verifiers[route.issuer], described.get(route.audience, ""))
            for route in config.routes
        }

    def made(self, route: Route, verifier: Verifier, metadata: str = "") -> Rule:
        """Prepare the rule of a route."""
        stages = tuple(stage for work in self._works for stage in work.stages(route))
        stages += self._forwarding.stages(route, verifier.exchanger)
        # Where the gateway says who is calling, the caller's own token stays here whatever the file says elsewhere.
        strip = self._strict if route.exchange or route.assertion else self.strip
        return Rule(route, verifier, strip, metadata, stages, around=self._around)

    def host(self, raw: bytes) -> str | None:
        """Read a Host header; None when it is malformed or not one of ours (RFC 9112 section 3.2)."""
        known = self._hosts.get(raw)
        if known is not None:
            return known
        if not valid_host(raw):
            return None
        host = raw.decode("ascii").lower()
        if not self._open and host not in self._named and bare(host) not in self._named:
            return None
        if len(self._hosts) < _REMEMBERED:
            self._hosts[raw] = host
        return host

    def knows(self, raw: bytes) -> bool:
        """Tell whether a host is named in the configuration: what an absolute-form target must be."""
        host = raw.decode("latin-1").lower()
        return host in self._named or bare(host) in self._named

    def find(self, host: str, path: str) -> Mapping[str, Route] | None:
        """Give the routes of a path by method."""
        return self._routes.find(host, path)

    def rule(self, route: Route) -> Rule:
        """Give the rule of a route."""
        return self._rules[route]
