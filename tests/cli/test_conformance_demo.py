"""`idp conformance-demo`: one command, and an independent client passes."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cryptography import x509
from joserfc.jwk import ECKey

from idp.cli import main
from idp.cli.serving import certificate as certificates
from idp.demo.conformance import CLAIMS, EMAIL
from idp.jose.keys import SigningKey
from idp.protocol import claims
from tests.interop.conftest import Node
from tests.interop.test_openid_client import PERSON, PUBLIC
from tests.services.authority import Authority, Certificate
from tests.services.program import Program, free_port
from tests.services.provider import IDP, session

pytestmark = pytest.mark.xdist_group("conformance")

CALLBACK, AFTER = "https://suite.example/callback", "https://suite.example/post"
KEY = SigningKey.generate("ES256")
COMMON = {"redirect_uris": [CALLBACK], "post_logout_redirect_uris": [AFTER]}
CLIENTS: list[dict[str, Any]] = [
    # Names no method: RFC 7591 says which one it has.
    {"client_id": "client_secret_basic", "client_secret": "b", **COMMON},
    {
        "client_id": "client_secret_post",
        "client_secret": "p",
        "token_endpoint_auth_method": "client_secret_post",
        **COMMON,
    },
    {
        "client_id": "private_key_jwt",
        "token_endpoint_auth_method": "private_key_jwt",
        "jwks": {"keys": [KEY.public_jwk()]},
        **COMMON,
    },
    {"client_id": "none", "token_endpoint_auth_method": "none", **COMMON},
]


class Demo:
    """A running conformance-demo, started in an empty home with nothing in its environment."""

    def __init__(self, folder: Path, *arguments: object, environment: Mapping[str, str] | None = None) -> None:
        (folder / "home").mkdir(parents=True)
        self.folder, self.port = folder, free_port()
        (folder / "clients.json").write_text(json.dumps(CLIENTS))
        (folder / "tmp").mkdir()
        bare = {"HOME": str(folder / "home"), "TMPDIR": str(folder / "tmp"), **(environment or {})}
        argv = [IDP, "conformance-demo", "--port", str(self.port), "--clients", "clients.json", *map(str, arguments)]
        # `env -i`: nothing of the shell that runs the tests helps along, save what measures coverage.
        kept = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}
        clean = ["env", "-i", *(f"{name}={value}" for name, value in {**kept, **bare}.items())]
        self.program = Program([*clean, *argv], log=folder / "terminal", cwd=folder)

    def wait(self) -> Demo:
        self.program.wait_for_port(self.port)
        return self

    def left(self) -> list[str]:
        """What lies in the temporary folder."""
        return sorted(path.name for path in (self.folder / "tmp").iterdir())


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory, certificate: Certificate) -> Iterator[Demo]:
    """With a certificate of an authority."""
    folder = tmp_path_factory.mktemp("conformance") / "demo"
    made = Demo(folder, "--cert", certificate.chain, "--key", certificate.key)
    try:
        yield made.wait()
    finally:
        made.program.stop()


@pytest.fixture(scope="module")
def walks(demo: Demo, foreign: Node) -> dict[str, dict[str, dict[str, Any]]]:
    """The whole walk of the foreign client, for each static client."""
    secret = ECKey.import_key(KEY.private_pem().decode()).as_dict(private=True)
    given = {
        "issuer": f"https://localhost:{demo.port}",
        "username": "alice",
        "password": "alice-password",
        "email": EMAIL,
        "name": CLAIMS["name"],
        "jwk": {**secret, "kid": KEY.kid, "alg": KEY.alg},
        "id_token_alg": "RS256",
        "scope": "openid profile email address phone offline_access",
        "redirect_uri": CALLBACK,
        "post_logout_redirect_uri": AFTER,
    }
    return {
        each["client_id"]: {
            line["check"]: line
            for line in foreign.run(
                "client.mjs",
                {
                    **given,
                    "client_id": each["client_id"],
                    "client_secret": each.get("client_secret"),
                    "method": each["client_id"],
                },
            )
        }
        for each in CLIENTS
    }


@pytest.fixture(scope="module")
def foreign(node: Path, authority: Authority) -> Node:
    return Node(program=node, authority=authority.file)


def of_this_mode(checks: tuple[str, ...]) -> list[str]:
    # There is no API here but the provider itself.
    return [check for check in checks if check != "a token for an API is for that API alone"]


@pytest.mark.parametrize(
    ("client", "check"),
    [
        (each["client_id"], check)
        for each in CLIENTS
        for check in of_this_mode(PUBLIC if each["client_id"] == "none" else PERSON)
    ],
)
def test_the_foreign_client_finds_that(walks: dict[str, Any], client: str, check: str) -> None:
    found = walks[client][check]
    assert found["ok"], found["info"]


def get(port: int, host: str, path: str, trust: Path) -> tuple[bytes, dict[str, Any]]:
    """Ask by a name that only this test knows to be loopback."""
    context = ssl.create_default_context(cafile=str(trust))
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=host) as wrapped,
    ):
        wrapped.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: wrapped.recv(65_536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    return head, json.loads(body)


@pytest.mark.spec("OpenID Config oidcc-discovery-endpoint-verification")
def test_a_name_of_choice_with_a_certificate_of_its_own(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    made = Demo(tmp_path / "demo", "--host", "OP.test", "--ca", ca)
    try:
        made.wait()
        _, document = get(made.port, "op.test", "/.well-known/openid-configuration", ca)
        assert document["issuer"] == f"https://op.test:{made.port}"
        assert all(
            value.startswith(f"{document['issuer']}/") for name, value in document.items() if name.endswith("_endpoint")
        )
        assert set(claims.STANDARD) <= set(document["claims_supported"])
        _, keys = get(made.port, "op.test", "/jwks", ca)
        assert {key["alg"] for key in keys["keys"]} == {"RS256", "ES256", "PS256", "EdDSA"}
    finally:
        made.program.stop()


def test_it_is_reached_on_loopback_alone(demo: Demo) -> None:
    with socket.socket() as probe:
        # Bound to 127.0.0.1 alone: another address of this machine is free.
        probe.bind(("127.0.0.2", demo.port))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("moment", ["while it starts", "while it serves"])
def test_it_leaves_nothing_behind(tmp_path: Path, number: signal.Signals, moment: str) -> None:
    made = Demo(tmp_path / "demo")
    try:
        if moment == "while it starts":
            deadline = time.monotonic() + 30
            while not made.left() and time.monotonic() < deadline:
                time.sleep(0.01)
        else:
            made.wait()
        assert any(name.startswith("gatehouse-conformance-") for name in made.left())
        made.program.signal(number)
        made.program.wait(seconds=20)
        assert made.left() == []
        assert sorted(path.name for path in made.folder.iterdir()) == ["clients.json", "home", "terminal", "tmp"]
        assert not any((made.folder / "home").iterdir())
    finally:
        made.program.stop()


def test_settings_of_the_shell_and_the_folder_do_not_reach_in(tmp_path: Path, authority: Authority) -> None:
    folder = tmp_path / "demo"
    folder.mkdir()
    (folder / "idp.toml").write_text('issuer = "https://elsewhere.example"\nnonsense = 1\n')
    ca = tmp_path / "ca.pem"
    made = Demo(folder, "--ca", ca, environment={"IDP_HOST": "0.0.0.0", "IDP_WORKERS": "x", "IDP_DEMO": "yes"})
    try:
        made.wait()
        answer = session(ca).get(f"https://localhost:{made.port}/.well-known/openid-configuration", timeout=20)
        assert answer.json()["issuer"] == f"https://localhost:{made.port}"
    finally:
        made.program.stop()


def refused(*arguments: object) -> str:
    result = CliRunner().invoke(main, ["conformance-demo", *map(str, arguments)])
    assert result.exit_code in {1, 2}, result.output
    assert "Traceback" not in result.output
    return " ".join(result.output.replace("│", " ").split())


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for what a refused command might leave."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr("idp.cli.conformance_demo.signal.signal", lambda *_: None)
    for name in [name for name in os.environ if name.startswith("IDP_")] + ["IDP_CONFIG"]:
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--host", "https://op.test"), "without scheme or port"),
        (("--host", "op.test:9443"), "without scheme or port"),
        (("--host", "op..test"), "without scheme or port"),
        (("--host", ""), "without scheme or port"),
        (("--port", "0"), "--port"),
        (("--clients", "none.json"), "none.json"),
        (("--cert", "none.pem"), "none.pem"),
        (("--cert", sys.executable), "--cert and --key go together"),
    ],
    ids=str,
)
@pytest.mark.usefixtures("elsewhere")
def test_says_what_is_wrong(arguments: tuple[str, ...], words: str) -> None:
    assert words in refused(*arguments)


def test_a_bad_list_is_told_and_nothing_stays(elsewhere: Path) -> None:
    file = elsewhere / "clients.json"
    file.write_text(json.dumps([{**CLIENTS[0], "redirect_uris": ["javascript:alert(1)"]}]))
    assert "client 1: redirect_uris" in refused("--clients", file)
    assert list(elsewhere.iterdir()) == [file]


def test_an_authority_that_cannot_be_written_is_told(elsewhere: Path) -> None:
    assert "--ca: this file cannot be written" in refused("--ca", elsewhere / "none" / "ca.pem")
    assert list(elsewhere.iterdir()) == []


def test_the_help_says_what_each_option_is_for() -> None:
    told = " ".join(CliRunner().invoke(main, ["conformance-demo", "--help"]).output.split())
    for words in ("--host", "--port", "--cert", "--key", "--clients", "--ca", "alice / alice-password"):
        assert words in told
    assert "the self-signed certificate is written there" in told


def test_a_self_signed_certificate_is_known_again_and_no_other_is(tmp_path: Path, certificate: Certificate) -> None:
    pair = certificates.make("op.test", tmp_path)
    assert certificates.is_ours(pair.certificate)
    assert not certificates.is_ours(certificate.chain)
    assert not certificates.is_ours(pair.key)
    pair.certificate.write_bytes(pair.certificate.read_bytes() * 2)
    assert not certificates.is_ours(pair.certificate)
    assert pair.key.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("host", "names"),
    [
        ("op.test", ["op.test", "localhost", "127.0.0.1"]),
        ("localhost", ["localhost", "127.0.0.1"]),
        ("127.0.0.2", ["127.0.0.2", "localhost"]),
    ],
)
def test_a_self_signed_certificate_is_for_its_host_and_loopback(tmp_path: Path, host: str, names: list[str]) -> None:
    made = x509.load_pem_x509_certificate(certificates.make(host, tmp_path).certificate.read_bytes())
    said = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(name.value) for name in said] == names


def test_the_file_for_authorities_is_renewed_if_it_is_ours_and_kept_if_not(
    tmp_path: Path, authority: Authority
) -> None:
    ours, theirs = tmp_path / "ours.pem", tmp_path / "theirs.pem"
    ours.write_bytes(certificates.make("localhost", tmp_path).certificate.read_bytes())
    theirs.write_bytes(authority.file.read_bytes())
    before = ours.read_bytes()
    for place, ca in enumerate((ours, theirs)):
        made = Demo(tmp_path / f"demo{place}", "--ca", ca)
        try:
            made.wait()
        finally:
            made.program.stop()
    assert ours.read_bytes() != before
    assert theirs.read_bytes() == authority.file.read_bytes()
