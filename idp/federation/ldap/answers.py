"""What a server answers, as plain values."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

SUCCESS: Final = 0
SIZE_LIMIT: Final = 4
REFERRAL: Final = 10
NO_SUCH_OBJECT: Final = 32


class Gone(Exception):
    """The server did not answer, or could not be believed. `step` says how far it came: reach, tls, speak."""

    def __init__(self, step: str, why: str) -> None:
        super().__init__(why)
        self.step = step
        self.why = why


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a server answers to an operation. `ppolicy` is the value of its password policy control."""

    code: int
    message: str = ""
    ppolicy: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry; attributes by their names in small letters, values as they came."""

    dn: str
    attributes: Mapping[str, Sequence[bytes]]

    def texts(self, name: str) -> list[str]:
        """Return the values that are text."""
        found = []
        for value in self.attributes.get(name.lower(), ()):
            with contextlib.suppress(UnicodeDecodeError):
                found.append(value.decode())
        return found

    def text(self, name: str) -> str | None:
        """Return the first value that is text."""
        return next(iter(self.texts(name)), None)

    def raw(self, name: str) -> bytes | None:
        """Return the first value."""
        return next(iter(self.attributes.get(name.lower(), ())), None)


def entries(response: Sequence[Mapping[str, Any]] | None) -> list[Entry]:
    """Return the entries of a response. References to other servers are none."""
    return [
        Entry(dn=each["dn"], attributes={name.lower(): values for name, values in each["raw_attributes"].items()})
        for each in response or ()
        if each["type"] == "searchResEntry"
    ]
