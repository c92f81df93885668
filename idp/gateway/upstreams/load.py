"""The parts of gateway.toml about the servers behind: addresses at a route, or a table that routes name."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, cast
from urllib.parse import urlsplit

from idp.gateway import table as t
from idp.gateway import values
from idp.gateway.host import valid_host
from idp.gateway.upstreams.model import Balance, Eject, HealthCheck, Origin, TlsConfig, Upstream

_PATH: Final = re.compile(r"/[\x21\x23-\x7e]*")
_NOWHERE: Final = (Origin(host="?", port=80),)
_TLS: Final = ("ca_file", "certificate", "key", "server_name")


def named(table: t.Table) -> dict[str, Upstream]:
    """Read `[upstreams]`."""
    return {name: _upstream(table.table(name)) for name in table.names()}


def reader(known: Mapping[str, Upstream]) -> Callable[[Any], Upstream]:
    """Make the reader of what stands behind a route: a name of `[upstreams]`, an address, or a list of addresses."""

    def upstream(value: Any) -> Upstream:
        if isinstance(value, str) and "://" not in value:
            found = known.get(t.text(value))
            if found is None:
                raise t.Wrong("must be an address, or a name of [upstreams]")
            return found
        return Upstream(origins=addresses(value))

    return upstream


def addresses(value: Any) -> tuple[Origin, ...]:
    """Read one address or several; all of them with TLS, or none."""
    origins = tuple(_origin(each) for each in ((value,) if isinstance(value, str) else t.words(value)))
    if len({origin.tls for origin in origins}) > 1:
        raise t.Wrong("must be https for all or for none")
    return origins


def _upstream(table: t.Table) -> Upstream:
    read = Upstream(
        origins=table.required("address", addresses, _NOWHERE),
        tls=TlsConfig(
            ca_file=table.value("ca_file", values.path, None),
            certificate=table.value("certificate", values.path, None),
            key=table.value("key", values.path, None),
            server_name=table.value("server_name", server_name, None),
        ),
        balance=cast("Balance", table.value("balance", t.one_of("least_loaded", "round_robin"), "least_loaded")),
        health=_health(table.table("health")) if "health" in table else None,
        eject=_eject(table.table("eject")),
    )
    if not read.origins[0].tls:
        for field in _TLS:
            if field in table:
                table.problem(field, "has no meaning: the address is not https")
    if read.tls.key is not None and read.tls.certificate is None:
        table.problem("key", 'needs the field "certificate"')
    table.finish()
    return read


def _health(table: t.Table) -> HealthCheck:
    usual = HealthCheck(path="/")
    read = HealthCheck(
        path=table.required("path", check_path, usual.path),
        every=table.value("every", t.duration, usual.every),
        seconds=table.value("timeout", t.duration, usual.seconds),
    )
    table.finish()
    return read


def _eject(table: t.Table) -> Eject:
    usual = Eject()
    read = Eject(
        failures=table.value("failures", t.count, usual.failures),
        first=table.value("first", t.duration, usual.first),
        longest=table.value("longest", t.duration, usual.longest),
    )
    if read.longest < read.first:
        table.problem("longest", "must not be shorter than first")
    table.finish()
    return read


def server_name(value: Any) -> str:
    """Read the name that a certificate must have."""
    given = t.text(value)
    if not valid_host(given.encode()) or ":" in given:
        raise t.Wrong("must be a host name without a port")
    return given


def check_path(value: Any) -> str:
    """Read what is asked for to find out whether a server is well."""
    given = t.text(value)
    if not _PATH.fullmatch(given):
        raise t.Wrong('must be a path such as "/health"')
    return given


def _origin(given: str) -> Origin:
    try:
        url = urlsplit(given)
        port = url.port
    except ValueError:
        raise t.Wrong("must be an address with a port of at most 65535") from None
    plain = url.path in {"", "/"} and not (url.query or url.fragment or "@" in url.netloc)
    if url.scheme not in {"http", "https"} or not url.hostname or not plain or port == 0:
        raise t.Wrong('must be an address without a path such as "http://orders:8000"')
    tls = url.scheme == "https"
    return Origin(host=url.hostname, port=port or (443 if tls else 80), tls=tls)
