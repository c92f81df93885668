"""Which claims an answer carries: by scope and by the claims parameter (OpenID Connect Core sections 5.1-5.5)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from idp.protocol import strict_json
from idp.protocol.errors import InvalidRequest

# OpenID Connect Core section 5.4.
BY_SCOPE: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "profile": (
            "name",
            "family_name",
            "given_name",
            "middle_name",
            "nickname",
            "preferred_username",
            "profile",
            "picture",
            "website",
            "gender",
            "birthdate",
            "zoneinfo",
            "locale",
            "updated_at",
        ),
        "email": ("email", "email_verified"),
        "address": ("address",),
        "phone": ("phone_number", "phone_number_verified"),
    }
)
STANDARD = tuple(name for names in BY_SCOPE.values() for name in names)
# OpenID Connect Core section 5.1.1.
ADDRESS = (
    "formatted",
    "street_address",
    "locality",
    "region",
    "postal_code",
    "country",
)
BOOLEANS = frozenset({"email_verified", "phone_number_verified"})
# What every ID token says by itself; a claims request can constrain these but never overwrite them.
PROTOCOL = (
    "iss",
    "sub",
    "aud",
    "exp",
    "iat",
    "auth_time",
    "nonce",
    "acr",
    "amr",
    "sid",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """One requested claim (OpenID Connect Core section 5.5.1). Empty `values`: any value will do."""

    essential: bool = False
    values: tuple[object, ...] = ()

    def to_json(self) -> dict[str, object]:
        """Write the long form, which `_wish` reads back."""
        return {"essential": self.essential, "values": list(self.values)}


Wishes = Mapping[str, Wish]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimsRequest:
    """The claims parameter (OpenID Connect Core section 5.5)."""

    userinfo: Wishes = field(default_factory=dict)
    id_token: Wishes = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str | None) -> ClaimsRequest:
        """Read the parameter; members we do not know are ignored, as the section demands."""
        if text is None:
            return cls()
        try:
            return cls.from_json(strict_json.read_object(text))
        except strict_json.Malformed as fault:
            raise InvalidRequest("claims is malformed", reason=str(fault)) from None

    @classmethod
    def from_json(cls, document: Mapping[str, object]) -> ClaimsRequest:
        """Take the two members that mean something."""
        return cls(
            userinfo=_wishes(document.get("userinfo")),
            id_token=_wishes(document.get("id_token")),
        )

    def to_json(self) -> dict[str, object]:
        """Write what `from_json` reads."""
        return {
            "userinfo": {name: wish.to_json() for name, wish in self.userinfo.items()},
            "id_token": {name: wish.to_json() for name, wish in self.id_token.items()},
        }

    def acr(self) -> Wish | None:
        """Give the wish for a strength of sign-in (OpenID Connect Core section 5.5.1.1)."""
        return self.id_token.get("acr")

    def subjects(self) -> tuple[object, ...]:
        """Give the only people who may answer, if any are named (OpenID Connect Core section 5.5.1)."""
        wishes = (self.id_token.get("sub"), self.userinfo.get("sub"))
        return tuple(value for wish in wishes if wish is not None for value in wish.values)


def _wishes(member: object) -> Wishes:
    if member is None:
        return {}
    if not isinstance(member, dict):
        raise strict_json.Malformed("member is not an object")
    return {name: _wish(value) for name, value in member.items()}


def _wish(value: object) -> Wish:
    if value is None:
        return Wish()
    if not isinstance(value, dict):
        raise strict_json.Malformed("claim is neither null nor an object")
    essential, values = value.get("essential", False), value.get("values", [])
    if not isinstance(essential, bool) or not isinstance(values, list):
        raise strict_json.Malformed("essential is a boolean, values an array")
    single = [value["value"]] if "value" in value else []
    return Wish(essential=essential, values=(*single, *values))


def names_of(scopes: Iterable[str]) -> tuple[str, ...]:
    """Name the claims that scopes ask for (OpenID Connect Core section 5.4)."""
    return tuple(name for scope in scopes for name in BY_SCOPE.get(scope, ()))


def for_userinfo(person: Mapping[str, object], *, scopes: Iterable[str], asked: ClaimsRequest) -> dict[str, object]:
    """Select what userinfo tells: the claims of the scopes, and those asked for one by one."""
    return _select(person, {*names_of(scopes), *asked.userinfo}, asked.userinfo)


def for_id_token(person: Mapping[str, object], *, asked: ClaimsRequest) -> dict[str, object]:
    """Select what an ID token tells beside its own claims: only what was asked for it by name.

    OpenID Connect Core section 5.4: where an access token is issued, scopes are answered by userinfo.
    """
    return _select(person, set(asked.id_token), asked.id_token)


def _select(person: Mapping[str, object], names: Collection[str], wishes: Wishes) -> dict[str, object]:
    known = present(person)
    chosen = {name: known[name] for name in STANDARD if name in names and name in known}
    return {name: value for name, value in chosen.items() if _wanted(value, wishes.get(name))}


def _wanted(value: object, wish: Wish | None) -> bool:
    """OpenID Connect Core section 5.5.1: a claim asked for with a value is not told with another."""
    return wish is None or not wish.values or value in wish.values


def present(person: Mapping[str, object]) -> dict[str, object]:
    """Give a person's standard claims in their right types; what is null or empty is left out (section 5.3.2)."""
    found = {name: _typed(name, person.get(name)) for name in STANDARD}
    told = {name: value for name, value in found.items() if value not in (None, "", {})}
    # A verified flag says something about a value; alone it says nothing.
    for flag in BOOLEANS:
        if flag.removesuffix("_verified") not in told:
            told.pop(flag, None)
    return told


def _typed(name: str, value: object) -> object:
    if name == "address":
        return _address(value)
    if name in BOOLEANS:
        return value is True
    if name == "updated_at":
        return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
    return value if isinstance(value, str) else None


def _address(value: object) -> dict[str, str]:
    """OpenID Connect Core section 5.1.1: an object of strings, members absent when unknown."""
    if not isinstance(value, Mapping):
        return {}
    parts = {name: value.get(name) for name in ADDRESS}
    return {name: part for name, part in parts.items() if isinstance(part, str) and part}
