"""What every page around sign-in elsewhere shares: addresses, pictures, and words for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from idp.accounts.federated import Unwelcome
from idp.federation.connector import Outcome
from idp.web.services import services

CALLBACK: Final = "/federation/callback"
WAYS: Final = "/account/ways-in"
ICONS: Final = frozenset(
    "apple auth0 discord entra facebook github gitlab google linkedin okta slack".split()  # noqa: SIM905 - a list of files
)

# For people, by what happened; each says what to do. {label} is the name on the button.
WORDS: Final[Mapping[object, tuple[str, str]]] = {
    "lost": (
        "This way back does not fit",
        "You may have come here twice, from another browser, or too late. Begin again at the app.",
    ),
    "not_fresh": (
        "{label} will not do here",
        "The app wants to know that you sign in just now, and {label} cannot show that. Choose another way.",
    ),
    Outcome.DENIED: ("You are not signed in", "{label} says that you did not agree. You can choose another way."),
    Outcome.UNTRUSTED: (
        "We could not believe the answer",
        "What {label} sent back does not prove who you are. Try again; if it happens again, tell us the number below.",
    ),
    Outcome.UNAVAILABLE: (
        "{label} does not answer",
        "It is slow or out of order just now. Wait a minute, then try again.",
    ),
    Unwelcome.CLOSED: ("This account is closed", "Ask the people who run this service."),
    Unwelcome.DOMAIN: (
        "You cannot come in with this address",
        "Only people with a confirmed e-mail of certain domains may sign in with {label}. Choose another way.",
    ),
    Unwelcome.LINK_FIRST: (
        "You have an account here already",
        "It has the same e-mail. Sign in to it as you always do, once, and we will ask whether to link {label}.",
    ),
    Unwelcome.NOT_LINKED: (
        "{label} is not linked to an account yet",
        "Sign in to your account as you always do, once, and we will ask whether to link {label}.",
    ),
}
TAKEN: Final = {
    "title": "It belongs to another account",
    "text": "Somebody has linked this sign-in to another account here. Remove it there first.",
}


def words(why: object, label: str) -> dict[str, str]:
    """Say what happened at the provider of a label; of what has no words of its own, that it is not believed."""
    title, text = WORDS.get(why, WORDS[Outcome.UNTRUSTED])
    return {"title": title.format(label=label), "text": text.format(label=label)}


def icon(brand: str | None) -> str:
    """Name the picture on a button."""
    return f"img/brands/{brand if brand in ICONS else 'other'}.svg"


def back(name: str) -> str:
    """Write the address to which a provider sends people back; the operator has registered it there."""
    return f"{services().settings.issuer}{CALLBACK}/{name}"
