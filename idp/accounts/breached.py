"""Known breached passwords, offline: the packed list that ships, and a larger file where the operator has one."""

from __future__ import annotations

import hashlib
import re
import string
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from idp.accounts.data import pack_breached

PACKED = Path(__file__).parent / "data" / "breached.bin"
AROUND = string.digits + string.punctuation + string.whitespace
LEET = str.maketrans("013457@$!", "oieastasi")
REPEATED = re.compile(r"(.+?)\1+")
SHORTEST_UNIT = 5  # whatever repeats in fewer characters is refused without a list


@dataclass(frozen=True, slots=True, kw_only=True)
class Breached:
    """Answers whether a password is one that attackers try first (ASVS 5.0 section 6.2.4)."""

    larger: Path | None = None  # sorted lines HASH:count of SHA-1, as the public breach corpora come
    packed: bytes = field(default_factory=PACKED.read_bytes, repr=False)

    def has(self, password: str) -> bool:
        """Return whether the password, or what is left of it without its disguise, is a known one."""
        folded = password.casefold()
        repeated = REPEATED.fullmatch(folded)
        if repeated and len(repeated[1]) < SHORTEST_UNIT:
            return True
        if any(self._is_packed(form) for form in _forms(folded)):
            return True
        return self.larger is not None and _in_file(self.larger, password)

    def _is_packed(self, form: str) -> bool:
        wanted, size = pack_breached.prefix(form), pack_breached.PREFIX
        low, high = 0, len(self.packed) // size
        while low < high:
            middle = (low + high) // 2
            found = self.packed[middle * size : (middle + 1) * size]
            if found == wanted:
                return True
            low, high = (middle + 1, high) if found < wanted else (low, middle)
        return False


def _forms(folded: str) -> Iterator[str]:
    """Yield the password and its undisguised forms.

    The list is short of passwords of twelve characters and more: those that people make are a short one with
    digits around it, with letters swapped for digits, or twice.
    """
    yield folded
    if repeated := REPEATED.fullmatch(folded):
        yield repeated[1]
    for plain in (folded, folded.translate(LEET)):
        stem = plain.strip(AROUND)
        if len(stem) >= SHORTEST_UNIT - 1:
            yield stem
        yield plain


def _in_file(path: Path, password: str) -> bool:
    """Search a sorted file of SHA-1 hashes by halves: some forty reads in forty gigabytes."""
    wanted = hashlib.sha1(password.encode(errors="surrogatepass"), usedforsecurity=False).hexdigest().upper().encode()
    with path.open("rb") as lines:
        low, high = 0, lines.seek(0, 2)
        while low < high:
            middle = (low + high) // 2
            lines.seek(max(middle - 1, 0))
            if middle:
                lines.readline()  # to the start of the next whole line
            found = lines.readline()[:40].upper()
            if found == wanted:
                return True
            low, high = (middle + 1, high) if found and found < wanted else (low, middle)
    return False
