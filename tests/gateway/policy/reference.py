"""The policy language once more, slow and obvious: straight from the words of the file, to compare the gateway with.

True, False, or None for "cannot be known"; only True opens anything. Uses nothing of the gateway.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
LEVELS = ["aal1", "aal2", "aal3"]
SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


@dataclass
class Ask:
    """A request."""

    method: str = "GET"
    path: str = "/"
    host: str = "api.example"
    peer: str = "203.0.113.9"
    forwarded: list[str] = field(default_factory=list)
    now: float = 0.0


def answer(document: dict[str, Any], claims: dict[str, Any], ask: Ask) -> tuple[int, str]:
    """Give status and error code for a request with a sound token."""
    fitting = [route for route in document["routes"] if fits(route["match"]["path"], ask.path) is not None]
    if not fitting:
        return 403, "access_denied"
    # The most special template: at the first segment where they differ, a literal wins.
    best = min(fitting, key=lambda route: [seg.startswith("{") for seg in route["match"]["path"].split("/")])
    same = [route for route in fitting if route["match"]["path"] == best["match"]["path"]]
    for route in same:
        if ask.method in route["match"]["method"]:
            return judge(route, document.get("trusted_proxies", []), claims, ask)
    return 405, "invalid_request"


def fits(template: str, path: str) -> dict[str, str] | None:
    """Match a path segment by segment."""
    wanted, given = template.split("/"), path.split("/")
    if len(wanted) != len(given):
        return None
    found = {}
    for one, other in zip(wanted, given, strict=True):
        if one.startswith("{") and other:
            found[one[1:-1]] = other
        elif one != other:
            return None
    return found


def judge(route: dict[str, Any], trusted: list[str], claims: dict[str, Any], ask: Ask) -> tuple[int, str]:
    """Look at everything a route asks for."""
    if claims["aud"] != route["audience"]:
        return 401, "invalid_token"
    if route.get("mode") == "shadow":
        return 200, ""
    world = World(claims, ask, fits(route["match"]["path"], ask.path) or {}, trusted)
    require = route.get("require", {})
    order: list[tuple[dict[str, Any], str]] = []
    review = route.get("review", {})
    if review.get("expired") == "deny":
        order.append(({"_review": review["by"]}, "access_denied"))
    order += [
        ({name: require[name]}, "insufficient_scope") for name in ("scope", "role_any", "role_all") if name in require
    ]
    order += [({"claims": {name: value}}, "insufficient_scope") for name, value in require.get("claims", {}).items()]
    order += [(condition, "access_denied") for condition in route.get("when", [])]
    order += [({name: require[name]}, "?") for name in ("acr", "max_age") if name in require]
    if all(world.holds(condition) is True for condition, _ in order):
        return 200, ""
    # Nobody is sent to sign in for what would be refused all the same.
    for condition, error in order:
        if world.holds(condition, granted={"acr", "max_age"}) is not True:
            token = {"acr", "max_age", "scope", "role", "role_any", "role_all", "claims"}
            helps = error == "access_denied" and world.holds(condition, granted=token) is True
            return 403, "insufficient_scope" if helps else error
    return 401, "insufficient_user_authentication"


class World:
    """What conditions are about."""

    def __init__(self, claims: dict[str, Any], ask: Ask, variables: dict[str, str], trusted: list[str]) -> None:
        self.claims, self.ask, self.variables, self.trusted = claims, ask, variables, trusted

    def holds(self, condition: dict[str, Any], *, granted: set[str] | None = None, denied: bool = False) -> bool | None:
        """Say whether a condition holds. `granted` kinds are taken for true, except below a `not`."""
        ((kind, value),) = condition.items()
        if kind == "not":
            inner = self.holds(value, granted=granted, denied=not denied)
            return None if inner is None else not inner
        if kind in {"any", "all"}:
            found = [self.holds(each, granted=granted, denied=denied) for each in value]
            decisive = kind == "any"
            return decisive if decisive in found else None if None in found else not decisive
        if granted and kind in granted and not denied:
            return True
        return getattr(self, "is_" + kind.strip("_"))(value)

    def is_scope(self, value: Any) -> bool:
        held = self.claims.get("scope", "").split()
        return all(scope in held for scope in ([value] if isinstance(value, str) else value))

    def is_role(self, value: str) -> bool:
        return value in self.claims.get("roles", [])

    def is_role_any(self, value: list[str]) -> bool:
        return any(role in self.claims.get("roles", []) for role in value)

    def is_role_all(self, value: list[str]) -> bool:
        return all(role in self.claims.get("roles", []) for role in value)

    def is_claims(self, value: dict[str, Any]) -> bool | None:
        found = [self._claim(name, wanted) for name, wanted in value.items()]
        return False if False in found else None if None in found else True

    def _claim(self, name: str, wanted: Any) -> bool | None:
        wanted = wanted if isinstance(wanted, list) else [wanted]
        value = self.claims.get(name)
        if isinstance(value, dict | float) or value is None:
            return None
        held = value if isinstance(value, list) else [value]
        return any(type(one) is type(other) and one == other for one in held for other in wanted)

    def is_eq(self, value: list[str]) -> bool | None:
        left, right = (self._side(side) for side in value)
        return None if left is None or right is None else left == right

    def _side(self, side: str) -> str | None:
        kind, name = side.split(".", 1)
        value = self.variables.get(name) if kind == "path" else self.claims.get(name)
        return str(value) if type(value) in {str, int} else None

    def is_method(self, value: list[str]) -> bool:
        return self.ask.method in value

    def is_host(self, value: list[str]) -> bool:
        return self.ask.host in value

    def is_ip_in(self, value: list[str]) -> bool | None:
        address = self.client()
        return None if address is None else inside(address, value)

    def client(self) -> Any:
        """The peer, or what the trusted ones in front of us have seen."""
        address = plain(self.ask.peer)
        for hop in reversed(self.ask.forwarded):
            if address is None or not inside(address, self.trusted):
                break
            address = plain(hop)
        return address

    def is_time(self, value: dict[str, Any]) -> bool:
        local = dt.datetime.fromtimestamp(self.ask.now, ZoneInfo(value["tz"]))
        day, opens, closes = local.date(), value.get("from"), value.get("to")
        if opens is not None:
            if opens < closes:
                if not opens <= local.time() < closes:
                    return False
            elif local.time() < closes:
                day = day - dt.timedelta(days=1)
            elif local.time() < opens:
                return False
        if "days" in value and DAYS[day.weekday()] not in spelt(value["days"]):
            return False
        return value.get("first", day) <= day <= value.get("last", day)

    def is_acr(self, value: Any) -> bool | None:
        actual = self.claims.get("acr")
        if actual is None:
            return None
        enough = [value] if isinstance(value, str) else value
        return any(
            actual == each or (each in LEVELS and actual in LEVELS and LEVELS.index(actual) >= LEVELS.index(each))
            for each in enough
        )

    def is_max_age(self, value: str) -> bool | None:
        at = self.claims.get("auth_time")
        if at is None or at > self.ask.now + 60:
            return None
        return self.ask.now - at <= int(value[:-1]) * SECONDS[value[-1]]

    def is_review(self, by: dt.date) -> bool:
        return dt.datetime.fromtimestamp(self.ask.now, dt.UTC).date() <= by


def plain(address: str) -> Any:
    try:
        read = ipaddress.ip_address(address)
    except ValueError:
        return None
    return getattr(read, "ipv4_mapped", None) or read


def inside(address: Any, networks: list[str]) -> bool:
    return any(
        address in network for network in map(ipaddress.ip_network, networks) if network.version == address.version
    )


def spelt(days: Any) -> set[str]:
    found = set()
    for each in [days] if isinstance(days, str) else days:
        first, _, last = each.partition("-")
        at = DAYS.index(first)
        while DAYS[at % 7] != (last or first):
            found.add(DAYS[at % 7])
            at += 1
        found.add(DAYS[at % 7])
    return found
