"""Which route a request belongs to: a tree of segments, the same cost for ten routes and ten thousand.

The most specific template wins (a literal before a parameter before a rest), so the order of the file means nothing.
A path that only letter case or a last slash keeps away from a more specific template belongs to no route:
the server behind might treat both alike, and the general rule must not open what the special one guards.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from idp.gateway.config import Route


class Twice(ValueError):
    """Two routes claim the same requests."""


class Node:
    """One place in the tree; what ends here and what goes on below."""

    __slots__ = ("below", "ends", "literals", "parameter")

    def __init__(self) -> None:
        self.literals: dict[str, Node] = {}
        self.parameter: Node | None = None
        self.ends: dict[str, Route] | None = None
        self.below: dict[str, Route] | None = None  # `{rest...}`


class Tree:
    """The templates of one host: exactly as written, and loosely as a lenient server might read a path."""

    def __init__(self) -> None:
        self._exact = Node()
        self._loose = Node()
        # Templates without parameters end here at once: no walk, and nothing is more special than they are.
        self._literal: dict[str, dict[str, Route]] = {}

    def add(self, route: Route, *, weak: bool = False) -> None:
        """Grow by one route. A second claim is refused; a weak one (of a route for every host) gives way."""
        template = route.path
        ends = _leaf(self._exact, template.segments, rest=template.rest)
        for method in route.methods:
            if method not in ends:
                ends[method] = route
            elif not weak:
                raise Twice(f'{method} {template.text} is already in route "{ends[method].id}"')
        if not template.names:
            self._literal[template.text] = ends
        loose = [None if segment is None else _fold(segment) for segment in template.segments]
        if loose and loose[-1] == "" and not template.rest:
            loose.pop()
        _leaf(self._loose, loose, rest=template.rest)[template.text] = route

    def find(self, path: str) -> dict[str, Route] | None:
        """Give the routes of a canonical path by method, or None."""
        literal = self._literal.get(path)
        if literal is not None:
            return literal
        segments = path[1:].split("/")
        found = _walk(self._exact, segments, 0, lenient=False)
        if found is None:
            return None
        folded = [_fold(segment) for segment in segments]
        if folded[-1] == "":
            folded.pop()
        special = _walk(self._loose, folded, 0, lenient=True)
        # Compared by template, not by method: what guards POST on the special path guards the whole path.
        if special is None or next(iter(found.values())).path.text not in special:
            return None
        return found


class Routes:
    """Every route, by host and path."""

    def __init__(self, routes: Iterable[Route]) -> None:
        routes = tuple(routes)
        self.hosts = frozenset(route.host for route in routes if route.host is not None)
        self.any_host = any(route.host is None for route in routes)
        self._anywhere = Tree()
        self._of: dict[str, Tree] = {host: Tree() for host in self.hosts}
        for route in routes:
            (self._anywhere if route.host is None else self._of[route.host]).add(route)
        for route in (route for route in routes if route.host is None):
            for tree in self._of.values():  # one tree answers for a host, so that no variant slips past its routes
                tree.add(route, weak=True)

    def find(self, host: str, path: str) -> dict[str, Route] | None:
        """Give the routes of a path by method; a host named with its port goes before the bare name."""
        tree = self._of.get(host) or self._of.get(bare(host), self._anywhere)
        return tree.find(path)


def bare(host: str) -> str:
    """Give a host without its port (RFC 3986 section 3.2.3)."""
    name, colon, port = host.rpartition(":")
    return name if colon and not port.endswith("]") else host


def _leaf(node: Node, segments: Iterable[str | None], *, rest: bool) -> dict[str, Route]:
    for segment in segments:
        if segment is None:
            node.parameter = node.parameter or Node()
            node = node.parameter
        else:
            node = node.literals.setdefault(segment, Node())
    if rest:
        node.below = {} if node.below is None else node.below
        return node.below
    node.ends = {} if node.ends is None else node.ends
    return node.ends


def _walk(node: Node, segments: list[str], at: int, *, lenient: bool) -> dict[str, Route] | None:
    """Follow the most specific branch, and come back when it ends early. No deeper than the templates are."""
    if at == len(segments):
        return node.below if lenient and node.ends is None else node.ends
    segment = segments[at]
    child = node.literals.get(segment)
    if child is not None:
        found = _walk(child, segments, at + 1, lenient=lenient)
        if found is not None:
            return found
    if node.parameter is not None and segment:
        found = _walk(node.parameter, segments, at + 1, lenient=lenient)
        if found is not None:
            return found
    return node.below


def _fold(segment: str) -> str:
    """Read a segment as the most lenient server would."""
    if segment.isascii():
        return segment.lower()
    return unicodedata.normalize("NFKC", segment).casefold()
