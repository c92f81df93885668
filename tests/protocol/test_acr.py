"""Strength of a sign-in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.protocol import acr

any_value = st.sampled_from([*acr.LEVELS, "other", ""])


@given(any_value, any_value)
def test_stronger_answers_weaker_and_never_the_other_way(actual: str, wanted: str) -> None:
    assert acr.meets(actual, wanted) == (wanted in acr.LEVELS and acr.level(actual) >= acr.level(wanted))


def test_an_unknown_strength_meets_nothing() -> None:
    assert not acr.meets(None, "aal1")
    assert not acr.meets("aal3", "made-up")


@pytest.mark.parametrize(
    ("amr", "level"),
    [
        (["pwd"], "aal1"),
        (["pwd", "otp", "mfa"], "aal2"),
        (["fed"], "aal1"),
        (["fed", "otp", "mfa"], "aal2"),
        (["wia"], "aal1"),
        (["wia", "otp", "mfa"], "aal2"),
        (["otp"], "aal1"),
        ([], "aal1"),
    ],
)
def test_methods_add_up_to_a_level(amr: list[str], level: str) -> None:
    assert acr.of_methods(amr) == level


@pytest.mark.attack("AZ22")
@pytest.mark.parametrize(
    ("asked", "least"),
    [
        ([], None),
        (["x"], None),
        (["aal3"], None),
        (["aal2"], "aal2"),
        (["aal2", "aal1"], "aal1"),
        (["aal3", "aal2"], "aal2"),
    ],
)
def test_the_weakest_offered_value_satisfies_the_asker(asked: list[str], least: str | None) -> None:
    assert acr.least(asked) == least


def test_of_several_demands_the_strongest_counts() -> None:
    assert acr.strongest(["aal1", None, "aal2"]) == "aal2"
    assert acr.strongest([None]) is None
