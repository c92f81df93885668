"""What people type for a code, read the same however it was typed."""

from __future__ import annotations

import unicodedata

OTP_DIGITS = 6
LONGEST = 64  # more than any code with spaces between all of its characters


def otp(typed: str) -> str | None:
    """Return the six ASCII digits that were meant, or None.

    Spaces and digits of other scripts are one spelling of one code: it is used once all the same.
    """
    if len(typed) > LONGEST:
        return None
    digits = [_digit(letter) for letter in typed if not _is_gap(letter)]
    if len(digits) != OTP_DIGITS or None in digits:
        return None
    return "".join(str(digit) for digit in digits)


def recovery_code(typed: str) -> str:
    """Return a recovery code as it was hashed: small letters, no gaps, look-alikes read as what we hand out."""
    folded = unicodedata.normalize("NFKC", typed[:LONGEST]).casefold()
    plain = "".join(letter for letter in folded if not _is_gap(letter))
    return plain.translate(str.maketrans("oil", "011"))


def _digit(letter: str) -> int | None:
    value = unicodedata.digit(letter, None)
    return value if value is None else int(value)


def _is_gap(letter: str) -> bool:
    return letter.isspace() or unicodedata.category(letter) in {"Pd", "Cf"}
