"""A self-signed certificate for a name of choice: for demonstrations and tests on loopback."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

VALID = timedelta(days=30)
MADE_BY = "Gatehouse, self-signed for loopback"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Where a chain and its key lie."""

    certificate: Path
    key: Path


def make(host: str, folder: Path) -> Pair:
    """Write a self-signed certificate for `host` and loopback into `folder`; clients trust the file itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    attributes = {NameOID.COMMON_NAME: host[:64], NameOID.ORGANIZATION_NAME: MADE_BY}
    name = x509.Name([x509.NameAttribute(oid, value) for oid, value in attributes.items()])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + VALID)
        .add_extension(x509.SubjectAlternativeName(_names(host)), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    pair = Pair(certificate=folder / "tls.pem", key=folder / "tls.key")
    pair.certificate.write_bytes(certificate.public_bytes(Encoding.PEM))
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with os.fdopen(os.open(pair.key, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as stream:
        stream.write(secret)
    return pair


def is_ours(file: Path) -> bool:
    """Say whether a file holds one certificate that `make` wrote, perhaps for another run, and nothing else."""
    try:
        found = x509.load_pem_x509_certificates(file.read_bytes())
    except ValueError:
        return False
    made_by = [name.value for each in found for name in each.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
    return len(found) == 1 and made_by == [MADE_BY]


def _names(host: str) -> list[x509.GeneralName]:
    names: list[x509.GeneralName] = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    try:
        return [x509.IPAddress(ipaddress.ip_address(host)), *names[:1]]
    except ValueError:
        return names if host == "localhost" else [x509.DNSName(host), *names]


def _usage() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
