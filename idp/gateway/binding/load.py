"""The parts of gateway.toml that are about bound tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, cast

from idp.gateway import table as t
from idp.gateway import values
from idp.gateway.binding.model import ANYBODY, Bind, Demand, Dpop

if TYPE_CHECKING:
    from idp.gateway.config import Config

_FIELD: Final = "bind"


def dpop(table: t.Table) -> Dpop:
    """Read how proofs are taken."""
    read = Dpop(
        nonce=table.value("nonce", t.flag, default=False),
        nonce_key_file=table.value("nonce_key_file", values.path, None),
        scheme=cast("Any", table.value("scheme", t.one_of("http", "https"), None)),
    )
    if read.nonce_key_file is not None and not read.nonce:
        table.problem("nonce_key_file", "has no meaning without nonce = true")
    table.finish()
    return read


def bind(table: t.Table) -> Bind:
    """Read what a route demands."""
    if _FIELD not in table:
        return ANYBODY
    inner = table.table(_FIELD)
    demanded = inner.value("dpop", t.one_of("required", "optional"), None)
    mtls = inner.value("mtls", t.one_of("required"), None)
    if demanded is None and mtls is None:
        table.problem(_FIELD, 'must hold "dpop", "mtls", or both')
    inner.finish()
    return Bind(dpop=cast("Demand | None", demanded), mtls=mtls is not None)


def given(demand: Mapping[str, object] | None) -> Bind:
    """Read a demand that stands in a program."""
    problems: list[t.Problem] = []
    read = bind(t.Table({} if demand is None else {_FIELD: demand}, place=(), name="", text="", problems=problems))
    if problems:
        raise ValueError("; ".join(f"{problem.where}: {problem.text}" for problem in problems))
    return read


def check(top: t.Table, config: Config) -> None:
    """Refuse a file that demands certificates which nobody hands on, or listens for them with nobody to be believed."""
    if config.headers.client_certificate is None:
        if any(route.bind.mtls for route in config.routes):
            top.problem("headers", 'needs "client_certificate", where the TLS front writes it: a route demands mtls')
    elif not config.trusted_proxies and config.server.listen.unix is None:
        top.problem("trusted_proxies", "must name the front that writes [headers] client_certificate")
