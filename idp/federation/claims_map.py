"""From what a provider says of somebody to an Identity: paths into its documents, as data.

A path is JSONPath's readable part: `name`, `a.b`, `a[0]`, `a[*]`, `a['odd.name']`, `emails[?primary=true].email`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from idp.federation.connector import Identity, Membership, Misconfigured

LONGEST: Final = 255
MOST_GROUPS: Final = 10_000
STANDARD: Final = (
    *("name", "given_name", "family_name", "middle_name", "nickname", "profile", "picture"),
    *("website", "gender", "birthdate", "zoneinfo", "locale"),
)
_STEP: Final = re.compile(
    r"""\.?(?P<name>[A-Za-z_@][\w@:/-]*)|\[(?P<index>\d{1,4})\]|\[(?P<every>\*)\]"""
    r"""|\['(?P<quoted>[^']+)'\]|\[\?(?P<key>[\w-]+)=(?P<value>[^\]]*)\]"""
)
_WORDS: Final = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class Path:
    """Where in a document something stands."""

    steps: tuple[tuple[str, str], ...]

    @classmethod
    def parse(cls, text: str) -> Path:
        """Read a path, or refuse it."""
        rest, steps = text.removeprefix("$"), []
        while rest:
            found = _STEP.match(rest)
            if found is None:
                raise Misconfigured("claims: this is not a path; write name, a.b, a[0], a[*] or a[?key=value]")
            kind = found.lastgroup or ""
            if kind == "value":
                steps.append(("key", f"{found['key']}={found['value']}"))
            else:
                steps.append((kind, found[kind]))
            rest = rest[found.end() :]
        if not steps:
            raise Misconfigured("claims: a path is empty")
        return cls(tuple(steps))

    def all(self, document: object) -> list[object]:
        """Return everything the path leads to."""
        nodes = [document]
        for kind, word in self.steps:
            nodes = [deeper for node in nodes for deeper in _deeper(node, kind, word)]
        return nodes


def _deeper(node: object, kind: str, word: str) -> Iterable[object]:
    if kind == "key":
        name, _, wanted = word.partition("=")
        among = node if isinstance(node, list) else [node]
        return [each for each in among if isinstance(each, dict) and _is(each.get(name), wanted)]
    if isinstance(node, dict):
        return [node[word]] if kind in {"name", "quoted"} and word in node else []
    if isinstance(node, list):
        if kind == "every":
            return node
        return [node[int(word)]] if kind == "index" and int(word) < len(node) else []
    return []


def _is(value: object, wanted: str) -> bool:
    return value is _WORDS[wanted] if wanted in _WORDS else str(value) == wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimsMap:
    """Which paths give what. The first path that leads anywhere counts."""

    subject: tuple[Path, ...]
    username: tuple[Path, ...]
    email: tuple[Path, ...]
    email_verified: tuple[Path, ...] | bool
    groups: tuple[Path, ...]
    claims: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)

    @classmethod
    def parse(cls, table: Mapping[str, object]) -> ClaimsMap:
        """Read the table `claims` of a connector over what its preset says; other names become claims."""
        given = {**DEFAULT, **table}
        verified = given.pop("email_verified")
        own = {name: _paths(name, given.pop(name)) for name in ("subject", "username", "email", "groups")}
        return cls(
            **own,
            email_verified=verified if isinstance(verified, bool) else _paths("email_verified", verified),
            claims={name: _paths(name, value) for name, value in given.items()},
        )

    def subject_of(self, document: Mapping[str, object]) -> str | None:
        """Return the id that never changes, as text; None when there is none."""
        value = _first(self.subject, document)
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        return value if isinstance(value, str) and 0 < len(value) <= LONGEST and value.isprintable() else None

    def identity(
        self,
        connector: str,
        external_id: str,
        documents: Sequence[Mapping[str, object]],
        *,
        acr: str | None = None,
        amr: tuple[str, ...] = (),
    ) -> Identity:
        """Say who somebody is by documents about them, the one that counts most first."""
        email, verified = self._email(documents)
        claims = {name: value for name, paths in self.claims.items() if (value := _told(paths, documents)) is not None}
        return Identity(
            connector=connector,
            external_id=external_id,
            username=self._username(documents, email if verified else None) or external_id,
            email=email,
            email_verified=verified,
            groups=tuple(self._groups(documents)),
            claims=claims,
            acr=acr,
            amr=amr,
        )

    def _email(self, documents: Sequence[Mapping[str, object]]) -> tuple[str | None, bool]:
        """Take the e-mail and whether it was verified from one document: two make a sentence nobody said (FD13)."""
        for document in documents:
            email = _text(_first(self.email, document))
            if email is not None:
                said = self.email_verified
                word = said if isinstance(said, bool) else _first(said, document)
                return email, word is True or word == "true"  # Apple writes the word in quotes
        return None, False

    def _username(self, documents: Sequence[Mapping[str, object]], verified: str | None) -> str | None:
        for document in documents:
            for path in self.username:
                name = next((text for value in path.all(document) if (text := _text(value)) is not None), None)
                if name is None:
                    continue
                # What looks like an address is somebody's: an unverified one takes no name from its owner (FD12).
                if "@" in name and (verified is None or name.casefold() != verified.casefold()):
                    name = name.partition("@")[0]
                if name:
                    return name
        return None

    def _groups(self, documents: Sequence[Mapping[str, object]]) -> Iterable[Membership]:
        seen: dict[str, None] = {}
        for document in documents:
            for path in self.groups:
                for value in path.all(document):
                    for each in value if isinstance(value, list) else [value]:
                        name = _text(each)
                        if name is not None and len(seen) < MOST_GROUPS:
                            seen[name] = None
        return [Membership(key=name, name=name) for name in seen]


DEFAULT: Final[Mapping[str, object]] = {
    "subject": "sub",
    "username": ["preferred_username", "email"],
    "email": "email",
    "email_verified": "email_verified",
    "groups": "groups",
    **{name: name for name in STANDARD},
}


def _paths(name: str, value: object) -> tuple[Path, ...]:
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list | tuple) or not all(isinstance(each, str) for each in listed):
        raise Misconfigured(f"claims.{name}: write a path or a list of paths")
    return tuple(Path.parse(each) for each in listed)


def _first(paths: Sequence[Path], document: object) -> object:
    return next((value for path in paths for value in path.all(document) if value is not None), None)


def _text(value: object) -> str | None:
    return value.strip() if isinstance(value, str) and 0 < len(value.strip()) <= LONGEST else None


def _told(paths: Sequence[Path], documents: Sequence[Mapping[str, object]]) -> object:
    return next((value for document in documents if (value := _first(paths, document)) is not None), None)
