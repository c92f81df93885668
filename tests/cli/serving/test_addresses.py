"""Which headers decide anything, under servers that treat headers differently: those of a trusted proxy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from idp.store import audit
from tests.cli.serving.conftest import started
from tests.services.provider import Provider, session

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


def running(folder: Path, server: str, **chosen: object) -> Iterator[Provider]:
    provider = Provider(folder / "provider", server=server, workers=2, **chosen)
    try:
        yield started(provider)
    finally:
        provider.stop()


@pytest.fixture(params=["granian", "gunicorn"], scope="module")
def trusting_nobody(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """An https issuer behind a front, which has named no proxy."""
    folder = tmp_path_factory.mktemp("nobody")
    yield from running(folder, request.param, issuer="https://id.example")


@pytest.fixture(scope="module")
def gunicorn_behind_a_proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """It trusts X-Forwarded-For of its neighbour."""
    yield from running(tmp_path_factory.mktemp("proxy"), "gunicorn", trusted_proxies=["127.0.0.1/32"])


@pytest.fixture(scope="module")
def granian_behind_a_front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """It trusts the one header that its front sets."""
    trusted = {"trusted_proxies": ["127.0.0.1/32"], "client_address_header": "ClientAddress"}
    yield from running(tmp_path_factory.mktemp("front"), "granian", **trusted)


def get(provider: Provider, path: str, headers: dict[str, str]) -> requests.Response:
    url = f"http://localhost:{provider.port}{path}"
    return session().get(url, headers=headers, allow_redirects=False, timeout=20)


def recorded(provider: Provider, headers: dict[str, str]) -> str | None:
    """Ask something that is refused and recorded; return the address in the record."""
    get(provider, "/end_session?id_token_hint=garbage&post_logout_redirect_uri=https://app.example/", headers)
    with provider.db.read() as tx:
        row = audit.recent(tx, 1)[0]
    assert row.event == "logout.refused"
    return row.ip


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: next(iter(lie)))
def test_no_header_of_a_stranger_is_an_address(trusting_nobody: Provider, lie: dict[str, str]) -> None:
    assert recorded(trusting_nobody, lie) == "127.0.0.1"


@pytest.mark.parametrize("lie", LIES[1:], ids=lambda lie: next(iter(lie)))
def test_no_alias_passes_a_trusted_proxy(
    gunicorn_behind_a_proxy: Provider, granian_behind_a_front: Provider, lie: dict[str, str]
) -> None:
    assert recorded(gunicorn_behind_a_proxy, lie) == "127.0.0.1"
    assert recorded(granian_behind_a_front, lie) == "127.0.0.1"


def test_what_the_trusted_proxy_says_counts_from_the_right(gunicorn_behind_a_proxy: Provider) -> None:
    assert recorded(gunicorn_behind_a_proxy, {"X-Forwarded-For": f"198.51.100.1, {CLAIMED}"}) == CLAIMED
    both = {"X-Forwarded-For": CLAIMED, "X_Forwarded_For": "198.51.100.1"}
    assert recorded(gunicorn_behind_a_proxy, both) == CLAIMED


def test_under_granian_the_header_without_a_hyphen_counts_and_x_forwarded_for_never(
    granian_behind_a_front: Provider,
) -> None:
    assert recorded(granian_behind_a_front, {"ClientAddress": CLAIMED}) == CLAIMED
    assert recorded(granian_behind_a_front, {"X-Forwarded-For": CLAIMED}) == "127.0.0.1"


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
    trusting_nobody: Provider, said: dict[str, str]
) -> None:
    document = get(trusting_nobody, "/.well-known/openid-configuration", said).json()
    assert document["issuer"] == "https://id.example"
    assert all(value.startswith("https://id.example/") for key, value in document.items() if key.endswith("_endpoint"))
    page = get(trusting_nobody, "/end_session", said)
    assert "evil" not in page.text + str(page.headers)
    assert page.headers["Strict-Transport-Security"]
    assert all("Secure" in line for line in page.raw.headers.getlist("Set-Cookie"))


def test_a_foreign_host_is_refused_and_not_repeated(trusting_nobody: Provider) -> None:
    refused = get(trusting_nobody, "/.well-known/openid-configuration", {"Host": "evil.example"})
    assert refused.status_code == 400
    assert "evil" not in refused.text + str(refused.headers)
