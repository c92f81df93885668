"""TLS where the provider ends it itself."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from idp.cli.serving.tls import ReloadingContext, Unusable
from tests.services.authority import Authority, Certificate
from tests.services.provider import Provider, session

END = "-----END CERTIFICATE-----\n"
HANDSHAKE, ALERT = 22, 21
HANDSHAKE_FAILURE, PROTOCOL_VERSION = 40, 70


def handshake(provider: Provider, authority: Authority, **wishes: object) -> tuple[str, str, bytes]:
    """Return version, cipher and certificate that were agreed on."""
    context = ssl.create_default_context(cafile=str(authority.file))
    for name, value in wishes.items():
        if name == "ciphers":
            context.set_ciphers(str(value))
        else:
            setattr(context, name, value)
    with (
        socket.create_connection(("127.0.0.1", provider.port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as wrapped,
    ):
        cipher, certificate = wrapped.cipher(), wrapped.getpeercert(binary_form=True)
        assert cipher
        assert certificate
        return str(wrapped.version()), cipher[0], certificate


def hello(version: int) -> bytes:
    """A ClientHello of an old version, with ciphers that it knows; our own OpenSSL would not send one."""
    ciphers = bytes.fromhex("c00ac009c014c013003500 2f".replace(" ", ""))
    groups = bytes.fromhex("000a00060004 0017 0018".replace(" ", ""))
    body = version.to_bytes(2) + bytes(32) + b"\x00" + len(ciphers).to_bytes(2) + ciphers + b"\x01\x00"
    body += len(groups).to_bytes(2) + groups
    message = b"\x01" + len(body).to_bytes(3) + body
    return bytes([HANDSHAKE, 3, 1]) + len(message).to_bytes(2) + message


@pytest.mark.spec("RFC 9325 section 4.2", "FAPI 2.0 Security Profile section 5.2.1")
@pytest.mark.parametrize("cipher", ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384"])
def test_tls_1_2_with_forward_secrecy_and_aead_is_spoken(
    ending_tls: Provider, authority: Authority, cipher: str
) -> None:
    wishes = {"maximum_version": ssl.TLSVersion.TLSv1_2, "ciphers": cipher}
    assert handshake(ending_tls, authority, **wishes)[:2] == ("TLSv1.2", cipher)


@pytest.mark.spec("RFC 9325 section 3.1.1")
def test_tls_1_3_is_preferred_and_old_versions_and_ciphers_are_refused(
    ending_tls: Provider, authority: Authority
) -> None:
    assert handshake(ending_tls, authority)[0] == "TLSv1.3"
    for cipher in (
        "ECDHE-ECDSA-AES128-SHA256",
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        "ECDHE-ECDSA-AES256-SHA",
        "AES128-SHA",
    ):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            handshake(ending_tls, authority, maximum_version=ssl.TLSVersion.TLSv1_2, ciphers=cipher)
    for version in (0x0300, 0x0301, 0x0302):
        with socket.create_connection(("127.0.0.1", ending_tls.port), timeout=10) as connection:
            connection.sendall(hello(version))
            answer = connection.recv(7)
        # Nothing, or an alert: never a ServerHello.
        assert not answer or (answer[0], answer[6]) in {(ALERT, PROTOCOL_VERSION), (ALERT, HANDSHAKE_FAILURE)}


def test_a_renewed_certificate_is_served_without_a_restart(ending_tls: Provider, authority: Authority) -> None:
    settings = ending_tls.settings
    assert settings.tls_certificate
    assert settings.tls_key
    first = handshake(ending_tls, authority)[2]
    renewed = authority.issue("localhost", "127.0.0.1", label="renewed")
    chain = renewed.chain.read_bytes()
    # Half of the new chain, then all of it without its key: neither is served.
    for written in (chain[:200], chain):
        settings.tls_certificate.write_bytes(written)
        assert handshake(ending_tls, authority)[2] == first
    settings.tls_key.write_bytes(renewed.key.read_bytes())
    assert handshake(ending_tls, authority)[2] == ssl.PEM_cert_to_DER_cert(
        chain.decode().partition("-----END")[0] + END
    )
    assert session(authority.file).get(ending_tls.url("/readyz"), timeout=10).status_code == 200


def test_plain_http_at_the_tls_port_gets_no_answer(ending_tls: Provider) -> None:
    with socket.create_connection(("127.0.0.1", ending_tls.port), timeout=10) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"status" not in connection.recv(1000)


def test_one_context_serves_all_until_a_file_changes(certificate: Certificate, tmp_path: Path) -> None:
    chain = tmp_path / "chain.pem"
    chain.write_bytes(certificate.chain.read_bytes())
    reloading = ReloadingContext(chain, certificate.key)
    first = reloading.current()
    assert reloading.current() is first
    chain.write_bytes(certificate.chain.read_bytes() + b"\n")
    assert reloading.current() is not first
    chain.unlink()
    kept = reloading.current()
    assert reloading.current() is kept


@pytest.mark.parametrize("broken", ["missing", "empty", "of another key", "locked by a passphrase"])
def test_what_cannot_be_served_at_the_start_is_told(
    authority: Authority, certificate: Certificate, tmp_path: Path, broken: str
) -> None:
    key = tmp_path / "key.pem"
    if broken == "empty":
        key.touch()
    elif broken == "of another key":
        key.write_bytes(authority.issue("localhost", label="other").key.read_bytes())
    elif broken == "locked by a passphrase":
        opened = load_pem_private_key(certificate.key.read_bytes(), None)
        passphrase = BestAvailableEncryption(b"passphrase")
        key.write_bytes(opened.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, passphrase))
    with pytest.raises(Unusable, match="tls_key"):
        ReloadingContext(certificate.chain, key)
