"""The generated documents: settings, evidence and conformance. `--write` writes them; without it they are compared."""

from __future__ import annotations

import difflib
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from idp.gateway.policy import schema
from tests.check import configuration, conformance, evidence

ROOT = Path(__file__).resolve().parents[2]
Marks = Mapping[str, Mapping[str, list[str]]]
DOCUMENTS: Mapping[str, Callable[[Marks], str]] = {
    "docs/configuration.md": lambda _marks: configuration.render(),
    "docs/security-evidence.md": lambda marks: evidence.render(marks["attack"]),
    "docs/conformance.md": lambda marks: conformance.render(marks["spec"]),
    "docs/gateway.schema.json": lambda _marks: schema.render(),
}


def main(arguments: list[str]) -> int:
    """Write or compare; say which attacks still lack a test."""
    marks = _collect()
    status = 0
    for name, render in DOCUMENTS.items():
        file, text = ROOT / name, render(marks)
        if "--write" in arguments:
            file.write_text(text, "utf-8")
            print(f"{name}: written")
        elif not _same(file, text):
            status = 1
    missing = evidence.missing(marks["attack"])
    if missing:
        print(f"attacks without a test and without a reason in tests/attacks.toml: {', '.join(missing)}")
        status = 1
    if "--write" in arguments:
        return 0
    if status == 0:
        print("documents: up to date")
    return status


def _collect() -> Marks:
    """Ask pytest which test carries which mark."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "marks.json"
        # Every test counts, the long ones too; plain addopts, so that nothing is deselected.
        command = [sys.executable, "-m", "pytest", "--collect-only", "-qq", "-m", "", f"--write-marks={target}"]
        done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"the tests cannot be collected:\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
        marks: Marks = json.loads(target.read_text("utf-8"))
        return marks


def _same(file: Path, text: str) -> bool:
    there = file.read_text("utf-8") if file.is_file() else ""
    if there == text:
        return True
    name = str(file.relative_to(ROOT))
    changes = difflib.unified_diff(there.splitlines(), text.splitlines(), name, "as generated", lineterm="", n=0)
    print("\n".join([f"{name} is out of date; run `make docs`:", *list(changes)[:20]]))
    return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
