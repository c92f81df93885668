"""Nothing that is committed tells of the machine it was made on: no home folders, no registry addresses."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Each pattern is written so that it does not find itself.
TRACES = {
    "a home folder": re.compile(r"/(?:home|Users)/[a-z][a-z0-9_-]*/|(?<![\w.])/[r]oot/"),
    "the place of this checkout": re.compile(re.escape(str(ROOT)) + r"\b"),
    "the address of a registry": re.compile(
        r"registry\.(?:npmjs|yarnpkg)\.|files\.pythonhosted\.|pypi\.org/[s]imple|\"[r]esolved\":"
    ),
    "a private key": re.compile(r"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----\s+[A-Za-z0-9+/]{40}"),
}


def main() -> int:
    """Look at every tracked file."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True).stdout
    found = [trace for name in listed.decode().split("\0") if name for trace in _traces(name)]
    print("\n".join(found) or "traces: none")
    return 1 if found else 0


def _traces(name: str) -> list[str]:
    file = ROOT / name
    if not file.is_file():
        return []
    text = file.read_bytes().decode("utf-8", "replace")
    return [f"{name}: {what}" for what, pattern in TRACES.items() if pattern.search(text)]


if __name__ == "__main__":
    sys.exit(main())
