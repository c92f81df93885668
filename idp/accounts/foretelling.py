"""What the rules of a connector would give somebody whom it knows: the last steps of a test, before any sign-in."""

from __future__ import annotations

from collections.abc import Iterator

from idp.accounts import mapping
from idp.federation.connector import Finding, Identity
from idp.store import api, connector, role
from idp.store.database import Session


def roles_of(tx: Session, connector_id: str, who: Identity) -> Iterator[Finding]:
    """Say for each role from which group it would come, and which scopes it grants."""
    rules = {rule.id: (rule, found) for rule, found in connector.rules(tx, connector_id)}
    audiences = {each.id: each.audience for each in api.listing(tx)}
    given = mapping.match([rule for rule, _ in rules.values()], who)
    if not given:
        words = "none: no rule fits; see `idp connector map`" if rules else "none: no rule is made; `idp connector map`"
        yield Finding(step="roles", passed=True, words=words)
    for each in given:
        rule, found = rules[each.rule_id]
        source = f"group {each.group.name}" if each.group is not None else f"claim {rule.pattern}"
        scopes = ", ".join(sorted(role.scopes(tx, found.id))) or "no scope"
        words = f"{source} gives {found.name} at {audiences[found.api_id]}: {scopes}"
        yield Finding(step="roles", passed=True, words=words)
