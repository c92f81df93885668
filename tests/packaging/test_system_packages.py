"""What `make test` does where a server is missing: it says the line to run, and never goes on without."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / ".ci/system-packages"


def programs(folder: Path, **written: str) -> Path:
    """A PATH on which nothing is but a shell, what it needs, and what is written here."""
    for name in ("sh", "ls", "dirname"):
        found = shutil.which(name)
        assert found is not None
        (folder / name).symlink_to(found)
    for name, body in {"id": "echo 1000", **written}.items():
        file = folder / name
        file.write_text(f"#!/bin/sh\n{body}\n")
        file.chmod(0o755)
    return folder


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", SCRIPT, *words], env={"PATH": str(folder)}, capture_output=True, text=True, check=False, timeout=30
    )


@pytest.mark.parametrize("purpose", ["test", "bench"])
def test_whoever_may_not_install_is_told_the_line_that_does(tmp_path: Path, purpose: str) -> None:
    ended = run(programs(tmp_path, **{"apt-get": "exit 9"}), purpose)
    assert ended.returncode == 1
    assert " redis-server chromium" in ended.stderr.replace(" nginx", "").replace(" slapd", "")
    assert ended.stderr.splitlines()[-1] == f"  sudo {SCRIPT} {purpose}"
    assert ("wrk" in ended.stderr) == (purpose == "bench")


def test_where_there_is_no_apt_the_names_are_given_and_nothing_goes_on(tmp_path: Path) -> None:
    ended = run(programs(tmp_path))
    assert ended.returncode == 1
    assert "redis-server" in ended.stderr
    assert "sudo" not in ended.stderr


def test_a_word_it_does_not_know_is_refused(tmp_path: Path) -> None:
    assert run(programs(tmp_path), "everything").returncode == 2
