"""What the demo is made of: names, secrets, addresses. Written to `var/demo.json` for programs, and read again."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from idp.demo.places import Places

AUDIENCE = "https://orders.example"
READ, WRITE = "orders:read", "orders:write"
SCOPES = {READ: "Read your orders", WRITE: "Change your orders"}
WEB, PUBLIC, SERVICE = "orders-desk", "orders-pocket", "orders-report"
USERNAME = "ada"
# No letter or digit that is read as another: people type this password.
LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
PUBLIC_REDIRECT = "http://127.0.0.1/callback"


class Unreadable(Exception):
    """`demo.json` is there but is not ours; the text says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """The secrets of the demo, and everything that follows from its places."""

    places: Places
    password: str
    web_secret: str
    service_secret: str

    @classmethod
    def invent(cls, places: Places) -> Facts:
        """Make new secrets."""
        return cls(
            places=places,
            password="-".join("".join(secrets.choice(LETTERS) for _ in range(5)) for _ in range(3)),
            web_secret=secrets.token_urlsafe(32),
            service_secret=secrets.token_urlsafe(32),
        )

    def to_json(self) -> str:
        """Return everything, for the sample app's own process."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Facts:
        """Read what `to_json` wrote."""
        said = json.loads(text)
        return cls(**{**said, "places": Places(**said["places"])})

    @property
    def web_redirect(self) -> str:
        """Where the sample app takes up the answer."""
        return f"{self.places.app_url}/callback"

    @property
    def signed_out(self) -> str:
        """Where the sample app takes up a sign-out."""
        return f"{self.places.app_url}/signed-out"

    @property
    def guarded_url(self) -> str:
        """What the service client's token opens, through the gateway."""
        return f"{self.places.gateway_url}/orders"

    @property
    def approve_url(self) -> str:
        """What only a strong sign-in opens: the approval of an order that is always there."""
        return f"{self.guarded_url}/2/approve"

    def public(self) -> dict[str, Any]:
        """Return what `demo.json` says."""
        return {
            "issuer": self.places.issuer,
            "gateway": self.places.gateway_url,
            "guarded_url": self.guarded_url,
            "clients": [
                {
                    "client_id": WEB,
                    "client_secret": self.web_secret,
                    "grant_types": ["authorization_code", "refresh_token"],
                    "redirect_uris": [self.web_redirect],
                },
                {
                    "client_id": PUBLIC,
                    "grant_types": ["authorization_code", "refresh_token"],
                    "redirect_uris": [PUBLIC_REDIRECT],
                },
                {
                    "client_id": SERVICE,
                    "client_secret": self.service_secret,
                    "grant_types": ["client_credentials"],
                    "redirect_uris": [],
                },
            ],
            "user": {"username": USERNAME, "password": self.password},
            "api": {"audience": AUDIENCE, "scopes": list(SCOPES)},
        }


def recall(file: Path, places: Places) -> Facts | None:
    """Return the facts of an earlier start, with the places of this one; None at the first."""
    try:
        said = json.loads(file.read_text("utf-8"))
        secret = {client["client_id"]: client.get("client_secret") for client in said["clients"]}
        kept = (said["user"]["password"], secret[WEB], secret[SERVICE])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        raise Unreadable(f"{file} cannot be read: delete it, and the demo makes new secrets") from None
    if not all(isinstance(value, str) and value for value in kept):
        raise Unreadable(f"{file} holds no secrets: delete it, and the demo makes new ones")
    return Facts(places=places, password=kept[0], web_secret=kept[1], service_secret=kept[2])


def write_down(file: Path, facts: Facts) -> None:
    """Write the facts, for their owner's eyes only, and in one step: a reader sees all of it or the old one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        json.dump(facts.public(), stream, indent=2)
        stream.write("\n")
    draft.replace(file)
