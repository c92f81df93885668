"""Load: wrk on one thread, from loopback to loopback, with a script of ours that knows what to send."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.bench.contest import Sample
from tests.bench.processes import cpu_seconds

SCRIPTS = Path(__file__).parent / "lua"
CONNECTIONS = 16
LONGEST = 10.0
_RESULT = re.compile(r"^RESULT (\{.*\})$", re.MULTILINE)

Plan = Mapping[str, object]


def load(
    base: str,
    script: str,
    plan: Plan,
    *,
    seconds: float,
    pids: Sequence[int],
    connections: int = CONNECTIONS,
) -> Sample:
    """Run one round. What counts as a piece of work is the script's to say; the CPU time of all `pids` counts."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        facts = Path(folder) / "plan.lua"
        facts.write_text(f"return {_lua(plan)}")
        before = sum(map(cpu_seconds, pids))
        whole = max(1, round(min(seconds, LONGEST)))
        argv = ["wrk", "-t1", f"-c{connections}", f"-d{whole}s", "-s", SCRIPTS / f"{script}.lua", base, facts]
        ended = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=LONGEST + 20)
        used = sum(map(cpu_seconds, pids)) - before
    found = _RESULT.search(ended.stdout)
    if found is None:
        raise RuntimeError(f"wrk said nothing of use:\n{ended.stdout}{ended.stderr}")
    said = json.loads(found[1])
    done = said["done"]
    return Sample(
        value=done / said["seconds"],
        cpu=used / done * 1e6 if done else None,
        failed=said["failed"],
        p50=said["p50"],
        p99=said["p99"],
    )


def _lua(value: object) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"[{_lua(name)}] = {_lua(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "{" + ", ".join(map(_lua, value)) + "}"
    if isinstance(value, int):
        return str(value)
    return json.dumps(str(value))
