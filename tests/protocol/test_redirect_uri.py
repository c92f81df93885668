"""Where an answer may go."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.protocol import redirect_uri

WEB = "https://app.example/cb"
LOOPBACK = "http://127.0.0.1/cb"


@pytest.mark.spec("OpenID Connect Core section 3.1.2.1")
def test_the_registered_uri_matches() -> None:
    assert redirect_uri.matches([WEB], WEB, native=False)
    assert not redirect_uri.matches([], WEB, native=True)


@pytest.mark.attack("AZ2")
@pytest.mark.parametrize(
    "uri",
    [
        "https://APP.example/cb", "https://app.example:443/cb", "https://app.example/cb/", "https://app.example/CB",
        "https://app.example/cb?q=1", "https://app.example/cb#frag", "http://app.example/cb", "https://app.example",
    ],
)  # fmt: skip
@pytest.mark.parametrize("native", [True, False])
def test_any_difference_is_a_mismatch(*, uri: str, native: bool) -> None:
    assert not redirect_uri.matches([WEB], uri, native=native)


@pytest.mark.attack("AZ3")
@pytest.mark.parametrize(
    "uri",
    [
        "https://app.example.evil/cb", "https://app.example@evil/cb", "https://app.example\\evil/cb",
        "https://app.example/%2e%2e/cb", "https://app.example/..;/cb", "https://app.example/cb\0",
        "https://app.example/cb\r\nX: y", "https://xn--pp-xia.example/cb", "https://\u0430pp.example/cb",
    ],
)  # fmt: skip
def test_look_alikes_are_mismatches(uri: str) -> None:
    assert not redirect_uri.matches([WEB], uri, native=True)


@pytest.mark.attack("AZ4")
@pytest.mark.spec("RFC 8252 section 7.3")
@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost"])
@given(port=st.integers(1, 65_535))
def test_a_native_client_may_vary_the_loopback_port(host: str, port: int) -> None:
    registered = [f"http://{host}/cb?a=b", f"http://{host}:9/cb"]
    assert redirect_uri.matches(registered, f"http://{host}:{port}/cb?a=b", native=True)
    assert redirect_uri.matches(registered, f"http://{host}:{port}/cb", native=True)


@pytest.mark.attack("AZ4")
@pytest.mark.parametrize(
    "uri",
    [
        "http://127.0.0.1:0/cb", "http://127.0.0.1:65536/cb", "http://127.0.0.1:/cb", "http://127.0.0.1:8x/cb",
        "http://127.0.0.1:80/cb/", "http://127.0.0.1:80/", "http://127.0.0.1:80", "http://localhost:80/cb",
        "http://[::1]:80/cb", "http://127.1:80/cb", "http://127.0.0.1.evil:80/cb", "https://127.0.0.1:80/cb",
        "http://127.0.0.1:80@evil/cb", "http://u@127.0.0.1:80/cb",
    ],
)  # fmt: skip
def test_nothing_but_the_port_may_vary(uri: str) -> None:
    assert not redirect_uri.matches([LOOPBACK], uri, native=True)


@pytest.mark.attack("AZ4")
def test_a_web_client_may_not_vary_the_port() -> None:
    assert not redirect_uri.matches([LOOPBACK], "http://127.0.0.1:81/cb", native=False)


@pytest.mark.parametrize(
    ("uri", "native"),
    [
        (WEB, False), (WEB, True), (LOOPBACK, False), ("http://[::1]:8/cb", True),
        ("http://localhost:8070/cb?a=b", False),
        ("https://[2001:db8::1]/cb", False), ("com.example.app:/cb", True),
        ("https://app.example:8443/a/b?c=d", False),
    ],
)  # fmt: skip
def test_good_uris_may_be_registered(*, uri: str, native: bool) -> None:
    assert redirect_uri.problem(uri, native=native) is None


@pytest.mark.attack("AZ6")
@pytest.mark.spec("RFC 9700 section 2.6")
@pytest.mark.parametrize(
    "uri",
    [
        "javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "http://app.example/cb", "http://127.0.0.2/cb",
        "http://localhost.evil/cb", "http://127.0.0.1:0/cb", "https:///cb", "https://user@app.example/cb",
        "https://app.example:x/cb", "https://app.example:0/cb", "https://app.example:99999/cb", "https://[zz/cb",
        "https://app.example/a/../b", "https://app.example/%2E%2e/b", "https://app.example/%zz", "https://app.example/%00",
        "https://app.example/%0d%0a", "https://app.example/%5cevil", "https://app.example/cb#frag", "https://app.example/cb#",
        "https://*.example/cb", "https://app.example/c b", 'https://app.example/"', "/cb", "cb", "", ":", "https:",
        "HTTPS://app.example/cb", "https://app.example/" + "a" * 2048, "https://äpp.example/cb", "app:/cb",
        "com.example.app:///cb", "com.example.app://", "com.example.app://?a=b",
    ],
)  # fmt: skip
@pytest.mark.parametrize("native", [True, False])
def test_bad_uris_may_not_be_registered(*, uri: str, native: bool) -> None:
    assert redirect_uri.problem(uri, native=native) is not None


@pytest.mark.attack("AZ6")
def test_private_schemes_are_for_native_clients_only() -> None:
    assert redirect_uri.problem("com.example.app:/cb", native=False) is not None


@given(uri=st.text(max_size=60), native=st.booleans())
def test_any_text_is_judged_without_a_fault(*, uri: str, native: bool) -> None:
    redirect_uri.problem(uri, native=native)
    assert redirect_uri.matches([uri], uri, native=native)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["code", "state", "iss"]),
            st.text(st.characters(exclude_categories=("Cs",))),
        ),
        max_size=3,
    )
)
def test_added_parameters_come_back_byte_for_byte(
    params: list[tuple[str, str]],
) -> None:
    located = redirect_uri.with_params("https://app.example/cb?keep=%20this", params)
    assert located.isascii()
    assert located.isprintable()
    assert parse_qsl(urlsplit(located).query, keep_blank_values=True) == [
        ("keep", " this"),
        *params,
    ]


@pytest.mark.parametrize(
    ("uri", "located"),
    [
        ("https://a.example/cb", "https://a.example/cb?code=1"), ("https://a.example/cb?", "https://a.example/cb?code=1"),
        ("com.example:/cb", "com.example:/cb?code=1"),
    ],
)  # fmt: skip
def test_adds_a_query_where_there_is_none(uri: str, located: str) -> None:
    assert redirect_uri.with_params(uri, [("code", "1")]) == located


def test_leaves_a_uri_alone_when_there_is_nothing_to_add() -> None:
    assert redirect_uri.with_params("https://a.example/cb?", []) == "https://a.example/cb?"


@pytest.mark.parametrize(("uri", "host"), [(WEB, "app.example"), ("com.example.app:/cb", "com.example.app:")])
def test_names_the_place_for_a_person(uri: str, host: str) -> None:
    assert redirect_uri.host(uri) == host


@pytest.mark.spec("RFC 8252 section 8.6")
@pytest.mark.parametrize(
    ("uri", "proves"),
    [("https://app.example/cb", True), ("http://127.0.0.1/cb", False), ("com.example.app:/cb", False)],
)
def test_only_an_https_address_proves_who_listens_there(uri: str, *, proves: bool) -> None:
    assert redirect_uri.proves_identity(uri) is proves
