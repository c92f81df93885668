"""gateway.toml into a `Config`, or every problem it has. A file that is torn, empty or odd never becomes a rule."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, cast

from idp.gateway import table as t
from idp.gateway import values
from idp.gateway.binding import load as binding
from idp.gateway.config import (
    Address,
    Config,
    Contract,
    HeadersConfig,
    IssuerConfig,
    JwksConfig,
    Limits,
    OnStale,
    Route,
    ServerConfig,
    Shape,
)
from idp.gateway.exchange import load as exchange
from idp.gateway.exchange.load import Forwarding
from idp.gateway.headers import normalised
from idp.gateway.limits import load as limiting
from idp.gateway.limits.model import Limit
from idp.gateway.policy import load as policy
from idp.gateway.policy.model import Mode
from idp.gateway.revocation import load as revocation
from idp.gateway.routes import Routes, Twice
from idp.gateway.template import Template
from idp.gateway.upstreams import load as upstreams
from idp.gateway.upstreams.model import Upstream
from idp.gateway.websocket import load as websockets

_MAX_LEEWAY: Final = 60.0
_MAX_STALE: Final = 7 * 86_400.0
_NO_TEMPLATE: Final = Template(text="/", segments=("",), names=())
_NONE: Final[tuple[str, ...]] = ()
_DIGEST: Final = 16
_END: Final = "# end"


class ConfigError(Exception):
    """The file cannot be used; `problems` says why, line by line."""

    def __init__(self, file: str, problems: list[t.Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(f"{file}: {problem}" for problem in problems))


def load(path: Path) -> Config:
    """Read and check a file."""
    return parse(read(path), source=str(path))


def read(path: Path) -> str:
    """Read a file as text."""
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise ConfigError(str(path), [t.Problem(line=1, where="", text=f"cannot be read: {error.strerror}")]) from None
    except UnicodeDecodeError:
        raise ConfigError(str(path), [t.Problem(line=1, where="", text="is not UTF-8")]) from None


def parse(text: str, *, source: str = "gateway.toml") -> Config:
    """Check a text. Defaults fill the gaps only so that one reading finds every problem."""
    try:
        found = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        line = re.search(r"at line (\d+)", str(error))
        said = "is not TOML: " + re.sub(r"\s*\(at .*\)$", "", str(error))
        raise ConfigError(source, [t.Problem(line=int(line[1]) if line else 1, where="", text=said)]) from None
    problems: list[t.Problem] = []
    top = t.Table(found, place=(), name="", text=text, problems=problems)
    config = _config(top, source)
    if problems:
        raise ConfigError(source, sorted(problems, key=lambda problem: problem.line))
    return config


def fields(top: t.Table) -> None:
    """Ask a table for everything a file may hold: what is asked for here is what the schema knows."""
    _config(top, "")


def _config(top: t.Table, source: str) -> Config:
    top.required("version", values.version, 1)
    server = _server(top.table("server"))
    issuers = _issuers(top.table("issuers"))
    defaults = top.table("defaults")
    defaults.value("deny", values.always, default=True)
    on_stale = revocation.on_stale(defaults, OnStale())
    usual = limiting.limits(defaults, None)
    defaults.finish()
    log = top.table("log")
    headers = top.table("headers")
    said = exchange.forwarding(top, headers, issuers)
    config = Config(
        server=server,
        trusted_proxies=top.value("trusted_proxies", values.networks, ()),
        issuers=issuers,
        headers=_headers(headers),
        routes=_routes(top, server.shape, issuers, on_stale, said=said, usual=usual),
        assertion=said.assertion,
        limits=limiting.store(top.table("limits")),
        dpop=binding.dpop(top.table("dpop")),
        roles=policy.roles(top.table("roles")),
        log=log.value("file", t.text, "-"),
        source=source,
        digest=sha256(top.text.encode()).hexdigest()[:_DIGEST],
        ended=top.text.rstrip().rpartition("\n")[2] == _END,
    )
    log.finish()
    binding.check(top, config)
    top.finish()
    return config


def _server(table: t.Table) -> ServerConfig:
    limits = table.table("limits")
    config = ServerConfig(
        shape=cast("Shape", table.value("shape", t.one_of("proxy", "forward_auth"), "proxy")),
        contract=cast("Contract", table.value("contract", t.one_of("nginx", "caddy", "traefik", "envoy"), "nginx")),
        listen=table.value("listen", values.address, Address()),
        admin=table.value("admin", values.admin, ServerConfig().admin),
        hosts=table.value("hosts", values.hosts, frozenset()),
        drain_seconds=table.value("drain", t.duration, 30.0),
        connect_seconds=table.value("connect_timeout", t.duration, 3.0),
        response_seconds=table.value("response_timeout", t.duration, 60.0),
        limits=Limits(
            header_bytes=limits.value("header", t.size, 32_768),
            header_seconds=limits.value("header_timeout", t.duration, 10.0),
            body_bytes=limits.value("body", t.size, 10_485_760),
            body_seconds=limits.value("body_timeout", t.duration, 30.0),
            keep_alive_seconds=limits.value("keep_alive", t.duration, 75.0),
            connections=limits.value("connections", t.count, 10_000),
        ),
    )
    if "contract" in table and config.shape != "forward_auth":
        table.problem("contract", 'is for shape = "forward_auth" alone')
    limits.finish()
    table.finish()
    return config


def _issuers(table: t.Table) -> tuple[IssuerConfig, ...]:
    if not table.names():
        table.problem(None, "no issuer is configured, so no token could be believed")
    return tuple(_issuer(name, table.table(name)) for name in table.names())


def _issuer(name: str, table: t.Table) -> IssuerConfig:
    jwks = table.table("jwks")
    config = IssuerConfig(
        name=name,
        issuer=table.required("issuer", values.issuer_url, "https://invalid"),
        algs=table.value("algs", values.algs, frozenset({"ES256", "RS256"})),
        leeway=table.value("leeway", values.at_most(_MAX_LEEWAY, '"60s"'), 30.0),
        jwks=JwksConfig(
            uri=jwks.value("uri", values.issuer_url, None),
            refresh=jwks.value("refresh", values.at_most(3_600.0, '"1h"'), 300.0),
            max_stale=jwks.value("max_stale", values.at_most(_MAX_STALE, '"7d"'), 86_400.0),
            kid_cooldown=jwks.value("kid_cooldown", t.duration, 30.0),
            snapshot=jwks.value("snapshot", values.path, None),
            ca_file=jwks.value("ca_file", values.path, None),
        ),
    )
    config = exchange.of_issuer(table, revocation.of_issuer(table, config))
    if config.jwks.max_stale < config.jwks.refresh:
        jwks.problem("max_stale", "must not be shorter than refresh")
    jwks.finish()
    table.finish()
    return config


def _headers(table: t.Table) -> HeadersConfig:
    config = HeadersConfig(
        strip=frozenset(
            normalised(name.encode()).decode() for name in table.value("strip", values.header_names, _NONE)
        ),
        forward_authorization=table.value("forward_authorization", t.flag, default=False),
        client_certificate=table.value("client_certificate", values.header_name, None),
    )
    table.finish()
    return config


def _routes(
    top: t.Table,
    shape: Shape,
    issuers: tuple[IssuerConfig, ...],
    on_stale: OnStale,
    *,
    said: Forwarding,
    usual: tuple[Limit, ...] | None,
) -> tuple[Route, ...]:
    tables = top.tables("routes")
    if not tables:
        top.problem("routes", "is missing: without a route everything is denied")
    behind = upstreams.reader(upstreams.named(top.table("upstreams")))
    routes: list[Route] = []
    for table in tables:
        route = _route(table, shape, issuers, on_stale, behind, said=said, usual=usual)
        if any(other.id == route.id for other in routes):
            table.problem("id", "is used twice")
        routes.append(route)
        _check_claims(table, routes)
    limiting.same_names(top, routes)
    return tuple(routes)


def _check_claims(table: t.Table, routes: list[Route]) -> None:
    try:
        Routes(routes)
    except Twice as twice:
        table.problem("match", f"is taken: {twice}")
        routes.pop()


def _route(
    table: t.Table,
    shape: Shape,
    known: tuple[IssuerConfig, ...],
    on_stale: OnStale,
    behind: Callable[[Any], Upstream],
    *,
    said: Forwarding,
    usual: tuple[Limit, ...] | None,
) -> Route:
    issuers = tuple(issuer.name for issuer in known)
    match = table.table("match")
    path = match.required("path", values.template, _NO_TEMPLATE)
    read_upstream: Callable[..., Upstream | None] = table.required if shape == "proxy" else table.value
    route = Route(
        id=table.required("id", t.text, "?"),
        host=match.value("host", values.host, None),
        methods=match.required("method", values.methods, frozenset({"GET"})),
        path=path,
        audience=table.required("audience", t.text, "?"),
        issuer=table.value("issuer", t.one_of(*issuers), issuers[0] if issuers else "?"),
        require=policy.require(table.table("require")),
        when=policy.when(table, path.names),
        review=policy.review(table.table("review")) if "review" in table else None,
        mode=cast("Mode", table.value("mode", t.one_of("enforce", "shadow"), "enforce")),
        on_stale=revocation.on_stale(table, on_stale),
        upstream=read_upstream("upstream", behind, None),
        bind=binding.bind(table),
        exchange=exchange.exchange(table, said),
        assertion=exchange.assertion(table, said),
        body_bytes=table.value("body_limit", t.size, None),
        websocket=websockets.websocket(table),
        on_expiry=websockets.on_expiry(table),
        seconds=table.value("timeout", t.duration, None),
        concurrency=table.value("concurrency", t.count, None),
        limits=limiting.limits(table, usual),
    )
    if len(issuers) > 1 and "issuer" not in table:
        table.problem("issuer", "is missing: there is more than one issuer")
    revocation.check(table, route, known)
    websockets.check(table, route.websocket, route.methods, proxy=shape == "proxy")
    exchange.check(table, route, known)
    limiting.check(table, held=shape == "proxy")
    for part in (match, table):
        part.finish()
    return route
