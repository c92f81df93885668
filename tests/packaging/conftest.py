"""The wheel as it would be published, and fresh environments to try it in."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("idp", "templates", "static")
QUIET = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """A virtual environment of its own."""

    folder: Path

    @property
    def bin(self) -> Path:
        return self.folder / "bin"

    def install(self, *what: str | Path) -> None:
        self.run(self.bin / "python", "-m", "pip", "install", "--quiet", *what)

    def run(self, *argv: str | Path, status: int = 0) -> str:
        """Run a program of the environment, away from the checkout; return what it printed."""
        done = subprocess.run(
            list(map(str, argv)),
            cwd=self.folder,
            env={**os.environ, **QUIET, "PYTHONPATH": ""},
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == status, f"{done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr


@pytest.fixture(scope="session")
def sources(tmp_path_factory) -> Path:
    """A copy to build from: building in the checkout would leave folders there."""
    copy = tmp_path_factory.mktemp("sources")
    for name in SOURCES:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ROOT.iterdir():
        if file.is_file() and not file.name.startswith("."):
            shutil.copy(file, copy)
    return copy


@pytest.fixture(scope="session")
def wheel(sources, tmp_path_factory) -> Path:
    """The wheel."""
    target = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        target,
        sources,
    ]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, **QUIET})
    (built,) = target.glob("*.whl")
    return built


@pytest.fixture
def environment(tmp_path) -> Environment:
    """An empty environment."""
    folder = tmp_path / "environment"
    venv.create(folder, with_pip=True)
    return Environment(folder=folder)
