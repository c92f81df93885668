"""Certificates as fronts hand them on."""

from __future__ import annotations

from base64 import b64encode
from textwrap import wrap
from urllib.parse import quote

import pytest

from idp.protocol.client_certificate import read, thumbprint

DER = b"\x30\x03\x02\x01\x07" * 40
LINES = "\n".join(wrap(b64encode(DER).decode(), 64))
PEM = f"-----BEGIN CERTIFICATE-----\n{LINES}\n-----END CERTIFICATE-----\n"


@pytest.mark.spec("RFC 9440 section 2.2")
@pytest.mark.parametrize(
    "value",
    [
        quote(PEM, safe=""),
        quote(PEM.replace("\n", "\r\n")),
        quote(PEM.strip()),
        PEM.replace("\n", "\t"),
        f":{b64encode(DER).decode()}:",
        f" :{b64encode(DER).decode()}: ",
    ],
)
def test_reads_the_form_of_nginx_and_that_of_the_rfc(value: str) -> None:
    assert read(value) == DER


@pytest.mark.attack("TK35")
@pytest.mark.parametrize(
    "value",
    [
        "",
        "::",
        quote(PEM + PEM),
        quote("x" + PEM),
        quote(PEM + "x"),
        f":{b64encode(DER).decode()}:, :{b64encode(DER).decode()}:",
        f":{b64encode(DER).decode()[:-1]}:",
        f":{b64encode(b'no certificate').decode()}:",
        b64encode(DER).decode(),
        quote(PEM.replace("CERTIFICATE", "PRIVATE KEY")),
        quote(PEM) + "%0A" * 6_000,
        "a" * 17_000,
    ],
)
def test_anything_else_is_no_certificate(value: str) -> None:
    assert read(value) is None


@pytest.mark.spec("RFC 8705 section 3.1")
def test_a_certificate_is_named_by_the_digest_of_its_bytes() -> None:
    assert thumbprint(b"abc") == "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0"
