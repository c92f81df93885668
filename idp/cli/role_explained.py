"""What `idp role explain` says: facts to programs, a chain for each way to people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from idp.accounts.explaining import At, Way
from idp.audit.log import readable
from idp.cli.shown import stamp


def facts(at: At) -> dict[str, object]:
    """Return what somebody has at an API, as JSON."""
    reasons = [
        {"role": each.role, "scopes": list(each.scopes), "ways": [_way(way) for way in each.ways]}
        for each in at.reasons
    ]
    return {"audience": at.audience, "roles": reasons, "claims": at.claims}


def told(username: str, found: Sequence[At], *, closed: bool) -> str:
    """Return all of it as lines."""
    return "\n".join(readable(line) for line in _lines(username, found, closed=closed))


def _lines(username: str, found: Sequence[At], *, closed: bool) -> Iterator[str]:
    if closed:
        yield f"{username} is closed: none of this reaches a token."
    if not found:
        yield f"{username} has no role. No group of theirs has one, here or by a rule; see `idp connector test --user`."
    for at in found:
        yield at.audience
        for reason in at.reasons:
            for way in reason.ways:
                yield f"  {_chain(way)} -> role {reason.role} -> {' '.join(reason.scopes) or 'no scope'}"
        roles, scope = at.claims["roles"], at.claims["scope"]
        yield f'  in a token: roles {roles}, scope at most "{scope}"'


def _chain(way: Way) -> str:
    if way.connector is None:
        return f"group {way.group}"
    groups = " -> in ".join(each.name for each in way.groups)
    return f"{way.connector}: {groups} -> rule {way.rule}" if groups else f"{way.connector}: rule {way.rule}"


def _way(way: Way) -> dict[str, object]:
    if way.connector is None:
        return {"group": way.group}
    groups = [{"key": each.key, "name": each.name} for each in way.groups]
    return {"connector": way.connector, "groups": groups, "rule": way.rule, "seen": stamp(way.seen_at)}
