"""`idp run`: what it refuses, in words, and how it chooses. tests/cli/serving holds the running servers."""

from __future__ import annotations

import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from idp.cli import main, run
from idp.settings import Settings
from idp.store import api, client
from idp.store.database import Database
from idp.store.sealed import create_master_key
from tests.services.authority import Certificate
from tests.services.program import free_port


class Folder:
    """A folder in which somebody runs a provider."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.facts = {
            "database_url": f"sqlite:///{place / 'idp.db'}",
            "master_key_file": str(place / "master.key"),
            "port": str(free_port()),
            "metrics_port": "0",
        }
        create_master_key(place / "master.key")

    def run(self, *arguments: str, **facts: object) -> Result:
        told = {f"IDP_{name.upper()}": str(value) for name, value in (self.facts | facts).items()}
        return CliRunner().invoke(main, ["run", *arguments], env=told)

    def refused(self, *arguments: str, **facts: object) -> str:
        result = self.run(*arguments, **facts)
        assert result.exit_code in {1, 2}, result.output
        assert "Traceback" not in result.output
        return " ".join(result.stderr.split())


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    monkeypatch.chdir(tmp_path)
    # What should have been refused must not be served in this process.
    monkeypatch.setattr(run.fast, "serve", _never)
    monkeypatch.setattr(run.gunicorn.Gunicorn, "run", _never)
    monkeypatch.setattr(run.signal, "signal", lambda *_: None)
    for name in ("IDP_CONFIG", "IDP_HOST", "IDP_PORT", "IDP_WORKERS", "PROMETHEUS_MULTIPROC_DIR"):
        # Set by the command for its workers; forgotten with this test.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    return Folder(tmp_path)


def _never(*_: object) -> None:
    raise AssertionError("this was not refused")


@pytest.fixture
def served(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Settings]]:
    """Note down which server would serve what, and serve nothing."""
    found: list[tuple[str, Settings]] = []
    monkeypatch.setattr(run.fast, "serve", lambda settings: found.append(("granian", settings)))
    monkeypatch.setattr(run.gunicorn, "serve", lambda settings: found.append(("gunicorn", settings)))
    return found


def tls(certificate: Certificate) -> dict[str, Any]:
    return {"front": "tls", "tls_certificate": certificate.chain, "tls_key": certificate.key}


def test_behind_a_front_granian_serves(folder: Folder, served: list[tuple[str, Settings]]) -> None:
    assert folder.run().exit_code == 0
    assert [name for name, _ in served] == ["granian"]
    assert (folder.place / "idp.db").exists()


def test_where_tls_ends_gunicorn_serves(
    folder: Folder, served: list[tuple[str, Settings]], certificate: Certificate
) -> None:
    assert folder.run(**tls(certificate)).exit_code == 0
    assert [name for name, _ in served] == ["gunicorn"]


def test_flags_win_over_the_environment_and_reach_the_workers(
    folder: Folder, served: list[tuple[str, Settings]]
) -> None:
    file = folder.place / "other.toml"
    file.write_text('name = "Orders Inc"\nworkers = 7\n')
    port = free_port()
    done = folder.run("--config", str(file), "--port", str(port), "--workers", "3", "--server", "gunicorn", workers=5)
    assert done.exit_code == 0, done.output
    (server, settings) = served[0]
    assert (server, settings.name, settings.port, settings.workers) == ("gunicorn", "Orders Inc", port, 3)


def test_refuses_granian_where_tls_ends(folder: Folder, certificate: Certificate) -> None:
    assert "use gunicorn, or set front to proxy" in folder.refused("--server", "granian", **tls(certificate))


def test_a_taken_port_is_told(folder: Folder) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        told = folder.refused(port=taken.getsockname()[1])
    assert "cannot listen" in told
    assert "Address already in use" in told


def test_a_taken_port_is_told_although_its_holder_would_share_it(folder: Folder) -> None:
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as taken:
        assert "cannot listen" in folder.refused(port=taken.getsockname()[1])


def test_metrics_have_a_port_of_their_own(folder: Folder) -> None:
    assert "metrics_port" in folder.refused(metrics_port=folder.facts["port"])


@pytest.mark.parametrize(
    ("facts", "word"),
    [
        ({"master_key_file": "none.key"}, "idp key init"),
        ({"database_url": "postgresql://nobody:x@127.0.0.1:1/none"}, "database_url"),
        ({"database_url": "mysql://x"}, "database_url"),
        ({"issuer": "http://id.example"}, "issuer"),
        ({"host": "0.0.0.0"}, "issuer"),
        ({"demo": "yes", "issuer": "https://id.example"}, "demo"),
        ({"conformance": "yes", "host": "0.0.0.0"}, "conformance"),
        ({"front": "tls"}, "tls_certificate"),
        ({"front": "tls", "tls_certificate": "none.pem", "tls_key": "none.key"}, "tls_certificate"),
        ({"workers": "0"}, "workers"),
        ({"wokers": "1"}, "IDP_WORKERS"),
    ],
    ids=str,
)
def test_says_in_words_what_cannot_be_meant(folder: Folder, facts: dict[str, str], word: str) -> None:
    assert word in folder.refused(**facts)


def test_a_key_that_others_may_read_is_told(folder: Folder) -> None:
    (folder.place / "master.key").chmod(0o644)
    assert "chmod 600" in folder.refused()


def test_a_certificate_that_cannot_be_served_is_told(folder: Folder, certificate: Certificate) -> None:
    broken = folder.place / "broken.pem"
    broken.write_bytes(certificate.chain.read_bytes()[:200])
    told = folder.refused(front="tls", tls_certificate=broken, tls_key=certificate.key)
    assert "tls_certificate and tls_key" in told


def test_a_stop_before_it_serves_is_a_stop() -> None:
    with pytest.raises(SystemExit) as stopped:
        run._stop(15, None)
    assert stopped.value.code == 0


def test_says_whose_tokens_nobody_can_sign(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run.fast, "serve", lambda _: None)
    assert folder.run().stderr == ""
    settings = Settings.load(None, **folder.facts)
    database = Database.open(settings.database_url)
    now = datetime.now(UTC)
    with database.write() as tx:
        api.create(tx, audience="https://orders.example", name="Orders", signing_alg="ES256", now=now)
        for name, grants in (("web-app", ["authorization_code"]), ("service", ["client_credentials"])):
            client.create(tx, client_id=name, name=name, auth_method="none", grant_types=grants, now=now)
    database.close()
    assert folder.run().stderr == ""
    told = folder.run(signing_algs="EdDSA").stderr.splitlines()
    assert [line.split()[1] for line in told] == ["https://orders.example", "web-app"]
