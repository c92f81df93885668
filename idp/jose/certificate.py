"""What a certificate says about itself (RFC 5280)."""

from __future__ import annotations

from cryptography import x509

from idp.jose.strict import JoseError


def ends(pem: bytes) -> float:
    """Give the moment after which the first certificate of a file counts no longer (RFC 5280 section 4.1.2.5)."""
    try:
        return x509.load_pem_x509_certificates(pem)[0].not_valid_after_utc.timestamp()
    except ValueError:
        raise JoseError("is not a certificate") from None
