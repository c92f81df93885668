"""What a caller is told about its limits (draft-ietf-httpapi-ratelimit-headers, RFC 9110 section 10.2.3).

`RateLimit-Policy` is the same for every answer of a route: q requests at once, which come back within w seconds.
`RateLimit` says what is left: r requests, and after t seconds there are more.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from idp.gateway.answers import Headers, Refusal
from idp.gateway.limits.bucket import refill, wait
from idp.gateway.limits.model import Limit, Meter

LIMIT: Final = "limit."  # how the reason of a refusal begins, for the log
_TEXT: Final = "too many requests were sent"
_BUSY: Final = "too many requests are being answered here"
Count = tuple[Limit, Meter, int]  # a limit, the bucket that was asked, and how full it is


def policy(limits: Iterable[Limit]) -> bytes:
    """Write the policy of a route."""
    said = (f'"{limit.name}";q={limit.burst};w={refill(limit.meter(), limit.meter().capacity)}' for limit in limits)
    return ", ".join(said).encode("ascii")


def told(written: bytes, counts: Sequence[Count]) -> Headers:
    """Write what is left, beside the policy."""
    left = []
    for limit, meter, level in counts:
        here = (meter.capacity - level) // meter.cost  # `remaining`, written out: this is done for every request
        more = refill(meter, level) if here else wait(meter, level)
        left.append(f'"{limit.name}";r={here};t={more}')
    return (b"ratelimit-policy", written), (b"ratelimit", ", ".join(left).encode("ascii"))


def too_many(counts: Iterable[Count]) -> Refusal:
    """Refuse whoever has found a bucket full (RFC 6585 section 4), and say when to come back."""
    name, seconds = max(((limit.name, wait(meter, level)) for limit, meter, level in counts), key=lambda each: each[1])
    return Refusal(
        status=429,
        reason=LIMIT + name,
        error="too_many_requests",
        text=_TEXT,
        headers=((b"retry-after", b"%d" % seconds),),
    )


BUSY: Final = Refusal(
    status=503,
    reason="busy",
    error="temporarily_unavailable",
    text=_BUSY,
    headers=((b"retry-after", b"1"),),
)
