"""The page of the status: what is wrong comes first and in words, and nothing of anybody is markup."""

from __future__ import annotations

import asyncio
import dataclasses
from types import SimpleNamespace
from typing import Any

import pytest

from idp.gateway.exchange.model import Assertion, Exchange
from idp.gateway.load import parse
from idp.gateway.observed import Refused
from idp.gateway.status import page as pages
from idp.gateway.status.figures import many, span
from idp.gateway.status.look import Facts, Provider, Server, Watching
from idp.gateway.status.page import page
from idp.gateway.status.troubles import troubles
from tests.gateway.policy.ground import NOW, Ground, file, route

WELL = Provider(name="main", issuer="https://idp.example", kids=("k1",), age=3, usable=True, failing=False, told=True,
                silence=0.2, delay=0.1, revoked=12, silent=False, held_back={})  # fmt: skip
SERVER = Server(address="https://orders:8443", well=True, busy=1, failures=0, connections=3, ends=NOW + 90 * 86_400)
ROUTES = (
    route('require = { scope = ["read"] }', 'limit = [{ by = "ip", rate = "10/s" }]', "concurrency = 3", name="one"),
    route('mode = "shadow"', name="two", path="/two"),
)


def facts(**changed: Any) -> Facts:
    config = parse(file(*ROUTES))
    usual = Facts(
        now=NOW, digest="abc", source="/etc/gatehouse/gateway.toml", loaded_at=NOW - 30, problems=(),
        routes=config.routes, sums={"allowed": 1234, "shadowed": 0, "refused": 2}, counts={"one": (1234, 2)},
        cache=(900, 100), clients=7, providers=(WELL,), limits="local", servers=(SERVER,), refusals=(),
    )  # fmt: skip
    return dataclasses.replace(usual, **changed)


def written(**changed: Any) -> str:
    return page(facts(**changed), style="/status.css").decode()


def test_when_all_is_well_it_says_so() -> None:
    text = written()
    assert '<h1 id="standing">The gateway is well</h1>' in text
    assert "<b>1,234</b>" in text
    assert "<b>90%</b>" in text
    assert "1 key, confirmed 3 s ago" in text
    assert "revocations heard 0 s ago, the latest 0.1 s after it happened; 12 held" in text
    assert "at most 10/s for each address" in text
    assert "at most 3 at a time" in text
    assert "<small>in shadow mode</small>" in text
    assert "3 connections, 1 request under way" in text
    assert "None since the start." in text
    assert troubles(facts()) == ()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"providers": (dataclasses.replace(WELL, usable=False, age=None),)}, "Tokens of main cannot be checked"),
        ({"providers": (dataclasses.replace(WELL, failing=True),)}, "The keys of main could not be fetched"),
        ({"providers": (dataclasses.replace(WELL, silence=None, delay=None),)}, "It was never heard."),
        ({"providers": (dataclasses.replace(WELL, silence=200.0),)}, "It was last heard 3 min ago."),
        ({"providers": (dataclasses.replace(WELL, silent=True),)},
         "main did not answer when last asked for an exchange"),
        ({"providers": (dataclasses.replace(WELL, held_back={"https://stock": 42.0}),)},
         "main gives no more exchanges for https://stock now"),
        ({"problems": ('line 3: field "what" is unknown',)}, "line 3: field &quot;what&quot; is unknown"),
        ({"limits": "alone"}, "Limits are counted by this gateway alone"),
        ({"servers": (dataclasses.replace(SERVER, well=False, ends=None),)}, "https://orders:8443 gets no requests"),
        ({"servers": (dataclasses.replace(SERVER, ends=NOW + 86_400 * 6),)}, "It ends in 6 days, on 2026-11-29."),
        ({"servers": (dataclasses.replace(SERVER, ends=NOW - 10),)}, "It ends on 2026-11-23, which is over."),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_first(changed: dict[str, Any], said: str) -> None:
    text = written(**changed)
    assert "One thing wants you" in text
    assert said in text
    assert text.index(said) < text.index('id="keys"')


def test_several_things_are_counted() -> None:
    text = written(limits="alone", problems=("torn",), sums={"allowed": 1, "shadowed": 3, "refused": 0}, cache=(0, 0))
    assert "2 things want you" in text
    assert "and 3 by shadow mode" in text
    assert "newer file refused" in text
    assert "<b>-</b>" in text


def test_a_gateway_without_events_servers_or_file_has_less_to_say() -> None:
    quiet = dataclasses.replace(WELL, told=False, silence=None, delay=None)
    text = written(providers=(quiet,), servers=(), source="", limits="shared")
    assert "a token counts until it ends" in text
    assert "Servers behind" not in text
    assert "given by the program" in text
    assert "counted together, in Redis" in text


def test_nothing_that_anybody_chose_becomes_markup() -> None:
    odd = '"><script>alert(1)</script>$title'
    refusal = Refused(NOW, "id-1", 403, odd, odd, "GET", "/" + odd, True)
    text = written(refusals=(refusal,), problems=(odd,), source=odd,
                   servers=(dataclasses.replace(SERVER, address=odd),))  # fmt: skip
    assert "<script" not in text
    assert text.count("&lt;script&gt;") == 6
    assert "<small>let pass: shadow mode</small>" in text
    assert '<time datetime="2026-11-23T12:00:00Z" title="2026-11-23 12:00:00 UTC">12:00:00 UTC</time>' in text


def test_a_request_that_no_route_knows_says_so() -> None:
    assert "<small>no route</small>" in written(refusals=(Refused(NOW, "id", 404, "no_route", "", "GET", "/x", False),))


def test_a_thousand_routes_are_cut_with_the_way_to_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "MOST", 1)
    text = written()
    assert "And 1 more" in text
    assert "<strong>two</strong>" not in text


def test_an_exchange_and_a_statement_are_part_of_what_happens() -> None:
    (one, _) = facts().routes
    exchanged = dataclasses.replace(one, exchange=Exchange(audience="https://next.example"))
    stated = dataclasses.replace(one, assertion=Assertion(audience="https://orders"))
    text = written(routes=(exchanged, stated))
    assert "goes on with a token for https://next.example" in text
    assert "goes on with a statement of the gateway for https://orders" in text


def test_what_is_looked_at_is_the_gate_as_it_is() -> None:
    ground = Ground(file(*ROUTES))
    watching = Watching(gate=ground.gate, wall=lambda: NOW)
    found = looked(watching)
    assert found.digest == ground.gate.rules.config.digest
    assert found.limits == "local"
    (provider,) = found.providers
    assert (provider.usable, provider.told, len(provider.kids)) == (True, False, 1)
    ground.gate.limits.shared = SimpleNamespace(away=True)
    assert looked(watching).limits == "alone"
    ground.gate.limits.shared.away = False
    assert looked(watching).limits == "shared"
    assert written(providers=found.providers).count("well</span>") >= 1


def looked(watching: Watching) -> Facts:
    async def look() -> Facts:
        return watching.look()

    return asyncio.run(look())


@pytest.mark.parametrize(
    ("seconds", "said"), [(-1, "0 s"), (5, "5 s"), (119, "119 s"), (600, "10 min"), (7_300, "2 h"), (200_000, "2 days")]
)
def test_spans_are_said_in_the_unit_that_fits(seconds: float, said: str) -> None:
    assert span(seconds) == said


def test_one_thing_has_no_plural() -> None:
    assert (many(1, "key"), many(2, "key")) == ("1 key", "2 keys")
