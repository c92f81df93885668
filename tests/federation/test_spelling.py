"""Texts inside filters and DNs: each character is just that character, there and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.federation.connector import Misconfigured
from idp.federation.ldap import spelling

ODD = [*' ,+";<>=\\\x00\n#', "  ", " #", "#a", " a", "a ", "C# Team", "a,b=c", "ü", "\\2c", "#616c696365", "a\\"]


@pytest.mark.attack("FD1")
@pytest.mark.spec("RFC 4515 section 3")
@pytest.mark.parametrize("letter", ["*", "(", ")", "\\", "\x00"])
def test_what_means_something_in_a_filter_is_written_by_its_number(letter: str) -> None:
    assert spelling.literal(f"a{letter}b") == f"a\\{ord(letter):02x}b"


def test_octets_are_written_by_their_numbers() -> None:
    assert spelling.octets(b"\x00*A") == "\\00\\2a\\41"


@pytest.mark.attack("FD2")
@pytest.mark.spec("RFC 4514 section 2.4")
@pytest.mark.parametrize("text", ODD)
def test_a_value_in_a_dn_is_one_value_and_read_back_as_it_was(text: str) -> None:
    dn = f"uid={spelling.rdn(text)},ou=people,dc=example"

    assert spelling.first_value(dn) == text


@pytest.mark.attack("FD2")
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20))
def test_any_value_in_a_dn_is_one_value_and_read_back_as_it_was(text: str) -> None:
    assert spelling.first_value(f"uid={spelling.rdn(text)},ou=people,dc=example") == text


def test_a_value_that_somebody_else_wrote_by_numbers_is_read() -> None:
    assert spelling.first_value("cn=M\\c3\\bcller\\, Ada,dc=example") == "Müller, Ada"


@pytest.mark.parametrize("text", ["people", "=", "ou=people,", "ou=a,,dc=b"])
def test_what_is_no_dn_is_refused_by_the_name_of_its_field(text: str) -> None:
    with pytest.raises(Misconfigured, match=r"^user_base: "):
        spelling.check_dn(text, "user_base")


@pytest.mark.parametrize(
    ("dn", "value"),
    [
        ("cn=C# Team,dc=example", "C# Team"),
        ("cn = plain , dc=example", "plain"),
        ("cn=two+sn=more,dc=example", "two"),
        ("cn=one", "one"),
        ("cn=a=b,dc=x", "a=b"),
        ("cn=ends\\ ,dc=x", "ends "),
        ("cn=broken\\", "broken"),
        ("cn=,dc=x", ""),
        ("people", "people"),
        ("=people", "=people"),
    ],
)
def test_reads_what_directories_write_and_shows_what_is_no_dn_as_it_is(dn: str, value: str) -> None:
    assert spelling.first_value(dn) == value


@pytest.mark.parametrize(
    ("dn", "base"),
    [
        ("uid=a,ou=People,dc=x", "ou=people, dc=x"),
        ("ou=people,dc=x", "OU=people,DC=x"),
        ("uid=a,ou=people,dc=x", ""),
    ],
)
def test_what_is_at_a_base_or_below_it_is_inside(dn: str, base: str) -> None:
    assert spelling.inside(dn, base)


@pytest.mark.parametrize("dn", ["uid=a,ou=others,dc=x", "ou=morepeople,dc=x", "dc=x", ""])
def test_what_is_beside_a_base_or_above_it_is_not(dn: str) -> None:
    assert not spelling.inside(dn, "ou=people,dc=x")
