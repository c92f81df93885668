"""The status as people see it, in a real browser: fit for everybody, on a phone and on a desk, by day and by night."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.gateway.conftest import Running, config_text
from tests.gateway.issuer import Issuer
from tests.gateway.raw import request
from tests.gateway.test_admin import address
from tests.gateway.upstream import Upstream
from tests.look.checks import INLINE, SIDEWAYS, SMALL_TARGETS, violations

pytestmark = pytest.mark.xdist_group("status")


@pytest.fixture(scope="module")
def places(serve_module: Any, _issuer: Issuer, _upstream: Upstream) -> dict[str, str]:
    """Two gateways: one that nobody has asked yet, and one with everything on it that may go wrong."""
    quiet: Running = serve_module(config_text(_issuer, _upstream, server='admin = "127.0.0.1:0"'))
    text = config_text(_issuer, _upstream, server='admin = "127.0.0.1:0"')
    long = "a-route-with-a-name-of-sixty-characters-that-nobody-would-choose"
    busy: Running = serve_module(text.replace('id = "special"', f'id = "{long}"\nmode = "shadow"'))
    token = _issuer.token()
    for target in ("/orders/7", "/orders/admin", "/orders/8", "/reports/2026/" + "november" * 12, "/nowhere"):
        busy.ask(request(target=target, token=token))
    busy.ask(request(target="/orders/7"))
    busy.ask(request("POST", "/orders/9", token=_issuer.token(roles=["visitor"])))
    watching = busy.server.admin._watching
    problems = ('line 14: route "order-write": field "require" is unknown', "line 20: routes[4]: is missing")
    busy.server.admin._watching = dataclasses.replace(watching, problems=lambda: problems)
    busy.server._gate.sources["main"].failing = True
    return {name: "http://{}:{}".format(*address(running)) for name, running in (("quiet", quiet), ("busy", busy))}


@pytest.fixture(scope="module")
def pages(chromium: Browser, places: dict[str, str]) -> Iterator[dict[str, Page]]:
    """The status of each, loaded once: without a script it is the same page at every width and in every colour."""
    with chromium.new_context(bypass_csp=True, reduced_motion="reduce") as made:
        made.set_default_timeout(15_000)
        opened = {place: made.new_page() for place in places}
        for place, tab in opened.items():
            tab.goto(places[place] + "/status")
            assert tab.evaluate(INLINE) == 0
        yield opened


@pytest.mark.parametrize("place", ["quiet", "busy"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 460, 1280])
def test_fits_everybody(pages: dict[str, Page], artifacts: Path, place: str, scheme: Any, width: int) -> None:
    tab = pages[place]
    tab.emulate_media(color_scheme=scheme)
    tab.set_viewport_size({"width": width, "height": 800})
    folder = artifacts / "look" / "gateway status"
    folder.mkdir(parents=True, exist_ok=True)
    tab.screenshot(path=folder / f"{place}-{width}-{scheme}.png", full_page=True)
    assert (tab.evaluate(SIDEWAYS), tab.evaluate(SMALL_TARGETS), violations(tab)) == (0, [], [])


def test_its_own_policy_forbids_nothing_that_it_needs(chromium: Browser, places: dict[str, str]) -> None:
    with chromium.new_context() as made:
        tab, said = made.new_page(), []
        tab.on("console", lambda message: said.append(message.text))
        tab.goto(places["busy"] + "/status")
        assert tab.evaluate("() => getComputedStyle(document.querySelector('.tile')).display") == "grid"
        assert said == []
