"""The parts of gateway.toml that are about revocation: who the gateway is, whom it asks, and what silence means."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from idp.gateway import table as t
from idp.gateway import values
from idp.gateway.config import ClientConfig, IssuerConfig, OnStale, RevocationConfig, Route

_FIELD: Final = "on_revocation_stale"
_ALGS: Final = ("ES256", "RS256", "EdDSA", "PS256")
_POLL: Final = (0.05, 60.0)


def of_issuer(table: t.Table, config: IssuerConfig) -> IssuerConfig:
    """Read `client` and `revocation` of an issuer."""
    client = _client(table.table("client")) if "client" in table else None
    stream = _stream(table.table("revocation")) if "revocation" in table else None
    if stream is not None and client is None:
        table.problem("revocation", 'needs the field "client": the provider tells only whom it knows')
    return replace(config, client=client, revocation=stream)


def on_stale(table: t.Table, usual: OnStale) -> OnStale:
    """Read what silence means, for every route or for one; what is not said is as usual."""
    if _FIELD not in table:
        return usual
    inner = table.table(_FIELD)
    read = OnStale(
        after=inner.value("after", t.duration, usual.after),
        then=inner.value("then", t.one_of("allow", "deny", "introspect"), usual.then),  # type: ignore[arg-type]  # one of these words
        otherwise=inner.value("otherwise", t.one_of("allow", "deny"), usual.otherwise),  # type: ignore[arg-type]  # the same
    )
    inner.finish()
    return read


def check(table: t.Table, route: Route, issuers: tuple[IssuerConfig, ...]) -> None:
    """Refuse a route that says what silence means where nobody ever speaks."""
    heard = {issuer.name for issuer in issuers if issuer.revocation is not None}
    if _FIELD in table and route.issuer not in heard:
        table.problem(_FIELD, "has no meaning: its issuer has no [revocation]")


def _client(table: t.Table) -> ClientConfig:
    read = ClientConfig(
        id=table.required("id", t.text, "?"),
        secret_file=table.value("secret_file", values.path, None),
        key_file=table.value("key_file", values.path, None),
        alg=table.value("alg", t.one_of(*_ALGS), "ES256"),
    )
    if (read.secret_file is None) == (read.key_file is None):
        table.problem(None, 'needs one of "key_file" and "secret_file"')
    table.finish()
    return read


def _stream(table: t.Table) -> RevocationConfig:
    usual = RevocationConfig()
    read = RevocationConfig(
        poll=table.value("poll", _poll, usual.poll),
        journal=table.value("journal", values.path, None),
        events=table.value("events", values.issuer_url, None),
    )
    table.finish()
    return read


def _poll(value: Any) -> float:
    seconds = t.duration(value)
    lowest, highest = _POLL
    if not lowest <= seconds <= highest:
        raise t.Wrong('must be between "50ms" and "60s"')
    return seconds
