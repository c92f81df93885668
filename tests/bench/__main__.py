"""`python -m tests.bench [--quick] [ROW ...]`: measure some rows or all, then write docs/benchmarks.md.

Results stay in artifacts/bench, one file for each row, so that one row can be measured again by itself; the document
is made from all of them.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import traceback
from datetime import UTC, datetime
from pathlib import Path

from tests.bench import machine, report
from tests.bench.contest import FULL, QUICK, Pace
from tests.bench.rows import (
    bodies,
    codes,
    documents,
    first_tokens,
    forward_auths,
    fronts,
    growths,
    leavings,
    logins,
    memories,
    proxies,
    refreshes,
    revocations,
    tokens,
    verifiers,
)

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "artifacts" / "bench"
ROWS = {
    "tokens": tokens.run,
    "codes": codes.run,
    "refreshes": refreshes.run,
    "logins": logins.run,
    "documents": documents.run,
    "verifiers": verifiers.run,
    "forward_auths": forward_auths.run,
    "fronts": fronts.run,
    "proxies": proxies.run,
    "bodies": bodies.run,
    "revocations": revocations.run,
    "leavings": leavings.run,
    "growths": growths.run,
    "memories": memories.run,
    "first_tokens": first_tokens.run,
}


def main(arguments: list[str]) -> int:
    """Measure and write. A rival that does not start is told, and fails nothing."""
    chosen = _read(arguments)
    pace = QUICK if chosen.quick else FULL
    RESULTS.mkdir(parents=True, exist_ok=True)
    for name in () if chosen.page else chosen.rows or ROWS:
        try:
            _measure(name, pace)
        except Exception:  # noqa: BLE001 - one row less is better than no document
            print(f"{name}: could not be measured\n{traceback.format_exc()}", file=sys.stderr)
    report.write(ROOT / "docs", RESULTS, list(ROWS))
    print("docs/benchmarks.md: written")
    return 0


def _read(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("rows", nargs="*", choices=[[], *ROWS], metavar="ROW", help=f"of {', '.join(ROWS)}")
    parser.add_argument("--quick", action="store_true", help="three rounds of a second: to see whether it works")
    parser.add_argument("--page", action="store_true", help="measure nothing, write the page from earlier results")
    return parser.parse_args(arguments)


def _measure(name: str, pace: Pace) -> None:
    began, load = time.monotonic(), machine.load_average()
    lines = []
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        Path(folder).chmod(0o755)  # PostgreSQL runs as a user of its own
        for outcome in ROWS[name](Path(folder), pace):
            lines.append(outcome.to_json())
            print(report.spoken(outcome), flush=True)
    said = {
        "row": name,
        "at": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "took": round(time.monotonic() - began),
        "rounds": pace.rounds,
        "seconds": pace.seconds,
        "load": round(load, 1),
        "machine": machine.facts(),
        "lines": lines,
    }
    (RESULTS / f"{name}.json").write_text(json.dumps(said, indent=1))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
