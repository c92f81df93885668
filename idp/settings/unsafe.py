"""What is refused, not warned about: settings that cannot be meant, or that are not safe where they are."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import TYPE_CHECKING

from idp.settings import issuer as issuers

if TYPE_CHECKING:
    from idp.settings.model import Settings

LONGEST_LEEWAY = dt.timedelta(seconds=60)
LONGEST_CODE = dt.timedelta(minutes=10)
LONGEST_GRACE = dt.timedelta(seconds=60)
MAY_BE_ZERO = frozenset({"refresh_grace", "leeway"})
BACKENDS = ("sqlite:", "postgresql:", "postgresql+psycopg:")


def problems(settings: Settings) -> list[str]:
    """Return one line for each refusal, the field first."""
    return [*_exposed(settings), *_serving(settings), *_durations(settings)]


def _exposed(settings: Settings) -> Iterator[str]:
    here = issuers.is_loopback(settings.host)
    if settings.conformance and not here:
        yield "conformance: this mode listens on loopback only; set host to 127.0.0.1 or leave the mode"
    if settings.loopback:
        return
    if issuers.is_http(settings.issuer):
        yield "issuer: http is for loopback only; write an https address"
    # Certification names its own https host, but its accounts are known to everybody: it stays on loopback above.
    if settings.demo:
        yield "demo: the demonstration is for loopback only; turn it off, or set host and issuer to loopback"
    if not settings.conformance and not settings.master_key_file.is_file():
        yield "master_key_file: there is no such file; make it with `idp key init`"


def _serving(settings: Settings) -> Iterator[str]:
    if settings.front == "tls":
        for field in ("tls_certificate", "tls_key"):
            if getattr(settings, field) is None:
                yield f"{field}: needed when front is tls"
    for field in ("tls_certificate", "tls_key", "breached_list"):
        path = getattr(settings, field)
        if path is not None and not path.is_file():
            yield f"{field}: there is no such file"
    if not settings.database_url.startswith(BACKENDS):
        yield "database_url: write sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME"


def _durations(settings: Settings) -> Iterator[str]:
    for field in type(settings).model_fields:
        value = getattr(settings, field)
        if not isinstance(value, dt.timedelta):
            continue
        if value < dt.timedelta(0) or (not value and field not in MAY_BE_ZERO):
            yield f"{field}: write a duration longer than nothing"
    if settings.leeway > LONGEST_LEEWAY:
        yield "leeway: write at most 60s"
    # RFC 6749 section 4.1.2: at most ten minutes
    if settings.code_lifetime > LONGEST_CODE:
        yield "code_lifetime: write at most 10m"
    if settings.refresh_grace > LONGEST_GRACE:
        yield "refresh_grace: write at most 60s"
    if settings.access_token_lifetime > settings.access_token_longest:
        yield "access_token_lifetime: longer than access_token_longest allows"
    if settings.refresh_idle > settings.refresh_absolute:
        yield "refresh_idle: longer than refresh_absolute"
    if settings.session_idle > settings.session_absolute:
        yield "session_idle: longer than session_absolute"
    if settings.publish_lead >= settings.key_rotation_interval:
        yield "publish_lead: must be shorter than key_rotation_interval"
