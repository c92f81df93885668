"""The JSON Schema of gateway.toml, found out by asking the loader what it asks for.

There is no second list of fields that could differ: a table that only takes notes is read as if it were a file. What
depends on more than one field (a path variable that does not exist, an issuer that nobody named) the schema cannot
say; `idp gateway check` does. Dates and times are strings here, for JSON has neither.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from idp.gateway import load
from idp.gateway.policy.load import DAYS
from idp.gateway.table import OneOf, Table

T = TypeVar("T")
Schema = dict[str, Any]

_ANY_NAME: Final = "*"
_TEXT: Final[Schema] = {"type": "string", "minLength": 1}
_WORDS: Final[Schema] = {"type": "array", "items": _TEXT, "minItems": 1, "uniqueItems": True}
_SPAN: Final[Schema] = {"type": "string", "pattern": "^[0-9]{1,9}(ms|s|m|h|d)$"}
_SCOPE: Final[Schema] = {"type": "string", "pattern": r"^[\x21\x23-\x5b\x5d-\x7e]+$"}
_SCOPES: Final[Schema] = {**_WORDS, "items": _SCOPE}
_DATE: Final[Schema] = {"type": "string", "format": "date"}
_TIME: Final[Schema] = {"type": "string", "pattern": r"^[0-2][0-9]:[0-5][0-9]:[0-5][0-9](\.[0-9]+)?$"}
_DAY: Final[Schema] = {"type": "string", "pattern": f"^({'|'.join(DAYS)})(-({'|'.join(DAYS)}))?$"}
_VALUE: Final[Schema] = {"type": ["string", "integer", "boolean"]}
_CLAIMS: Final[Schema] = {
    "type": "object",
    "minProperties": 1,
    "additionalProperties": {"anyOf": [_VALUE, {"type": "array", "items": _VALUE, "minItems": 1}]},
}
_METHODS: Final[Schema] = {**_WORDS, "items": {"enum": ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"]}}
_URL: Final[Schema] = {"type": "string", "pattern": "^https?://"}
_CONDITION: Final[Schema] = {"$ref": "#/$defs/condition"}
_CONDITIONS: Final[Schema] = {"type": "array", "items": _CONDITION, "minItems": 1}

_DEPENDING: Final = frozenset({"upstream"})  # needed by one shape, of no use to the other


def _or_list(one: Schema) -> Schema:
    return {"anyOf": [one, {**_WORDS, "items": one}]}


# By the name of the function that reads a field.
_READERS: Final[Mapping[str, Schema]] = {
    "text": _TEXT,
    "words": _WORDS,
    "names": _WORDS,
    "flag": {"type": "boolean"},
    "count": {"type": "integer", "minimum": 1},
    "duration": _SPAN,
    "seconds": _SPAN,
    "_poll": _SPAN,
    "read": _SPAN,  # what `_at_most` gives
    "address": _TEXT,
    "admin": _TEXT,
    "size": {"type": "string", "pattern": "^[0-9]{1,12}(B|KB|MB|GB)$"},
    "scopes": _SCOPES,
    "listed_scopes": {**_SCOPES, "minItems": 0},
    "claims": _CLAIMS,
    "strengths": _or_list(_SCOPE),
    "methods": _METHODS,
    "zone": _TEXT,
    "days": _or_list(_DAY),
    "clock": _TIME,
    "day": _DATE,
    "version": {"const": 1},
    "always": {"const": True},
    "path": _TEXT,
    "paths": _WORDS,
    "networks": {**_WORDS, "minItems": 0},
    "algs": _WORDS,
    "header_names": _WORDS,
    "header_name": _TEXT,
    "host": _TEXT,
    "hosts": _WORDS,
    "issuer_url": _URL,
    "addresses": _or_list(_URL),
    "server_name": _TEXT,
    "check_path": {"type": "string", "pattern": r"^/[\x21\x23-\x7e]*$"},
    "upstream": _or_list(_TEXT),
    "origins": {**_WORDS, "items": _URL},
    "cookie": _TEXT,
    "template": {"type": "string", "pattern": "^/"},
    "rate": {"type": "string", "pattern": "^[1-9][0-9]{0,6}/[smh]$"},
    "burst": {"type": "integer", "minimum": 1, "maximum": 1_000_000},
    "caller": {"type": "string", "pattern": r"^(ip|client|subject|route|claim\..+)$"},
    "limit_name": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"},
    "redis_url": {"type": "string", "pattern": "^(redis|rediss|unix)://"},
}
_LEAVES: Final[Mapping[str, Schema]] = {
    "scope": {"anyOf": [_SCOPE, _SCOPES]},
    "role": _TEXT,
    "role_any": _WORDS,
    "role_all": _WORDS,
    "claims": _CLAIMS,
    "method": _METHODS,
    "host": _WORDS,
    "ip_in": _WORDS,
    "acr": _or_list(_SCOPE),
    "max_age": _SPAN,
    "eq": {**_WORDS, "items": {"type": "string", "pattern": "^(claim|path)\\.."}, "minItems": 2, "maxItems": 2},
}


class Notes(Table):
    """A table that has every field it is asked for, and writes down what was asked."""

    def __init__(self, *, condition: bool = False, empty: bool = False) -> None:
        super().__init__({}, place=(), name="", text="", problems=[])
        self._empty = empty
        self._condition = condition
        self._schemas: dict[str, Schema | Notes] = {}
        self._lists: set[str] = set()
        self._switched: set[str] = set()
        self._needed: set[str] = set()

    def __contains__(self, field: str) -> bool:
        return not self._empty

    def names(self) -> list[str]:
        """Give one name that stands for all."""
        return [_ANY_NAME]

    def value(self, field: str, read: Callable[[Any], T], default: T) -> T:
        """Write down how a field is read."""
        if isinstance(read, OneOf):
            known = _ANY_NAME not in read.choices
            self._schemas[field] = {"enum": list(read.choices)} if known else _TEXT
        else:
            known_by_name = _READERS.get(getattr(read, "__name__", ""), {})
            self._schemas.setdefault(field, _LEAVES[field] if self._condition else known_by_name)
        return default

    def required(self, field: str, read: Callable[[Any], T], default: T) -> T:
        """Write down that a field must be there."""
        if field not in _DEPENDING:
            self._needed.add(field)
        return self.value(field, read, default)

    def table(self, field: str, name: str | None = None) -> Table:  # noqa: ARG002 - Table's signature
        """Write down a table inside."""
        if self._condition and field == "not":
            self._schemas[field] = _CONDITION
            return Notes(empty=True)
        inner = Notes()
        self._schemas[field] = inner
        return inner

    def switched(self, field: str) -> Table | None:
        """Write down a table that may be true or false instead."""
        self._switched.add(field)
        return self.table(field)

    def tables(self, field: str) -> list[Table]:
        """Write down a list of tables."""
        if self._condition and field in {"any", "all"}:
            self._schemas[field] = _CONDITIONS
            return []
        inner = Notes(condition=field == "when")
        self._schemas[field] = inner
        self._lists.add(field)
        return [inner]

    def finish(self) -> None:
        """Nothing is unknown here."""

    def schema(self, definitions: dict[str, Schema]) -> Schema:
        """Write what was asked for as a schema."""
        found: dict[str, Schema] = {}
        for field, noted in self._schemas.items():
            inner = noted.schema(definitions) if isinstance(noted, Notes) else noted
            if isinstance(noted, Notes) and noted._condition:  # noqa: SLF001 - another of us
                definitions["condition"] = inner
                found[field] = {"type": "array", "items": _CONDITION}
            else:
                found[field] = {"type": "array", "items": inner} if field in self._lists else inner
                if field in self._switched:
                    found[field] = {"anyOf": [{"type": "boolean"}, inner]}
        others = found.pop(_ANY_NAME, None)
        written: Schema = {"type": "object", "additionalProperties": False if others is None else others}
        if found:
            written["properties"] = dict(sorted(found.items()))
        if self._needed:
            written["required"] = sorted(self._needed)
        if self._condition:
            written |= {"minProperties": 1, "maxProperties": 1}
        return written


def schema() -> Schema:
    """Give the schema."""
    notes = Notes()
    load.fields(notes)
    definitions: dict[str, Schema] = {}
    written = notes.schema(definitions)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "gateway.toml of Gatehouse",
        **written,
        "required": ["issuers", "routes", "version"],
        "$defs": definitions,
    }


def render() -> str:
    """Write the schema as a file."""
    return json.dumps(schema(), indent=2, sort_keys=True) + "\n"
