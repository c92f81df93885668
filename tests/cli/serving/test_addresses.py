"""Which headers decide anything, under servers that treat headers differently: those of a trusted proxy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from idp.store import audit
from tests.cli.serving.conftest import SERVERS, started
from tests.faults.seeds import REDIRECT, issue_codes
from tests.services.provider import Provider, session

# One process of the tests for all: another would start the same servers again.
pytestmark = pytest.mark.xdist_group("serving-addresses")

CLAIMED = "203.0.113.7"
LIES = (
    {"X-Forwarded-For": CLAIMED},
    {"X_Forwarded_For": CLAIMED},
    {"x_forwarded-for": CLAIMED},
    {"X-Forwarded_For": CLAIMED},
    {"Forwarded": f"for={CLAIMED}"},
    {"X-Real-IP": CLAIMED},
    {"Client-Address": CLAIMED},
)


class Recorded:
    """A running provider, and the addresses that it writes down."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._codes = iter(issue_codes(provider, 20))

    def address(self, headers: dict[str, str]) -> str | None:
        """Redeem a code with these headers; return the address in the record."""
        each = next(self._codes)
        form = {"grant_type": "authorization_code", "code": each.code, "redirect_uri": REDIRECT}
        url = f"http://localhost:{self._provider.port}/token"
        answer = session().post(url, data=form, headers=each.app.basic | headers, timeout=20)
        assert answer.status_code == 200, answer.text
        with self._provider.db.read() as tx:
            rows = [row for row in audit.recent(tx, 10) if row.event == "code.redeemed"]
        return max(rows, key=lambda row: row.at).ip


def running(folder: Path, server: str, **chosen: object) -> Iterator[Provider]:
    provider = Provider(folder / "provider", server=server, workers=2, **chosen)
    try:
        yield started(provider)
    finally:
        provider.stop()


@pytest.fixture(params=SERVERS, scope="module")
def trusting_nobody(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    """It has named no proxy."""
    for provider in running(tmp_path_factory.mktemp("nobody"), request.param):
        yield Recorded(provider)


@pytest.fixture(scope="module")
def gunicorn_behind_a_proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    """It trusts X-Forwarded-For of its neighbour."""
    for provider in running(tmp_path_factory.mktemp("proxy"), "gunicorn", trusted_proxies=["127.0.0.1/32"]):
        yield Recorded(provider)


@pytest.fixture(scope="module")
def granian_behind_a_front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    """It trusts the one header that its front sets."""
    trusted = {"trusted_proxies": ["127.0.0.1/32"], "client_address_header": "ClientAddress"}
    for provider in running(tmp_path_factory.mktemp("front"), "granian", **trusted):
        yield Recorded(provider)


@pytest.fixture(params=SERVERS, scope="module")
def https_outside(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """An https issuer behind a front, reached by plain http."""
    yield from running(tmp_path_factory.mktemp("https"), request.param, issuer="https://id.example")


def get(provider: Provider, path: str, headers: dict[str, str]) -> requests.Response:
    url = f"http://localhost:{provider.port}{path}"
    return session().get(url, headers=headers, allow_redirects=False, timeout=20)


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: next(iter(lie)))
def test_no_header_of_a_stranger_is_an_address(trusting_nobody: Recorded, lie: dict[str, str]) -> None:
    assert trusting_nobody.address(lie) == "127.0.0.1"


@pytest.mark.parametrize("lie", LIES[1:], ids=lambda lie: next(iter(lie)))
def test_no_alias_passes_a_trusted_proxy(
    gunicorn_behind_a_proxy: Recorded, granian_behind_a_front: Recorded, lie: dict[str, str]
) -> None:
    assert gunicorn_behind_a_proxy.address(lie) == "127.0.0.1"
    assert granian_behind_a_front.address(lie) == "127.0.0.1"


def test_what_the_trusted_proxy_says_counts_from_the_right(gunicorn_behind_a_proxy: Recorded) -> None:
    assert gunicorn_behind_a_proxy.address({"X-Forwarded-For": f"198.51.100.1, {CLAIMED}"}) == CLAIMED
    both = {"X-Forwarded-For": CLAIMED, "X_Forwarded_For": "198.51.100.1"}
    assert gunicorn_behind_a_proxy.address(both) == CLAIMED


def test_under_granian_the_header_without_a_hyphen_counts_and_x_forwarded_for_never(
    granian_behind_a_front: Recorded,
) -> None:
    assert granian_behind_a_front.address({"ClientAddress": CLAIMED}) == CLAIMED
    assert granian_behind_a_front.address({"X-Forwarded-For": CLAIMED}) == "127.0.0.1"


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"X-Forwarded-Proto": "http", "X-Forwarded-Host": "evil.example", "X-Forwarded-Port": "1"},
        {"Host": "id.example"},
        {"Forwarded": "proto=http;host=evil.example"},
        {"X-Script-Name": "/evil", "X-Forwarded-Prefix": "/evil", "SCRIPT_NAME": "/evil"},
    ],
    ids=lambda said: next(iter(said), "nothing"),
)
def test_scheme_and_host_are_those_of_the_issuer_whatever_a_header_says(
    https_outside: Provider, said: dict[str, str]
) -> None:
    document = get(https_outside, "/.well-known/openid-configuration", said).json()
    assert document["issuer"] == "https://id.example"
    assert all(value.startswith("https://id.example/") for key, value in document.items() if key.endswith("_endpoint"))
    page = get(https_outside, "/end_session", said)
    assert "evil" not in page.text + str(page.headers)
    assert page.headers["Strict-Transport-Security"]
    assert all("Secure" in line for line in page.raw.headers.getlist("Set-Cookie"))


def test_a_foreign_host_is_refused_and_not_repeated(https_outside: Provider) -> None:
    refused = get(https_outside, "/.well-known/openid-configuration", {"Host": "evil.example"})
    assert refused.status_code == 400
    assert "evil" not in refused.text + str(refused.headers)
