"""What is asked of every page, as JavaScript for the browser that shows it."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page

AXE = Path(__file__).resolve().parents[1] / "interop" / "node_modules" / "axe-core" / "axe.min.js"

# What a finger must hit: links inside a sentence are exempt (WCAG 2.5.8), all else is 44 px high.
SMALL_TARGETS = """() => [...document.querySelectorAll("a, button, input:not([type=hidden]), summary")]
  .filter(it => it.checkVisibility() && !(it.matches("a") && getComputedStyle(it).display === "inline"))
  .filter(it => it.getBoundingClientRect().height < 44)
  .map(it => `${it.tagName} ${it.id} ${it.getBoundingClientRect().height}`)"""
SIDEWAYS = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
INLINE = """() => document.querySelectorAll("[style], style, script, [onclick], [onload], [onsubmit]").length"""
_VIOLATIONS = """async () => {
  const kinds = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
  const found = (await axe.run({runOnly: kinds})).violations;
  return found.map(one => `${one.id}: ${one.nodes.map(it => it.html + " " + it.failureSummary).join(" | ")}`);
}"""


def violations(tab: Page) -> list[str]:
    """What axe finds wrong with a page; its script is brought in once, which costs more than a look with it."""
    if tab.evaluate("() => typeof axe") == "undefined":
        tab.add_script_tag(path=AXE)
    found: list[str] = tab.evaluate(_VIOLATIONS)
    return found
