"""Path templates: `/users/{uid}/orders/{oid}`, and `{rest...}` at the end for everything below."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import quote

from idp.gateway.path import BadTarget, canonical

_UNRESERVED: Final = "/!$&'()*+,=:@"
_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")


class BadTemplate(ValueError):
    """The template cannot be matched in one way only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A template as its segments; None stands for a parameter."""

    text: str
    segments: tuple[str | None, ...]
    names: tuple[str, ...]
    rest: bool = False

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a template; its literal parts must be as canonical as the paths they are compared with."""
        if not text.startswith("/"):
            raise BadTemplate("must start with /")
        segments: list[str | None] = []
        names: list[str] = []
        parts = text[1:].split("/")
        rest = parts.pop().removesuffix("...}") + "}" if parts[-1].endswith("...}") else None
        for part in parts:
            if part.startswith("{"):
                names.append(_name(part))
                segments.append(None)
            else:
                segments.append(part)
        if rest is not None:
            names.append(_name(rest))
        _check_literals(segments, rest=rest is not None)
        if len(set(names)) != len(names):
            raise BadTemplate("names a parameter twice")
        return cls(text=text, segments=tuple(segments), names=tuple(names), rest=rest is not None)


def _name(part: str) -> str:
    name = part[1:-1]
    if part != "{" + name + "}" or _NAME.fullmatch(name) is None:
        raise BadTemplate("a parameter is {name}, or {name...} at the end, with a lower-case name")
    return name


def _check_literals(segments: list[str | None], *, rest: bool) -> None:
    path = "/" + "/".join("x" if segment is None else segment for segment in segments)
    if any(mark in path for mark in "{}*"):
        raise BadTemplate("a parameter takes a whole segment")
    try:
        canonical(quote(path, safe=_UNRESERVED).encode("ascii"))
    except BadTarget as refused:
        raise BadTemplate(refused.reason) from None
    if rest and path.endswith("/") and path != "/":
        raise BadTemplate("has an empty segment")
