"""The parts of gateway.toml that are about limits."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import urlsplit

from idp.gateway import table as t
from idp.gateway import values
from idp.gateway.limits.model import MOST, Limit, Store

if TYPE_CHECKING:
    from idp.gateway.config import Route

_LIMIT: Final = "limit"
_RATE: Final = re.compile(r"([1-9][0-9]{0,6})/([smh])")
_BY: Final = re.compile(r"ip|client|subject|route|claim\.[\x21\x23-\x5b\x5d-\x7e]{1,128}")
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SCHEMES: Final = frozenset({"redis", "rediss", "unix"})
_BEFORE: Final = frozenset({"ip", "route"})  # known before the token is looked at
_LONGEST: Final = 2.0


def store(table: t.Table) -> Store:
    """Read where buckets are kept."""
    kind = table.value("store", t.one_of("local", "redis"), "local")
    usual = Store()
    read = Store(
        kind=cast("Any", kind),
        url=table.value("redis_url", redis_url, ""),
        url_file=table.value("redis_url_file", values.path, None),
        replicas=table.value("replicas", t.count, usual.replicas),
        seconds=table.value("timeout", values.at_most(_LONGEST, '"2s"'), usual.seconds),
    )
    if kind == "redis":
        _check_redis(table, read)
    else:
        for field in ("redis_url", "redis_url_file", "replicas", "timeout"):
            if field in table:
                table.problem(field, 'has no meaning without store = "redis"')
    table.finish()
    return read


def _check_redis(table: t.Table, read: Store) -> None:
    if bool(read.url) == (read.url_file is not None):
        table.problem("store", 'needs one of "redis_url" and "redis_url_file"')
    if "replicas" not in table:
        table.problem("store", 'needs the field "replicas": what each gateway may let through when Redis is away')
    if find_spec("redis") is None:
        table.problem("store", "needs a package that is not installed: gatehouse-idp[redis]")


def limits(table: t.Table, usual: tuple[Limit, ...] | None) -> tuple[Limit, ...] | None:
    """Read the limits of a route, or those of every route that says nothing; an empty list says: none on purpose."""
    if _LIMIT not in table:
        return usual
    read: list[Limit] = []
    for inner in table.tables(_LIMIT):
        limit = _limit(inner)
        if any(other.name == limit.name for other in read):
            inner.problem("by", 'is the one of another limit here: tell them apart by "name"')
        read.append(limit)
    # Those before verification come first: that is the order in which they are asked.
    return tuple(sorted(read, key=lambda limit: not limit.before))


def given(values: Sequence[Mapping[str, object]]) -> tuple[Limit, ...]:
    """Read limits that stand in a program."""
    problems: list[t.Problem] = []
    table = t.Table({_LIMIT: list(values)}, place=(), name="", text="", problems=problems)
    read = limits(table, ())
    if problems:
        raise ValueError("; ".join(f"{problem.where}: {problem.text}" for problem in problems))
    return read or ()


def _limit(table: t.Table) -> Limit:
    by = table.required("by", caller, "route")
    count, period = table.required("rate", rate, (MOST, "s"))
    name = table.value("name", limit_name, None)
    limit = Limit(
        name=name or by,
        by=by,
        count=count,
        period=period,
        burst=table.value("burst", burst, count),
        before=table.value("before", t.flag, by == "ip"),
        shared=name is not None,
    )
    if limit.before and by not in _BEFORE:
        table.problem("before", f"cannot be: {by} is known only after the token is verified")
    table.finish()
    return limit


def check(table: t.Table, *, held: bool) -> None:
    """Refuse what only the holder of the request could do: with forward-auth that is the asking server."""
    for field in ("concurrency", "timeout"):
        if field in table and not held:
            table.problem(field, "has no meaning here: the server that asks holds the request")


def same_names(top: t.Table, routes: Iterable[Route]) -> None:
    """Refuse a name that means two limits: routes that share buckets must mean the same."""
    known: dict[str, Limit] = {}
    for route in routes:
        for limit in route.limits or ():
            if limit.shared and known.setdefault(limit.name, limit) != limit:
                top.problem("routes", f'have two different limits with the name "{limit.name}"')


def rate(value: Any) -> tuple[int, str]:
    """Read a rate such as "100/s"."""
    match = _RATE.fullmatch(value) if isinstance(value, str) else None
    if match is None or int(match[1]) > MOST:
        raise t.Wrong('must be a rate such as "100/s", "30/m" or "1000/h", of 1000000 at most')
    return int(match[1]), match[2]


def burst(value: Any) -> int:
    """Read how many requests may come at once."""
    if t.count(value) > MOST:
        raise t.Wrong("must be 1000000 at most")
    return int(value)


def caller(value: Any) -> str:
    """Read whom a limit counts."""
    if not isinstance(value, str) or not _BY.fullmatch(value):
        raise t.Wrong('must be "ip", "client", "subject", "route" or a claim such as "claim.org"')
    return value


def limit_name(value: Any) -> str:
    """Read a name, which callers will see in RateLimit headers."""
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise t.Wrong("must be a name of letters, digits, dots, hyphens and underscores")
    return value


def redis_url(value: Any) -> str:
    """Read the address of a Redis. A file that people review and commit is no place for its password."""
    given = t.text(value)
    try:
        url = urlsplit(given)
        sound = url.scheme in _SCHEMES and bool(url.netloc or url.path) and url.port != 0
    except ValueError:
        sound = False
    if not sound:
        raise t.Wrong('must be an address such as "redis://cache.internal:6379/0" or "rediss://..."')
    if url.password or "password=" in url.query:
        raise t.Wrong('must not hold a password: put the whole address into a file and name it in "redis_url_file"')
    return given
