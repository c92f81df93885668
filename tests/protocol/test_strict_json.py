"""JSON parameters read strictly."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.protocol import strict_json

leaves = st.none() | st.booleans() | st.integers(-(10**17), 10**17) | st.text(st.characters(exclude_characters="[]{}"))
objects = st.dictionaries(
    st.text(st.characters(exclude_characters="[]{}")),
    leaves | st.lists(leaves),
    max_size=5,
)


@given(objects)
def test_reads_what_json_writes(value: dict[str, object]) -> None:
    assert strict_json.read_object(json.dumps(value)) == value


@given(st.text(max_size=60))
def test_any_text_is_an_object_or_malformed(text: str) -> None:
    try:
        assert isinstance(strict_json.read_object(text), dict)
    except strict_json.Malformed:
        return


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "[]",
        '{"a":1,"a":2}',
        '{"a":NaN}',
        '{"a":Infinity}',
        '{"a":' + "9" * 20 + "}",
        "[" * 100_000,
        '{"a":' * 9 + "1" + "}" * 9,
    ],
)
def test_refuses_what_is_doubtful(text: str) -> None:
    with pytest.raises(strict_json.Malformed):
        strict_json.read_object(text)
