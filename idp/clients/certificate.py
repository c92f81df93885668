"""Certificates as proof of who a client is (RFC 8705 section 2): of an authority, or its own and registered.

The front that ends TLS has seen that the caller holds the private key. Whose name a certificate bears is worth nothing
until an authority vouches for it, and that is looked at here: fronts are often set to let any certificate pass.
"""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Mapping
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import ExtensionPolicy, PolicyBuilder, Store, VerificationError

from idp.protocol.client_certificate import thumbprint
from idp.protocol.errors import InvalidClient

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from idp.clients.client import Client

SUBJECT_DN: Final = "subject_dn"
# RFC 8705 section 2.1.2: the one name by which a client is known, as its metadata call it without `tls_client_auth_`.
NAMES: Final = (SUBJECT_DN, "san_dns", "san_uri", "san_ip", "san_email")


class Authorities:
    """Those whose word about a certificate counts."""

    def __init__(self, file: Path | None) -> None:
        self._store = None if file is None else _store(file)

    def vouch(self, certificate: x509.Certificate, now: datetime) -> bool:
        """Say whether one of them has signed it, for a client, and it holds now."""
        if self._store is None:
            return False
        policy = PolicyBuilder().store(self._store).time(now)
        # Names are compared by us; a certificate of a company's own authority often has a subject alone.
        policy = policy.extension_policies(
            ca_policy=ExtensionPolicy.webpki_defaults_ca(), ee_policy=ExtensionPolicy.permit_all()
        )
        try:
            policy.build_client_verifier().verify(certificate, [])
        except VerificationError:
            return False
        return _for_clients(certificate)


def _store(file: Path) -> Store:
    try:
        return Store(x509.load_pem_x509_certificates(file.read_bytes()))
    except ValueError:
        raise ValueError("client_ca_file: holds no certificate (PEM)") from None


def check(client: Client, presented: bytes | None, authorities: Authorities, now: datetime) -> None:
    """Refuse whoever shows no certificate, or not this client's."""
    if presented is None:
        raise _refusal("no client certificate")
    certificate = read(presented)
    if certificate is None:
        raise _refusal("certificate cannot be read")
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise _refusal("certificate has ended or not begun")
    if client.tls_subject is None:
        if thumbprint(presented) not in client.certificates:
            raise _refusal("certificate is not registered")
        return
    if not authorities.vouch(certificate, now):
        raise _refusal("no authority vouches for the certificate")
    name, value = client.tls_subject
    if not _bears(certificate, name, value):
        raise _refusal("certificate is somebody else's")


def read(der: bytes) -> x509.Certificate | None:
    """Read a certificate (DER); None for what is none, or not wholly."""
    try:
        certificate = x509.load_der_x509_certificate(der)
        _ = certificate.subject, certificate.extensions  # parsed only when asked for
    except ValueError:
        return None
    return certificate


def registered(jwks: Mapping[str, object] | None) -> frozenset[str]:
    """Return the thumbprints of the certificates of a key set (RFC 8705 section 2.2, RFC 7517 section 4.7)."""
    keys = (jwks or {}).get("keys")
    chains = [key.get("x5c") for key in keys if isinstance(key, dict)] if isinstance(keys, list) else []
    leaves = [chain[0] for chain in chains if isinstance(chain, list) and chain and isinstance(chain[0], str)]
    return frozenset(thumbprint(der) for leaf in leaves if (der := _der(leaf)) is not None)


def problem(name: str, value: str) -> str | None:
    """Say what is wrong with a name that somebody wants to register."""
    if name not in NAMES:
        return f"write one of {', '.join(NAMES)}"
    try:
        if name == SUBJECT_DN:
            x509.Name.from_rfc4514_string(value)
        elif name == "san_ip":
            ip_address(value)
    except ValueError:
        return f"{name} is not readable"
    return None if value.isprintable() and value else f"{name} is not readable"


def _bears(certificate: x509.Certificate, name: str, value: str) -> bool:
    """RFC 8705 section 2.1.2: the whole subject, or one of the alternative names of the registered kind."""
    if name == SUBJECT_DN:
        return certificate.subject == x509.Name.from_rfc4514_string(value)
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return False
    if name == "san_ip":
        return ip_address(value) in names.get_values_for_type(x509.IPAddress)
    return value in names.get_values_for_type(_KINDS[name])


_KINDS: Final[Mapping[str, Any]] = {
    "san_dns": x509.DNSName,
    "san_uri": x509.UniformResourceIdentifier,
    "san_email": x509.RFC822Name,
}


def _for_clients(certificate: x509.Certificate) -> bool:
    """RFC 5280 sections 4.2.1.9 and 4.2.1.12: the certificate of a client, where it says at all whose it is."""
    for extension in certificate.extensions:
        if isinstance(extension.value, x509.BasicConstraints) and extension.value.ca:
            return False
        if isinstance(extension.value, x509.ExtendedKeyUsage) and _USES.isdisjoint(extension.value):
            return False
    return True


_USES: Final = frozenset({ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE})


def _der(text: str) -> bytes | None:
    """Read a certificate of x5c: base64, not base64url (RFC 7517 section 4.7)."""
    try:
        der = b64decode(text, validate=True)
    except Base64Error:
        return None
    return None if read(der) is None else der


def _refusal(reason: str) -> InvalidClient:
    return InvalidClient("client authentication failed", reason=reason)
