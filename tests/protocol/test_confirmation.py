"""What a token is bound to."""

from __future__ import annotations

import pytest

from idp.protocol.confirmation import Bound, Unconfirmable, token_type


@pytest.mark.spec("RFC 9449 section 6.1", "RFC 8705 section 3.1")
@pytest.mark.parametrize(
    ("cnf", "bound"),
    [
        (None, None),
        ({"jkt": "key"}, Bound(jkt="key")),
        ({"x5t#S256": "certificate"}, Bound(x5t="certificate")),
        ({"jkt": "key", "x5t#S256": "certificate"}, Bound(jkt="key", x5t="certificate")),
    ],
)
def test_reads_both_kinds(cnf: object, bound: Bound | None) -> None:
    assert Bound.read(cnf) == bound


@pytest.mark.attack("TK33")
@pytest.mark.parametrize(
    "cnf",
    [
        {},
        [],
        "key",
        {"kid": "key"},
        {"jkt": "key", "osc": {}},
        {"jkt": ""},
        {"jkt": None},
        {"jkt": 7},
        {"x5t#S256": []},
    ],
)
def test_what_is_not_understood_is_not_ignored(cnf: object) -> None:
    with pytest.raises(Unconfirmable):
        Bound.read(cnf)


@pytest.mark.spec("RFC 9449 section 5")
def test_the_type_says_how_a_token_is_used() -> None:
    assert [token_type(cnf) for cnf in (None, {"x5t#S256": "c"}, {"jkt": "k"})] == ["Bearer", "Bearer", "DPoP"]
