from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.protocol.dpop import JKT, Nonces, same_address

HERE = "https://api.example/orders/7"


@pytest.mark.spec("RFC 9449 section 4.3")
@pytest.mark.attack("TK30")
@pytest.mark.parametrize(
    "htu",
    [
        HERE,
        HERE + "?page=2",
        HERE + "#top",
        HERE + "?a#b?c",
        HERE + "?",
        "HTTPS://API.example/orders/7",
        "https://api.example:443/orders/7",
        "https://api.example:/orders/7",
        "https://api.example:0443/orders/7",
        "https://api.example/%6frders/7",
        "https://api.example/%6Frders/%37",
    ],
)
def test_one_address_has_several_spellings(htu: str) -> None:
    assert same_address(htu, HERE)
    assert same_address(HERE, htu)


@pytest.mark.attack("TK30")
@pytest.mark.parametrize(
    "htu",
    [
        "",
        "/orders/7",
        "http://api.example/orders/7",
        "https://api.example/orders/8",
        "https://api.example/orders/7/",
        "https://api.example/Orders/7",
        "https://api.example//orders/7",
        "https://api.example/orders%2f7",
        "https://api.example/x/../orders/7",
        "https://api.example:8443/orders/7",
        "https://api.example:443443/orders/7",
        "https://user@api.example/orders/7",
        "https://api.example@evil.example/orders/7",
        "https://evil.example/orders/7",
        "https://api.example\\orders/7",
        "https://api.example/orders/7\n",
        "https://api.example/orders/\t7",
        " https://api.example/orders/7",
        "https://api.example/orders/%zz7",
        "https://api.example/orders/7%",
        "https://api.exämple/orders/7",
        "https://api.example/orders/7" + "a" * 8_192,
        "https:api.example/orders/7",
        "ftp://api.example/orders/7",
    ],
)
def test_another_address_is_another(htu: str) -> None:
    assert not same_address(htu, HERE)


def test_an_address_that_cannot_be_read_is_not_even_itself() -> None:
    assert not same_address("nowhere", "nowhere")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://api.example", "https://api.example/"),
        ("http://api.example:80/", "http://api.example?x"),
        ("http://[::1]:8080/a", "http://[::1]:8080/a?b"),
        ("https://api.example/%c3%a4", "https://api.example/%C3%A4"),
    ],
)
def test_what_a_browser_would_call_the_same_is_the_same(one: str, other: str) -> None:
    assert same_address(one, other)


@given(st.text())
def test_no_text_is_taken_for_an_address_by_accident(text: str) -> None:
    assert not same_address(text, HERE) or text.lower().startswith("https://api.example")


@pytest.mark.attack("TK32")
@pytest.mark.spec("RFC 9449 section 8")
def test_a_nonce_lives_for_this_minute_and_the_next() -> None:
    nonces = Nonces(key=bytes(32))
    given_out = nonces.current(1_200.0)
    assert nonces.accepts(given_out, 1_200.0)
    assert nonces.accepts(given_out, 1_319.9)
    assert not nonces.accepts(given_out, 1_320.0)


def test_a_nonce_of_a_server_whose_clock_is_ahead_is_good() -> None:
    nonces = Nonces(key=bytes(32))
    assert nonces.accepts(nonces.current(1_260.0), 1_259.0)
    assert not nonces.accepts(nonces.current(1_320.0), 1_259.0)


@pytest.mark.attack("TK32")
@pytest.mark.parametrize("nonce", [None, "", "guess", "ä" * 22])
def test_another_nonce_is_refused(nonce: str | None) -> None:
    assert not Nonces(key=bytes(32)).accepts(nonce, 1_200.0)


def test_nobody_without_the_key_can_tell_the_next_nonce() -> None:
    assert Nonces(key=bytes(32)).current(0.0) != Nonces(key=b"k" * 32).current(0.0)
    assert "k" not in repr(Nonces(key=b"k" * 32)).removeprefix("Nonces")


@pytest.mark.parametrize("text", ["", "a" * 42, "a" * 44, "a" * 42 + "+", "a" * 42 + "B"])
def test_what_is_no_thumbprint_is_seen(text: str) -> None:
    assert JKT.fullmatch("0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I")
    assert JKT.fullmatch(text) is None
