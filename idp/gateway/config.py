"""What gateway.toml says, parsed once into frozen values. Nothing here reads a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Literal

from idp.gateway.binding.model import ANYBODY, USUAL, Bind, Dpop
from idp.gateway.exchange.model import Assertion, Exchange
from idp.gateway.limits.model import LOCAL, Limit, Store
from idp.gateway.policy.model import ANY_TOKEN, Condition, Mode, Require, Review
from idp.gateway.template import Template
from idp.gateway.upstreams.model import Upstream
from idp.gateway.websocket.model import WebSocket

Shape = Literal["proxy", "forward_auth"]
Identity = Literal["headers", "signed_jwt", "exchange"]
Contract = Literal["nginx", "caddy", "traefik", "envoy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where to listen: a host and port, or a unix socket."""

    host: str = "127.0.0.1"
    port: int = 8080
    unix: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one connection may cost before it is cut off."""

    header_bytes: int = 32_768
    header_seconds: float = 10.0  # from the first byte of a request to the end of its header
    body_bytes: int = 10_485_760
    body_seconds: float = 30.0  # between two pieces of a body, either way
    keep_alive_seconds: float = 75.0
    connections: int = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """The server: its shape, its address, its patience."""

    shape: Shape = "proxy"
    contract: Contract = "nginx"  # for forward_auth: which front asks
    listen: Address = Address()
    admin: Address | None = Address(port=9102)  # for whoever watches: metrics and the page of the status
    hosts: frozenset[str] = frozenset()  # names this gateway answers to, beside those of its routes
    drain_seconds: float = 30.0
    connect_seconds: float = 3.0
    response_seconds: float = 60.0
    limits: Limits = Limits()


@dataclass(frozen=True, slots=True, kw_only=True)
class JwksConfig:
    """How the keys of an issuer are fetched and for how long they are believed."""

    uri: str | None = None  # None: from the issuer's discovery document
    refresh: float = 300.0
    max_stale: float = 86_400.0
    kid_cooldown: float = 30.0
    snapshot: Path | None = None
    ca_file: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientConfig:
    """Who this gateway is at an issuer. What proves it stands in a file of its own: a secret, or a private key."""

    id: str
    secret_file: Path | None = None
    key_file: Path | None = None
    alg: str = "ES256"


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationConfig:
    """How often an issuer is asked what counts no longer, and where that is kept."""

    poll: float = 0.3
    journal: Path | None = None
    events: str | None = None  # None: from the issuer's discovery document


@dataclass(frozen=True, slots=True, kw_only=True)
class OnStale:
    """After so many seconds of silence: let pass, refuse, or ask about each token; if nobody answers, `otherwise`."""

    after: float = 60.0
    then: Literal["allow", "deny", "introspect"] = "introspect"
    otherwise: Literal["allow", "deny"] = "allow"


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerConfig:
    """One provider whose tokens are believed."""

    name: str
    issuer: str
    algs: frozenset[str] = frozenset({"ES256", "RS256"})
    leeway: float = 30.0
    jwks: JwksConfig = JwksConfig()
    client: ClientConfig | None = None
    revocation: RevocationConfig | None = None  # None: a token counts until it expires
    token_endpoint: str | None = None  # None: from the issuer's discovery document
    introspection_endpoint: str | None = None
    reference_tokens: bool = False  # some of its tokens say nothing by themselves


@dataclass(frozen=True, slots=True, kw_only=True)
class AssertionConfig:
    """With what the gateway signs its own statements about callers."""

    issuer: str  # the gateway's own name
    key_files: tuple[Path, ...]  # the first signs, the others are published
    alg: str = "ES256"
    ttl: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadersConfig:
    """Which headers only the gateway may set, and whether the token travels on."""

    strip: frozenset[str] = frozenset()
    forward_authorization: bool = False
    client_certificate: str | None = None  # where a trusted front that ends TLS writes the caller's certificate

    @property
    def withheld(self) -> frozenset[str]:
        """Which headers of a caller stay here, beside what is ours: proof and certificate are for us."""
        certificate = () if self.client_certificate is None else (self.client_certificate.replace("_", "-"),)
        return self.strip | {"dpop", *certificate}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Route:
    """One line of the declaration: which requests, for which audience, under which conditions."""

    id: str
    host: str | None
    methods: frozenset[str]
    path: Template
    audience: str
    issuer: str
    require: Require = ANY_TOKEN
    when: tuple[Condition, ...] = ()  # all must hold
    review: Review | None = None
    mode: Mode = "enforce"  # "shadow": a sound token passes, whatever the policy says, and the log says what it said
    on_stale: OnStale = OnStale()
    bind: Bind = ANYBODY  # in whose hands a token must be
    exchange: Exchange | None = None  # with which token a request goes on
    assertion: Assertion | None = None
    upstream: Upstream | None = None
    body_bytes: int | None = None
    websocket: WebSocket | None = None
    on_expiry: Literal["cut", "finish"] | None = None  # None: an answer without an end is cut, any other may finish
    seconds: float | None = None  # from the decision to the end of the answer
    concurrency: int | None = None  # requests under way at once, in one process
    limits: tuple[Limit, ...] | None = None  # those before verification first; None: the file says nothing about it


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A whole gateway.toml."""

    server: ServerConfig = ServerConfig()
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    issuers: tuple[IssuerConfig, ...]
    headers: HeadersConfig = HeadersConfig()
    routes: tuple[Route, ...]
    assertion: AssertionConfig | None = None
    limits: Store = LOCAL  # where the limits of routes are counted
    dpop: Dpop = USUAL  # how proofs of possession are taken
    roles: Mapping[str, frozenset[str]] = field(default_factory=dict)  # for looking at rules, never for deciding
    log: str = "-"  # a file, or "-" for standard output
    source: str = field(default="", compare=False)
    digest: str = field(default="", compare=False)  # of the text: names the policy in the decision log
    ended: bool = field(default=False, compare=False)  # the last line is `# end`: see `reload`
