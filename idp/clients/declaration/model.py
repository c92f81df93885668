"""What is wanted, what has to change for it, and how both are named. Pure values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    from idp.clients.registration import Registration
    from idp.store.declared import Item

API: Final = "api"  # audience
SCOPE: Final = "scope"  # audience, name
ROLE: Final = "role"  # audience, name
GRANTS: Final = "grants"  # audience, role, scope
CLIENT: Final = "client"  # client id
MAY: Final = "may"  # client id, grant type
SERVES: Final = "serves"  # audience, client id
EXCHANGE: Final = "exchange"  # audience of the target, client id
# In this order things are made, since each hangs on those before it, and in the other one taken away.
KINDS: Final = (API, SCOPE, ROLE, GRANTS, CLIENT, MAY, SERVES, EXCHANGE)

Facts: TypeAlias = "Mapping[str, object]"
Items: TypeAlias = "Mapping[Item, Facts]"
What = Literal["add", "change", "remove"]
_SIGNS: Final = {"add": "+", "change": "~", "remove": "-"}


class Undeclarable(ValueError):
    """The declaration cannot be applied as it stands; the text says what is missing."""


class Moved(Exception):
    """The store is no longer what was planned for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """What should be there. Facts that are not named are nobody's business here."""

    name: str
    items: Items
    client: Registration | None = field(default=None, repr=False)  # how to register it, where its key is at hand

    @property
    def audiences(self) -> frozenset[str]:
        """The APIs it is about."""
        return frozenset(item[1] for item in self.items if item[0] == API)

    @property
    def clients(self) -> frozenset[str]:
        """The clients it is about."""
        return frozenset(item[1] for item in self.items if item[0] == CLIENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One difference between the store and the declaration."""

    what: What
    item: Item
    text: str
    gains: tuple[str, ...] = ()
    loses: tuple[str, ...] = ()

    @property
    def sign(self) -> str:
        """How the line begins."""
        return _SIGNS[self.what]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All that has to change. Two plans with one digest are the same plan for the same store."""

    declaration: str
    changes: tuple[Change, ...]
    shares: tuple[Item, ...]  # there already, made by another declaration: from now on a common matter
    leaves: tuple[Item, ...]  # no longer a matter of this declaration
    notes: tuple[str, ...]
    digest: str

    def count(self, what: What) -> int:
        """Tell how many lines there are of a kind."""
        return sum(change.what == what for change in self.changes)


def order(item: Item) -> tuple[int, Item]:
    """Sort things so that each comes after what it hangs on."""
    return KINDS.index(item[0]), item


def hangs_on(item: Item, other: Item) -> bool:
    """Tell whether something goes when another thing goes."""
    match other:
        case ("api", audience):
            return item[0] in {SCOPE, ROLE, GRANTS, SERVES, EXCHANGE} and item[1] == audience
        case ("role", audience, role):
            return item[:3] == (GRANTS, audience, role)
        case ("scope", audience, scope):
            return item[0] == GRANTS and item[1] == audience and item[3] == scope
        case ("client", client_id):
            return (item[0] in {SERVES, EXCHANGE} and item[2] == client_id) or item[:2] == (MAY, client_id)
    return False
