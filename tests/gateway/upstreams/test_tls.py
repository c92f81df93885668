"""TLS to a server behind that asks for the gateway's certificate, with files that change while it runs."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from idp.gateway.client import Unusable
from idp.gateway.reload import Reload
from idp.gateway.upstreams.model import TlsConfig
from idp.gateway.upstreams.tls import Tls
from idp.jose.certificate import ends
from idp.jose.strict import JoseError
from tests.gateway.conftest import config_text
from tests.gateway.raw import request
from tests.gateway.upstream import OK, read_request
from tests.gateway.websocket.peer import wait_until
from tests.services.authority import Authority, Certificate


class Guarded:
    """A server that answers nobody without a certificate of the right authority."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.context = context
        self.subjects: list[str] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]

    def run(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection: socket.socket) -> None:
        try:
            with self.context.wrap_socket(connection, server_side=True) as secure:
                kept = b""
                while (got := read_request(secure, kept)) is not None:
                    kept = got[1]
                    shown = secure.getpeercert() or {}
                    self.subjects.append(str(shown.get("subjectAltName")))
                    secure.sendall(OK)
        except OSError:
            connection.close()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def guarded(authority: Authority) -> Iterator[Guarded]:
    certificate = authority.issue("orders.internal", label="orders")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.chain, certificate.key)
    context.load_verify_locations(authority.file)
    context.verify_mode = ssl.CERT_REQUIRED
    with running(Guarded(context)) as server:
        yield server


@contextmanager
def running(server: Guarded) -> Iterator[Guarded]:
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.listener.shutdown(socket.SHUT_RDWR)
        server.listener.close()
        thread.join()


@pytest.fixture
def files(tmp_path: Path, authority: Authority) -> Certificate:
    """What the gateway shows, where it can be changed."""
    issued = authority.issue("gateway.internal", label="gateway", client=True)
    held = Certificate(chain=tmp_path / "gateway.pem", key=tmp_path / "gateway.key")
    put(issued, held)
    return held


def put(issued: Certificate, held: Certificate) -> None:
    held.chain.write_bytes(issued.chain.read_bytes())
    held.key.write_bytes(issued.key.read_bytes())


def text(issuer, guarded: Guarded, **fields: object) -> str:
    named = config_text(issuer, None).replace('upstream = "http://127.0.0.1:9"', 'upstream = "orders"')
    lines = "\n".join(f'{name} = "{value}"' for name, value in fields.items())
    return f'{named}\n[upstreams.orders]\naddress = "https://127.0.0.1:{guarded.port}"\n{lines}\n'


def shown(authority: Authority, files: Certificate) -> dict[str, object]:
    return {
        "ca_file": authority.file, "certificate": files.chain, "key": files.key, "server_name": "orders.internal",
    }  # fmt: skip


def around(guarded: Guarded, authority: Authority, data: bytes) -> bytes:
    """Ask the server itself, with everything but the certificate."""
    stranger = ssl.create_default_context(cafile=str(authority.file))
    plain = socket.create_connection(("127.0.0.1", guarded.port), 3)
    with plain, stranger.wrap_socket(plain, server_hostname="orders.internal") as secure:
        secure.sendall(data)
        return secure.recv(100)


@pytest.mark.attack("GW23")
def test_a_server_that_asks_for_our_certificate_is_reached_through_us_and_not_around_us(
    serve, issuer, token, guarded, authority, files
):
    gateway = serve(text(issuer, guarded, **shown(authority, files)))
    assert gateway.ask(request(token=token)).status == 200
    assert guarded.subjects == ["(('DNS', 'gateway.internal'),)"]
    with pytest.raises((ssl.SSLError, ConnectionError)):
        around(guarded, authority, request(token=token))
    assert len(guarded.subjects) == 1


@pytest.mark.attack("GW23")
@pytest.mark.parametrize("without", ["certificate", "ca_file", "server_name"])
def test_neither_side_is_believed_without_the_right_certificate(
    without, serve, issuer, token, guarded, authority, files
):
    fields = shown(authority, files)
    del fields[without]
    if without == "certificate":
        del fields["key"]
    gateway = serve(text(issuer, guarded, **fields))
    assert gateway.ask(request(token=token)).status == 502
    (failed,) = gateway.lines("upstream.failed")
    if without != "certificate":
        assert "upstream cannot be trusted: " in failed["reason"]
    assert guarded.subjects == []


