"""What a new password must be."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.accounts import rules
from idp.accounts.breached import Breached
from idp.accounts.rules import Rules

RULES = Rules()


@pytest.mark.parametrize(
    "password",
    ["correct horse battery staple", "x" * 3 + "wandering tulip " * 4, "låt mig komma in nu", "7193 2048 6655 1290 44"],
)
def test_takes_a_long_password_of_any_characters(password: str) -> None:
    assert RULES.problems(password, "alice") == ()


def test_refuses_eleven_characters() -> None:
    assert "at least 12" in RULES.problems("tulip-riven", "alice")[0]


@pytest.mark.parametrize(
    "password",
    [
        "justinbieber",
        "JustinBieber",
        "monkey20242024",
        "Password2024!",
        "p4ssw0rd!!!!!",
        "aaaaaaaaaaaaaaaa",
        "123412341234",
        "dragondragon",
        "1qaz2wsx3edc4rfv",
    ],
)
def test_refuses_what_attackers_try_first(password: str) -> None:
    assert rules.KNOWN in RULES.problems(password, "alice")


@pytest.mark.parametrize("password", ["alice walks at night", "walks ALICE at night", "by.the.sea.example"])
def test_refuses_the_owners_names(password: str) -> None:
    assert rules.PERSONAL in RULES.problems(password, "alice", "by.the.sea@example.org")


def test_refuses_the_name_of_the_service() -> None:
    assert rules.SERVICE in RULES.problems("my gatehouse tulip", "alice")


@pytest.mark.attack("LG9")
def test_takes_a_password_far_beyond_64_characters() -> None:
    assert RULES.problems("seven purple herons " * 50, "alice") == ()


@pytest.mark.attack("LG9")
@pytest.mark.parametrize("password", ["x" * 4097, "é" * 2049])
def test_refuses_more_than_4_kilobytes(password: str) -> None:
    assert RULES.problems(password, "alice") == (rules.LONG,)


def test_the_packed_list_is_sorted_and_whole() -> None:
    packed = Breached().packed
    prefixes = [packed[at : at + 8] for at in range(0, len(packed), 8)]
    assert len(prefixes) >= 20_000
    assert prefixes == sorted(set(prefixes))


@given(st.sets(st.text(min_size=1, max_size=12), min_size=1, max_size=40), st.text(min_size=13, max_size=20))
def test_a_larger_file_answers_for_every_password_in_it(
    tmp_path_factory: pytest.TempPathFactory, known: set[str], other: str
) -> None:
    path: Path = tmp_path_factory.mktemp("breached") / "hashes.txt"
    hashes = sorted(hashlib.sha1(word.encode(errors="surrogatepass")).hexdigest().upper() for word in known)
    path.write_text("".join(f"{value}:{7}\r\n" for value in hashes))
    breached = Breached(larger=path, packed=b"")
    assert all(breached.has(word) for word in known)
    assert not breached.has("no one has this one " + other)
