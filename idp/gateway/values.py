"""What single fields of gateway.toml may hold."""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Any, Final

from idp.gateway import table as t
from idp.gateway.address import sound
from idp.gateway.config import Address
from idp.gateway.host import valid_host
from idp.gateway.template import Template

# gateway.toml speaks of the algorithms of RFC 9068 tokens; `none` and the HS family are not to be had.
_ALGS: Final = frozenset({"ES256", "RS256", "EdDSA", "PS256"})
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_SCOPE: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")  # RFC 6749 section 3.3
_HIGHEST_PORT: Final = 65_535
RESERVED: Final = "/.gatehouse"


def version(value: Any) -> int:
    """Read the version of the file's format."""
    if value != 1 or isinstance(value, bool):
        raise t.Wrong("must be 1")
    return 1


def always(value: Any) -> bool:
    """Read what may not be switched off."""
    if value is not True:
        raise t.Wrong("must be true: what no route names is denied")
    return True


def at_most(limit: float, said: str) -> Callable[[Any], float]:
    """Make the reader of a span of time with a longest value."""

    def read(value: Any) -> float:
        seconds = t.duration(value)
        if seconds > limit:
            raise t.Wrong(f"must be at most {said}")
        return seconds

    return read


def path(value: Any) -> Path:
    """Read the path of a file."""
    return Path(t.text(value))


def paths(value: Any) -> tuple[Path, ...]:
    """Read the paths of files, the one that counts most first."""
    return tuple(Path(each) for each in t.words(value))


def networks(value: Any) -> tuple[IPv4Network | IPv6Network, ...]:
    """Read a list of networks."""
    if value == []:
        return ()
    try:
        return tuple(ip_network(each) for each in t.words(value))
    except ValueError:
        raise t.Wrong('must be a list of networks such as "10.0.0.0/8"') from None


def address(value: Any) -> Address:
    """Read where to listen."""
    given = t.text(value)
    if given.startswith("unix:/"):
        return Address(unix=given.removeprefix("unix:"))
    host, _, port = given.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    try:
        ip_address(host)
    except ValueError:
        host = "" if host != "localhost" else host
    if not host or not port.isascii() or not port.isdecimal() or int(port) > _HIGHEST_PORT:
        raise t.Wrong('must be an address and port such as "127.0.0.1:8080", or "unix:/run/gatehouse.sock"')
    return Address(host=host, port=int(port))


def admin(value: Any) -> Address | None:
    """Read where to tell how the gateway is doing, if anywhere."""
    return None if value == "off" else address(value)


def host(value: Any) -> str:
    """Read a host, in lower case."""
    given = t.text(value).lower()
    if not valid_host(given.encode()):
        raise t.Wrong("must be a host name, with its port if that matters")
    return given


def hosts(value: Any) -> frozenset[str]:
    """Read a list of hosts."""
    return frozenset(host(each) for each in t.words(value))


def issuer_url(value: Any) -> str:
    """Read an address of an issuer."""
    given = t.text(value)
    if not sound(given):
        raise t.Wrong("must be an https address (http only on loopback) without user, query or fragment")
    return given


def algs(value: Any) -> frozenset[str]:
    """Read a list of algorithms."""
    given = frozenset(t.words(value))
    if not given <= _ALGS:
        raise t.Wrong("may hold " + ", ".join(sorted(_ALGS)))
    return given


def header_names(value: Any) -> tuple[str, ...]:
    """Read a list of header names."""
    names = t.words(value)
    if not all(re.fullmatch(r"[A-Za-z0-9_.-]+", name) for name in names):
        raise t.Wrong("must be a list of header names")
    return names


def header_name(value: Any) -> str:
    """Read the name of one header, in lower case."""
    return header_names([value])[0].lower()


def methods(value: Any) -> frozenset[str]:
    """Read a list of methods."""
    given = frozenset(t.words(value))
    if not given <= _METHODS:
        raise t.Wrong("may hold " + ", ".join(sorted(_METHODS)))
    return given


def scopes(value: Any) -> frozenset[str]:
    """Read a list of scopes (RFC 6749 section 3.3)."""
    given = t.words(value)
    if not all(_SCOPE.fullmatch(scope) for scope in given):
        raise t.Wrong("must be words without space, quote or backslash")
    return frozenset(given)


def template(value: Any) -> Template:
    """Read a path template."""
    template = Template.parse(t.text(value))
    if template.text == RESERVED or template.text.startswith(RESERVED + "/"):
        raise t.Wrong("is reserved for the gateway itself")
    return template
