"""Where the time goes, found by profiling one worker; words for the document, by row."""

from __future__ import annotations

from typing import Final

SPENT: Final[dict[str, str]] = {}
