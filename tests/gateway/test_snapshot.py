"""Telling one set of keys from the next."""

from __future__ import annotations

import json

import pytest

from idp.gateway.snapshot import names_of


def document(*keys: object) -> bytes:
    return json.dumps({"keys": keys}).encode()


@pytest.mark.parametrize("shared", [{}, {"kid": "a"}], ids=["without a name", "of one name"])
def test_each_key_stands_for_itself(shared: dict[str, str]) -> None:
    first, second, third = ({"kty": "EC", "x": str(number), **shared} for number in range(3))
    both = names_of(document(first, second))
    assert len(both) == 2
    # Either may leave: what its absence is seen by must not be hidden by the other.
    for left in (document(first, third), document(third, second)):
        assert names_of(left) != both


def test_a_named_key_goes_by_its_name() -> None:
    assert set(names_of(document({"kid": "a"}, {"kid": "b"}))) == {"a", "b"}


@pytest.mark.parametrize("raw", [b'{"keys": 5}', b'{"keys": ["a", 5]}', b"{}"])
def test_what_is_no_key_has_no_name(raw: bytes) -> None:
    assert names_of(raw) == {}
