"""What is refused, not warned about: settings that cannot be meant, or that are not safe where they are."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import TYPE_CHECKING

from idp.settings import durations
from idp.settings import issuer as issuers

if TYPE_CHECKING:
    from idp.settings.model import Settings

LONGEST = {
    "leeway": dt.timedelta(seconds=60),
    "access_token_longest": dt.timedelta(days=1),  # so long we remember what must be told about tokens
    "code_lifetime": dt.timedelta(minutes=10),  # RFC 6749 section 4.1.2
    "refresh_grace": dt.timedelta(seconds=60),
}
AT_MOST = (
    ("access_token_lifetime", "access_token_longest"),
    ("refresh_idle", "refresh_absolute"),
    ("session_idle", "session_absolute"),
    ("publish_lead", "key_rotation_interval"),
)
MAY_BE_ZERO = frozenset({"refresh_grace", "leeway"})
BACKENDS = ("sqlite:", "postgresql:", "postgresql+psycopg:")


def problems(settings: Settings) -> list[str]:
    """Return one line for each refusal, the field first."""
    return [*_exposed(settings), *_serving(settings), *_certificates(settings), *_durations(settings)]


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
    for field in ("tls_certificate", "tls_key", "client_ca_file", "breached_list"):
        path = getattr(settings, field)
        if path is not None and not path.is_file():
            yield f"{field}: there is no such file"
    if settings.metrics_port and settings.metrics_port == settings.port:
        yield "metrics_port: this is the port of the provider itself; choose another, or 0 for none"
    if not settings.database_url.startswith(BACKENDS):
        yield "database_url: write sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME"


def _certificates(settings: Settings) -> Iterator[str]:
    if settings.client_certificate_header is None:
        for field in ("client_ca_file", "mtls_base_url"):
            if getattr(settings, field) is not None:
                yield f"{field}: has no meaning without client_certificate_header"
        return
    if settings.front == "tls":
        yield "client_certificate_header: needs a front that ends TLS; here nobody else may set it"
    elif not settings.trusted_proxies:
        yield "client_certificate_header: name the front under trusted_proxies, or nobody is believed"


def _durations(settings: Settings) -> Iterator[str]:
    for field in type(settings).model_fields:
        value = getattr(settings, field)
        if not isinstance(value, dt.timedelta):
            continue
        if value < dt.timedelta(0) or (not value and field not in MAY_BE_ZERO):
            yield f"{field}: write a duration longer than nothing"
    for field, longest in LONGEST.items():
        if getattr(settings, field) > longest:
            yield f"{field}: write at most {durations.show(longest)}"
    for shorter, longer in AT_MOST:
        if getattr(settings, shorter) > getattr(settings, longer):
            yield f"{shorter}: longer than {longer}"
