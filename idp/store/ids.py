"""Row ids: made here, before the insert, so that sealed columns can bind to their row."""

from __future__ import annotations

import secrets
import time
import uuid


def new_id() -> str:
    """Return a UUIDv7 as text (RFC 9562 section 5.7), sorted by time, with 62 random bits.

    The 12 bits after the milliseconds hold their fraction (section 6.2, method 3): rows of one process sort as made.
    """
    milliseconds, fraction = divmod(time.time_ns(), 1_000_000)
    value = (milliseconds & 0xFFFF_FFFF_FFFF) << 80
    value |= 0x7 << 76 | (fraction << 12) // 1_000_000 << 64
    value |= 0b10 << 62 | secrets.randbits(62)
    return str(uuid.UUID(int=value))
