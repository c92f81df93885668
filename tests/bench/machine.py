"""What was measured on, and how busy it was with other things."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("Flask", "Authlib", "granian", "gunicorn", "SQLAlchemy", "joserfc", "cryptography", "uvicorn", "PyJWT")
_VERSION = re.compile(r"\d+\.\d+\.\d+")
_BUSY = 0.5  # load a core by others, before anything of ours ran


def facts() -> dict[str, str]:
    """Describe the machine and the versions that matter."""
    return {
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 1e9:.0f} GB",
        "system": f"{platform.system()} {platform.release()}, CPython {platform.python_version()}",
        "packages": ", ".join(f"{name} {version(name)}" for name in PACKAGES),
        "rivals": f"Node {_says(Path(sys.executable).with_name('node'), '--version')}, oidc-provider {_npm()}",
        "fronts": ", ".join(_fronts()),
        "load": "wrk, one thread, 16 connections, over loopback; it shares the cores with whoever is measured",
    }


def load_average() -> float:
    """How many processes wanted a core in the last minute."""
    return os.getloadavg()[0]


def busy(load: float) -> bool:
    """Say whether others used the machine too."""
    return load > _BUSY * (os.cpu_count() or 1)


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _fronts() -> Iterator[str]:
    for name, *asked in (("nginx", "-v"), ("haproxy", "-v"), ("caddy", "version")):
        beside = Path(sys.executable).with_name(name)
        command = beside if beside.exists() else shutil.which(name) or f"/usr/sbin/{name}"
        yield f"{name} {_VERSION.search(_says(command, *asked))[0]}"  # type: ignore[index] - each says one


def _says(*argv: str | Path) -> str:
    told = subprocess.run(argv, capture_output=True, text=True, check=True)
    return (told.stdout or told.stderr).strip()


def _npm() -> str:
    package = Path(__file__).parents[1] / "interop/node_modules/oidc-provider/package.json"
    return next(line.split('"')[3] for line in package.read_text().splitlines() if '"version"' in line)
