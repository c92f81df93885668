"""A provider that takes connections and answers nothing: the gateways go on with what they know."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from idp.keys.rotation import Keyring
from tests.faults.guarded import Guarded
from tests.faults.stopped import hung
from tests.faults.traffic import Traffic, of_unknown_key
from tests.services.gateway import Gateway
from tests.services.provider import session

TOKENS = 60
PACE = 20  # requests a second at each gateway, good ones and others
ONE_WAITS = 3.0  # a token of an unknown key, for the one fetch that may be tried
BUSY = 3.0  # how much longer a busy machine may take
AFTER = '\n[defaults]\non_revocation_stale = {{ after = "{after}" }}\n'


def two(guarded: Guarded, folder: Path, *, after: str, **chosen: str) -> list[Gateway]:
    """One gateway that only knows keys, and one that also hears what is revoked and asks when it hears nothing."""
    proof = guarded.proof("gateway-2", folder / "proof")
    hears = f'{proof}\nrevocation = {{ journal = "{folder}/revoked.journal" }}\n{AFTER.format(after=after)}'
    return [
        guarded.gateway(folder / "gateway-1", **chosen),
        guarded.gateway(folder / "gateway-2", more=hears, **chosen),
    ]


def told(gateways: list[Gateway], token: str) -> list[int]:
    """What each gateway says of a token now."""
    headers = {"Authorization": f"Bearer {token}"}
    return [session().get(each.url, headers=headers, timeout=20).status_code for each in gateways]


def campaign(guarded: Guarded, gateways: list[Gateway], seconds: float) -> tuple[Traffic, Traffic]:
    """Stop the provider for so long, with traffic all the while; give the good calls and the others."""
    tokens = guarded.tokens(TOKENS)
    assert guarded.provider.program is not None
    # New tokens all the while: what was seen before would say little.
    each_for = max(1, round(seconds * PACE / TOKENS))
    good = Traffic(gateways, lambda number: tokens[number // each_for % TOKENS], rate=PACE, seconds=seconds)
    strangers = Traffic(gateways, of_unknown_key(tokens[0]), rate=PACE, seconds=seconds)
    with hung(guarded.provider.program.pid):
        with pytest.raises(requests.Timeout):
            session().get(guarded.provider.url("/healthz"), timeout=0.5)
        with good, strangers:
            pass
        assert [_healthy(each) for each in gateways] == [True, True]
    assert set(good.statuses()) == {requests.codes.ok}
    assert set(strangers.statuses()) == {requests.codes.unauthorized}
    assert strangers.slowest() < ONE_WAITS + BUSY
    assert good.seconds(50) < 0.5
    return good, strangers


def _healthy(gateway: Gateway) -> bool:
    return session().get(gateway.url.replace("/orders", "/.gatehouse/healthz"), timeout=5).ok


def all_is_well(guarded: Guarded, gateways: list[Gateway]) -> None:
    """New tokens, new keys and revocations count again."""
    Keyring(guarded.provider.db, guarded.provider.sealer, guarded.provider.settings).rotate(guarded.provider.clock())
    before = guarded.token().partition(".")[0]
    deadline = time.monotonic() + 30
    while (token := guarded.token()).partition(".")[0] == before or told(gateways, token) != [200, 200]:
        assert time.monotonic() < deadline, "the new key is not believed"
        time.sleep(0.1)
    form = {"token": token}
    assert session().post(guarded.provider.url("/revoke"), data=form, headers=guarded.service.basic, timeout=20).ok
    while told(gateways, token) != [200, 401]:  # the first has nobody to tell it
        assert time.monotonic() < deadline, "the revoked token still passes"
        time.sleep(0.1)


@pytest.mark.attack("F12", "GW18")
def test_a_hung_provider_stops_no_valid_token(guarded: Guarded, tmp_path: Path) -> None:
    gateways = two(guarded, tmp_path, after="1s", refresh="1s")
    campaign(guarded, gateways, 4)
    all_is_well(guarded, gateways)


@pytest.mark.long
@pytest.mark.attack("F12", "GW18")
def test_a_provider_hung_for_minutes_stops_no_valid_token(
    guarded: Guarded, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    gateways = two(guarded, tmp_path, after="60s", refresh="30s", cooldown="10s")
    good, strangers = campaign(guarded, gateways, 180)
    record_property("valid calls while the provider hung for 3 minutes, none refused", len(good.answers))
    record_property("of them the slowest", f"{good.slowest() * 1e3:.0f} ms; {good.typical()}")
    record_property("tokens of unknown keys, all refused", len(strangers.answers))
    record_property("of them the slowest, for the one that tries to fetch", f"{strangers.slowest():.1f} s")
    all_is_well(guarded, gateways)
