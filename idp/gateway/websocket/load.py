"""The parts of gateway.toml about WebSockets and about answers that outlive their token."""

from __future__ import annotations

import re
from typing import Any, Final, Literal, cast
from urllib.parse import urlsplit

from idp.gateway import table as t
from idp.gateway.websocket.model import WebSocket

OnExpiry = Literal["cut", "finish"]

_COOKIE: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 6265 section 4.1.1
_NONE: Final[frozenset[str]] = frozenset()


def websocket(table: t.Table) -> WebSocket | None:
    """Read `websocket`: true, or a table; without it a route takes none."""
    inner = table.switched("websocket")
    if inner is None:
        return None
    usual = WebSocket()
    read = WebSocket(
        origins=inner.value("origins", origins, _NONE),
        subprotocol=inner.value("subprotocol", t.flag, default=False),
        cookie=inner.value("cookie", cookie, None),
        idle=inner.value("idle", t.duration, usual.idle),
        max_age=inner.value("max_age", t.duration, usual.max_age),
    )
    if read.cookie is not None and not read.origins:
        # A browser sends cookies for any page that asks (RFC 6455 section 10.2).
        inner.problem("cookie", 'needs the field "origins": a cookie comes along whoever opened the socket')
    inner.finish()
    return read


def on_expiry(table: t.Table) -> OnExpiry | None:
    """Read what becomes of an answer whose token expires under way; None: it depends on the answer."""
    given = table.value("on_expiry", t.one_of("cut", "finish"), "")
    return cast("OnExpiry", given) if given else None


def check(table: t.Table, read: WebSocket | None, methods: frozenset[str], *, proxy: bool) -> None:
    """Refuse a route that could never take one."""
    if read is None:
        return
    if "GET" not in methods:
        table.problem("websocket", "needs the method GET: that is how they begin")
    if not proxy:
        table.problem("websocket", 'has no meaning: only shape "proxy" passes them on')


def origins(value: Any) -> frozenset[str]:
    """Read a list of origins (RFC 6454 section 6.2)."""
    return frozenset(_origin(each) for each in t.words(value))


def cookie(value: Any) -> str:
    """Read the name of a cookie."""
    given = t.text(value)
    if not _COOKIE.fullmatch(given):
        raise t.Wrong("must be the name of a cookie")
    return given


def _origin(given: str) -> str:
    try:
        parts = urlsplit(given)
        sound = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if not sound or given != f"{parts.scheme}://{parts.netloc}" or "@" in parts.netloc or given != given.lower():
        raise t.Wrong('must be a list of origins such as "https://app.example"')
    return given
