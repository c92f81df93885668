"""The prompt parameter."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.protocol import prompt
from idp.protocol.errors import InvalidRequest


@pytest.mark.spec("OpenID Connect Core section 3.1.2.1")
@pytest.mark.parametrize(
    ("text", "values"),
    [
        (None, set()),
        ("none", {"none"}),
        ("login consent", {"login", "consent"}),
        ("create login", {"login"}),
        ("x", set()),
    ],
)
def test_keeps_the_values_it_knows(text: str | None, values: set[str]) -> None:
    assert prompt.parse(text) == values


@pytest.mark.attack("AZ18")
@pytest.mark.parametrize("text", ["none login", "consent none", "none other"])
def test_none_stands_alone(text: str) -> None:
    with pytest.raises(InvalidRequest):
        prompt.parse(text)


@given(st.text(max_size=40))
def test_any_text_gives_known_values_or_a_refusal(text: str) -> None:
    try:
        assert prompt.parse(text) <= set(prompt.VALUES)
    except InvalidRequest:
        assert "none" in text
