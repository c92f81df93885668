"""Who may ask for what."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.protocol import scope
from idp.protocol.errors import InvalidScope, InvalidTarget

ISSUER = "https://id.example"
ORDERS = "https://orders.example"
STOCK = "https://stock.example"
ALLOWED = {
    ISSUER: frozenset({"openid", "email"}),
    ORDERS: frozenset({"orders:read"}),
    STOCK: frozenset({"stock:read"}),
}
KNOWN = frozenset({*scope.OIDC, "orders:read", "orders:write", "stock:read"})
names = st.lists(st.text("abc:", min_size=1, max_size=4), max_size=6)


@given(st.text(max_size=80))
def test_any_text_is_a_scope_or_a_refusal(text: str) -> None:
    try:
        parsed = scope.parse(text)
    except InvalidScope:
        return
    assert scope.parse(scope.render(parsed)) == parsed


@pytest.mark.spec("RFC 6749 section 3.3")
@pytest.mark.parametrize(
    "text",
    ['a"b', "a\\b", "a\tb", "é", "a" * 129, " ".join(f"s{n}" for n in range(101))],
)
def test_refuses_a_malformed_scope(text: str) -> None:
    with pytest.raises(InvalidScope):
        scope.parse(text)


def test_order_is_kept_and_repeats_fall_away() -> None:
    assert scope.parse(" email  openid email ") == ("email", "openid")
    assert scope.parse(None) == ()
    assert scope.flatten({ISSUER: ["openid"], ORDERS: ["orders:read", "openid"]}) == (
        "openid",
        "orders:read",
    )


@pytest.mark.attack("AZ17")
def test_ignores_the_unknown_beside_openid_and_an_unusable_offline_access() -> None:
    asked = ("openid", "nonsense", "offline_access", "orders:read")
    assert scope.admit(asked, known=KNOWN, allowed=ALLOWED) == ("openid", "orders:read")


@pytest.mark.attack("AZ17")
@pytest.mark.parametrize("asked", [("openid", "orders:write"), ("openid", "profile"), ("nonsense",), ()])
def test_refuses_what_exists_but_is_beyond_the_client(asked: tuple[str, ...]) -> None:
    with pytest.raises(InvalidScope):
        scope.admit(asked, known=KNOWN, allowed=ALLOWED)


def test_sorts_scopes_under_their_apis() -> None:
    asked = ("orders:read", "openid", "stock:read")
    found = scope.by_audience(asked, allowed=ALLOWED, issuer=ISSUER, targets=())
    assert found == {
        ISSUER: ("openid",),
        ORDERS: ("orders:read",),
        STOCK: ("stock:read",),
    }


@pytest.mark.spec("RFC 8707 section 2")
def test_targets_leave_the_other_apis_out() -> None:
    asked = ("openid", "orders:read", "stock:read")
    found = scope.by_audience(asked, allowed=ALLOWED, issuer=ISSUER, targets={ORDERS})
    assert found == {ISSUER: ("openid",), ORDERS: ("orders:read",)}
    assert scope.by_audience(asked, allowed=ALLOWED, issuer=ISSUER, targets={ISSUER}) == {ISSUER: ("openid",)}


@pytest.mark.attack("AZ38")
def test_refuses_a_target_the_client_may_not_reach() -> None:
    with pytest.raises(InvalidTarget):
        scope.by_audience(
            ("openid",),
            allowed=ALLOWED,
            issuer=ISSUER,
            targets={"https://other.example"},
        )


def test_an_api_scope_needs_a_role_that_grants_it() -> None:
    asked = {ISSUER: ("openid",), ORDERS: ("orders:read",), STOCK: ("stock:read",)}
    entitled = {ORDERS: frozenset({"orders:read"})}
    assert scope.entitle(asked, issuer=ISSUER, entitled=entitled) == {
        ISSUER: ("openid",),
        ORDERS: ("orders:read",),
    }


def test_without_any_role_nothing_is_left() -> None:
    assert scope.entitle({ORDERS: ("orders:read",)}, issuer=ISSUER, entitled={}) == {}


@given(names, names)
def test_a_grant_covers_what_is_in_it(one: list[str], other: list[str]) -> None:
    assert scope.covers({ISSUER: [*one, *other], ORDERS: other}, {ISSUER: one})


def test_a_grant_does_not_cover_more() -> None:
    assert not scope.covers({ISSUER: ["openid"]}, {ISSUER: ["openid", "email"]})
    assert not scope.covers({ISSUER: ["openid"]}, {ORDERS: ["openid"]})


@pytest.mark.attack("TK22")
@pytest.mark.spec("RFC 6749 section 6")
@given(names, names)
def test_a_refresh_narrows_and_never_widens(granted: list[str], asked: list[str]) -> None:
    try:
        got = scope.narrow(granted, asked)
    except InvalidScope:
        assert not set(asked) <= set(granted)
        return
    assert set(got) <= set(granted)
    assert list(got) == (asked or granted)
