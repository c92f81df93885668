"""The parts of gateway.toml that say with what a request goes on: exchanges and the gateway's own statements."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final, cast

from idp.gateway import table as t
from idp.gateway import values
from idp.gateway.config import AssertionConfig, Identity, IssuerConfig, Route
from idp.gateway.exchange.model import Actor, Assertion, Exchange, Mode

_ALGS: Final = ("ES256", "RS256", "EdDSA", "PS256")
_LONGEST_EXCHANGE: Final = 3_600.0
_LONGEST_ASSERTION: Final = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Forwarding:
    """What holds for every route."""

    identity: Identity
    assertion: AssertionConfig | None

    @property
    def ttl(self) -> float:
        """How long an assertion holds unless a route says otherwise."""
        return Assertion(audience="?").ttl if self.assertion is None else self.assertion.ttl


def forwarding(top: t.Table, headers: t.Table, issuers: tuple[IssuerConfig, ...]) -> Forwarding:
    """Read what every route says about its callers, and with which key the gateway signs."""
    identity = headers.value("identity", t.one_of("headers", "signed_jwt", "exchange"), "headers")
    said = Forwarding(
        identity=cast("Identity", identity),
        assertion=_key(top.table("assertion")) if "assertion" in top else None,
    )
    if said.identity == "signed_jwt" and said.assertion is None:
        headers.problem("identity", 'needs the table "assertion", which says with what is signed')
    if headers.value("forward_authorization", t.flag, default=False) and any(one.reference_tokens for one in issuers):
        headers.problem("forward_authorization", "must be false: references of an issuer are for nobody behind")
    return said


def exchange(table: t.Table, said: Forwarding) -> Exchange | None:
    """Read what a route's token is exchanged for."""
    if "exchange" not in table:
        if said.identity == "exchange":
            table.problem("exchange", 'is missing: [headers] says identity = "exchange"')
        return None
    inner = table.table("exchange")
    usual = Exchange(audience="?")
    read = Exchange(
        audience=inner.required("audience", t.text, usual.audience),
        scopes=inner.value("scope", values.scopes, usual.scopes),
        ttl=inner.value("ttl", values.at_most(_LONGEST_EXCHANGE, '"1h"'), usual.ttl),
        actor=cast("Actor", inner.value("actor", t.one_of("gateway", "none"), "gateway")),
        mode=cast("Mode", inner.value("mode", t.one_of("refuse", "narrow"), "refuse")),
    )
    inner.finish()
    return read


def of_issuer(table: t.Table, config: IssuerConfig) -> IssuerConfig:
    """Read where an issuer is asked about single tokens, and whether it gives out such as have to be asked about."""
    read = replace(
        config,
        token_endpoint=table.value("token_endpoint", values.issuer_url, None),
        introspection_endpoint=table.value("introspection_endpoint", values.issuer_url, None),
        reference_tokens=table.value("reference_tokens", t.flag, default=False),
    )
    if read.reference_tokens and read.client is None:
        table.problem("reference_tokens", 'needs the field "client": the provider tells only whom it knows')
    return read


def check(table: t.Table, route: Route, issuers: tuple[IssuerConfig, ...]) -> None:
    """Refuse an exchange for which the gateway has no key of its own."""
    if route.exchange is None:
        return
    for issuer in issuers:
        if issuer.name == route.issuer and (issuer.client is None or issuer.client.key_file is None):
            where = f"[issuers.{issuer.name}.client]"
            table.problem("exchange", f'needs "key_file" in {where}: a shared secret is no proof for this')


def assertion(table: t.Table, said: Forwarding) -> Assertion | None:
    """Read for whom the gateway states who is calling: the upstream by its name in the file, unless it says more."""
    upstream = table.value("upstream", _as_written, None)
    given = "assertion" in table
    if not given and said.identity != "signed_jwt":
        return None
    inner = table.table("assertion")
    read = Assertion(
        audience=inner.value("audience", t.text, None) or upstream or "?",
        ttl=inner.value("ttl", values.at_most(_LONGEST_ASSERTION, '"5m"'), said.ttl),
    )
    inner.finish()
    if given and said.assertion is None:
        table.problem("assertion", 'needs the table "assertion" of the file, which says with what is signed')
    if read.audience == "?":
        inner.problem("audience", "is missing: the route has no single upstream to name")
    return read


def _as_written(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _key(table: t.Table) -> AssertionConfig:
    usual = AssertionConfig(issuer="?", key_files=())
    read = AssertionConfig(
        issuer=table.required("issuer", values.issuer_url, "https://invalid"),
        key_files=table.required("key_files", values.paths, usual.key_files),
        alg=table.value("alg", t.one_of(*_ALGS), usual.alg),
        ttl=table.value("ttl", values.at_most(_LONGEST_ASSERTION, '"5m"'), usual.ttl),
    )
    table.finish()
    return read
