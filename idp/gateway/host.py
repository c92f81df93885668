"""What may stand in a Host header (RFC 9110 section 7.2, RFC 3986 section 3.2)."""

from __future__ import annotations

import re
from typing import Final

# Registered names and addresses without percent-encoding: no name that is in use needs one.
_HOST: Final = re.compile(rb"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]{0,253})|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
_LONGEST: Final = 262


def valid_host(value: bytes) -> bool:
    """Tell whether this is a host, with or without a port."""
    return len(value) <= _LONGEST and _HOST.fullmatch(value) is not None
