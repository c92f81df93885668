"""What a newcomer gets from one command."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
import requests

from tests.demo.running import Demo

pytestmark = pytest.mark.xdist_group("demo")


def test_says_every_fact_a_program_needs_and_no_more(demo: Demo) -> None:
    facts = demo.facts
    assert set(facts) == {"issuer", "gateway", "guarded_url", "clients", "user", "api"}
    assert set(facts["user"]) == {"username", "password"}
    assert set(facts["api"]) == {"audience", "scopes"}
    assert isinstance(facts["api"]["scopes"], list)


def test_has_a_web_client_a_public_client_and_a_service(demo: Demo) -> None:
    web, public, service = demo.facts["clients"]
    with_secret = {"client_id", "client_secret", "grant_types", "redirect_uris"}
    assert [set(web), set(public), set(service)] == [with_secret, with_secret - {"client_secret"}, with_secret]
    assert web["grant_types"] == ["authorization_code", "refresh_token"]
    assert service["grant_types"] == ["client_credentials"]


def test_keeps_the_facts_from_other_eyes(demo: Demo) -> None:
    assert stat.S_IMODE(demo.file.stat().st_mode) == 0o600


def test_prints_account_and_addresses_for_a_person(demo: Demo) -> None:
    facts = demo.facts
    for word in (facts["user"]["username"], facts["user"]["password"], facts["issuer"], facts["gateway"]):
        assert word in demo.terminal


def test_the_pasted_call_opens_the_api(demo: Demo) -> None:
    token, call, _ = demo.pasted()
    answer = demo.paste(token, call)
    assert answer.startswith("HTTP/1.1 200")
    assert '"client": "orders-report"' in answer


def test_the_other_pasted_call_is_refused_with_the_reason(demo: Demo) -> None:
    token, _, call = demo.pasted()
    answer = demo.paste(token, call)
    assert answer.startswith("HTTP/1.1 403")
    assert "orders:write" in answer


def test_the_api_stays_closed_without_a_token(demo: Demo) -> None:
    assert requests.get(demo.facts["guarded_url"], timeout=5).status_code == 401


def test_the_printed_sign_in_page_asks_for_name_and_password(demo: Demo) -> None:
    address = next(line.split()[2] for line in demo.terminal.splitlines() if "Sign-in page" in line)
    # Like browsers, curl keeps Secure cookies on localhost.
    page = demo.paste(f"curl -sfL -b '' '{address}'")
    assert 'id="username"' in page
    assert 'id="password"' in page


def test_the_provider_describes_itself_under_the_printed_issuer(demo: Demo) -> None:
    issuer = demo.facts["issuer"]
    said = requests.get(f"{issuer}/.well-known/openid-configuration", timeout=5).json()
    assert said["issuer"] == issuer


def test_every_part_listens_on_loopback_alone(demo: Demo) -> None:
    ours = {int(port) for port in demo.environment.values()}
    open_to_all = []
    for line in Path("/proc/net/tcp").read_text("ascii").splitlines()[1:]:
        local, _, state = line.split()[1:4]
        address, port = local.split(":")
        if state == "0A" and int(port, 16) in ours and address != "0100007F":
            open_to_all.append(port)
    assert open_to_all == []