def test_an_older_protocol_is_not_spoken(serve, issuer, token, authority, files, guarded):
    guarded.context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    guarded.context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        guarded.context.maximum_version = ssl.TLSVersion.TLSv1_1
    gateway = serve(text(issuer, guarded, **shown(authority, files)))
    assert gateway.ask(request(token=token)).status == 502


def test_a_certificate_that_changes_counts_at_once_and_a_bad_one_never(serve, issuer, token, guarded, authority, files):
    gateway = serve(text(issuer, guarded, **shown(authority, files)))
    assert gateway.ask(request(token=token)).status == 200
    good = files.chain.read_bytes()
    files.chain.write_bytes(good[: len(good) // 3])
    assert wait_until(lambda: gateway.lines("tls.kept"), 30)
    (kept,) = gateway.lines("tls.kept")
    assert kept["problem"] == f"{files.chain}: is not a certificate with its key"
    assert gateway.ask(request(token=token)).status == 200
    put(authority.issue("gateway-2.internal", label="gateway-2", client=True), files)
    assert wait_until(lambda: gateway.lines("tls.replaced"), 30)
    assert gateway.ask(request(token=token)).status == 200
    assert guarded.subjects[-1] == "(('DNS', 'gateway-2.internal'),)"
    assert gateway.ask(request(token=token)).status == 200
    assert gateway.lines("tls.replaced")[0]["ends"] > time.time()


def test_a_file_that_names_a_bad_certificate_never_replaces_a_good_one(
    serve, issuer, token, guarded, authority, files, tmp_path
):
    file = tmp_path / "gateway.toml"
    good = text(issuer, guarded, **shown(authority, files))
    file.write_text(good)
    gateway = serve(good)
    reload = Reload(file, gateway.server._gate, log=gateway.log, prepare=gateway.server._proxy.behind.prepare)
    file.write_text(good.replace("gateway.key", "nothing.key"))
    assert not reload.look(asked=True)
    assert "is not a certificate with its key" in reload.problems[0]
    assert gateway.ask(request(token=token)).status == 200
    file.write_text(good.replace("gateway.internal", "x"))
    assert reload.look(asked=True)


class World:
    """A log, and a clock for what ends some day."""

    def __init__(self) -> None:
        self.now = time.time()
        self.told: list[str] = []

    def event(self, name: str, **_: object) -> None:
        self.told.append(name)

    def tls(self, config: TlsConfig) -> Tls:
        return Tls(config, log=self, wall=lambda: self.now)


def test_a_certificate_that_ends_soon_is_told_once_a_day(authority, files):
    world = World()
    tls = world.tls(TlsConfig(certificate=files.chain, key=files.key))
    assert tls.ends == ends(files.chain.read_bytes())
    for turn in range(1, 100):
        tls.look(float(turn))
        world.now += 3_600
    assert world.told == ["tls.ending"] * 5
    world.now = 0
    tls._told = float("-inf")
    tls.look(1_000.0)
    assert len(world.told) == 5


def test_files_count_when_two_looks_find_them_the_same(authority, files):
    world = World()
    world.now = 0.0
    tls = world.tls(TlsConfig(ca_file=authority.file, certificate=files.chain, key=files.key))
    put(authority.issue("other.internal", label="other", client=True), files)
    tls.look(10.0)
    tls.look(10.5)
    assert (tls.generation, world.told) == (0, [])
    tls.look(11.5)
    assert (tls.generation, world.told) == (1, ["tls.replaced"])
    files.key.unlink()
    tls.look(13.0)
    tls.look(15.0)
    tls.look(17.0)
    assert (tls.generation, world.told) == (1, ["tls.replaced", "tls.kept"])


Spoil = Callable[[Path, Certificate], TlsConfig]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda folder, _files: TlsConfig(ca_file=folder / "none.pem"),
        lambda _folder, files: TlsConfig(ca_file=files.key),
        lambda folder, _files: TlsConfig(certificate=folder / "none.pem"),
        lambda _folder, files: TlsConfig(certificate=files.chain),
        lambda _folder, files: TlsConfig(certificate=files.chain, key=files.chain),
        lambda folder, files: TlsConfig(certificate=files.chain, key=sealed(folder)),
    ],
)
def test_files_that_cannot_be_used_are_refused_at_the_start(spoil: Spoil, tmp_path, files):
    with pytest.raises(Unusable):
        World().tls(spoil(tmp_path, files))


def sealed(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    file = folder / "sealed.key"
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")))
    return file


@pytest.mark.parametrize("pem", [b"", b"x", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_what_is_no_certificate_has_no_end(pem):
    with pytest.raises(JoseError):
        ends(pem)
