"""Bars as SVG, each beside the line it has to reach. They follow the reader's light or dark page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, LEFT, RIGHT, BAR, ROW, TOP = 860, 330, 150, 14, 34, 44
STYLE = """text{font:13px system-ui,sans-serif;fill:#1f2933}.q{fill:#52606d;font-size:11px}
.t{font-weight:600;font-size:14px}
.bar{fill:#1b6e5a}.miss{fill:#b4472e}.whisker{stroke:#1f2933;stroke-width:1.5}.goal{stroke:#52606d;stroke-dasharray:3 3}
@media(prefers-color-scheme:dark){text{fill:#e4e7eb}.q{fill:#9aa5b1}.bar{fill:#4fb89a}.miss{fill:#e0806a}
.whisker{stroke:#e4e7eb}.goal{stroke:#9aa5b1}}"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One line: its median as a multiple of what is wanted, and how far its rounds lie apart."""

    label: str
    figure: str
    share: float
    low: float
    high: float
    reached: bool


def bars(title: str, quiet: str, rows: Sequence[Bar]) -> str:
    """Draw the bars; the dashed line is what is wanted, and further right is better."""
    height = TOP + ROW * len(rows) + 30
    most = max(2.0, *(row.share for row in rows)) * 1.02
    most = min(most, 6.0)
    scale = (WIDTH - LEFT - RIGHT) / most
    goal = LEFT + scale
    drawn = "".join(_row(row, TOP + ROW * number, scale, most) for number, row in enumerate(rows))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="{escape(title)}"><style>{STYLE}</style>'
        f'<text class="t" x="8" y="20">{escape(title)}</text>'
        f'{drawn}<line class="goal" x1="{goal:.1f}" x2="{goal:.1f}" y1="{TOP - 12}" y2="{height - 26}"/>'
        f'<text class="q" x="{goal:.1f}" y="{height - 12}" text-anchor="middle">wanted</text>'
        f'<text class="q" x="8" y="{height - 12}">{escape(quiet)}</text></svg>\n'
    )


def _row(row: Bar, top: int, scale: float, most: float) -> str:
    long, low, high = (LEFT + min(each, most) * scale for each in (row.share, row.low, row.high))
    middle = top + BAR / 2
    return (
        f'<text x="{LEFT - 8}" y="{top + 12}" text-anchor="end">{escape(row.label)}</text>'
        f'<rect class="{"bar" if row.reached else "miss"}" x="{LEFT}" y="{top}" width="{long - LEFT:.1f}" '
        f'height="{BAR}" rx="2"/>'
        f'<line class="whisker" x1="{low:.1f}" x2="{high:.1f}" y1="{middle}" y2="{middle}"/>'
        f'<text class="q" x="{max(long, high) + 6:.1f}" y="{top + 12}">{escape(row.figure)}</text>'
    )
