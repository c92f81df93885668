"""Splitting a query or a form body into pairs."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.protocol import form
from idp.protocol.errors import InvalidRequest

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)


@given(st.lists(st.tuples(TEXT.filter(bool), TEXT), max_size=20))
def test_decodes_what_a_client_encodes(pairs: list[tuple[str, str]]) -> None:
    assert list(form.decode(urlencode(pairs).encode())) == pairs


@given(st.binary(max_size=200))
def test_any_bytes_are_pairs_or_a_refusal(raw: bytes) -> None:
    try:
        pairs = form.decode(raw)
    except InvalidRequest:
        return
    assert all(isinstance(name, str) and isinstance(value, str) for name, value in pairs)


@pytest.mark.parametrize("raw", [b"state=%FF", b"state=\xc3\xa9", b"state=%ED%A0%80", b"a=&" * 101])
def test_refuses_bytes_that_are_not_utf8_and_too_many_pairs(raw: bytes) -> None:
    with pytest.raises(InvalidRequest):
        form.decode(raw)


@pytest.mark.attack("AZ9")
@pytest.mark.spec("RFC 6749 section 3.1")
def test_sees_every_repeated_parameter_but_resource() -> None:
    pairs = [
        ("a", "1"),
        ("a", "1"),
        ("b", ""),
        ("b", "2"),
        ("c", "3"),
        ("resource", "x"),
        ("resource", "y"),
    ]
    assert form.repeated(pairs) == {"a", "b"}
    assert dict(form.single(pairs)) == {"c": "3"}


@pytest.mark.spec("RFC 6749 section 3.1")
def test_a_parameter_without_a_value_counts_as_omitted() -> None:
    assert dict(form.single([("a", ""), ("b", "1")])) == {"b": "1"}


@pytest.mark.spec("RFC 8707 section 2")
def test_gives_every_resource_once_and_in_order() -> None:
    pairs = [
        ("resource", "b"),
        ("x", "1"),
        ("resource", "a"),
        ("resource", "b"),
        ("resource", ""),
    ]
    assert form.every(pairs, "resource") == ("b", "a")


@pytest.mark.parametrize(("name", "size", "fits"), [("state", 4096, True), ("state", 4097, False),
                                                    ("claims", 16_384, True), ("claims", 16_385, False)])  # fmt: skip
def test_values_have_a_size(*, name: str, size: int, fits: bool) -> None:
    assert form.fits(name, "x" * size) is fits


def test_a_nul_is_refused_in_a_known_parameter_only() -> None:
    assert not form.fits("state", "a\0b")
    form.refuse_misfits({"unknown": "\0"}, frozenset({"state"}))
    with pytest.raises(InvalidRequest):
        form.refuse_misfits({"state": "\0"}, frozenset({"state"}))
