"""Compare what the tests covered with the floors in setup.cfg; fail below one of them."""

from __future__ import annotations

import configparser
import io
import sys
from pathlib import Path

from coverage import Coverage
from coverage.exceptions import NoDataError

ROOT = Path(__file__).resolve().parents[1]
SECTION = "coverage:floors"


def main() -> int:
    """Say how much of each part is covered, and what is missing where it is too little."""
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg")
    coverage = Coverage(config_file=str(ROOT / "setup.cfg"))
    coverage.combine(keep=True)
    status = 0
    for part, floor in settings[SECTION].items():
        covered, lines = _report(coverage, part)
        enough = covered >= float(floor)
        print(f"coverage of {part}: {covered:.2f}% (at least {floor}%){'' if enough else '  TOO LITTLE'}")
        if not enough:
            print(lines)
            status = 1
    coverage.xml_report(outfile=str(ROOT / "artifacts" / "coverage.xml"))
    return status


def _report(coverage: Coverage, part: str) -> tuple[float, str]:
    told = io.StringIO()
    try:
        return coverage.report(include=[f"{part}/*"], file=told, show_missing=True, skip_covered=True), told.getvalue()
    except NoDataError:
        return 0.0, "nothing was covered"


if __name__ == "__main__":
    sys.exit(main())
