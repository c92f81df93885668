"""The rules of a domain in words, without a domain."""

from __future__ import annotations

from dataclasses import replace

import pytest

from idp.federation.connector import NotSignedIn
from idp.federation.directory import domain
from idp.federation.directory.domain import Domain, Rules
from idp.federation.directory.names import Names, Place

STRICT = Rules(length=12, mixed=True, history=1, age=86_400, lockout=5, window=1800)
CORP = Domain(dn="DC=corp,DC=test", dns="corp.test", netbios="corp")
SALES = Domain(dn="DC=sales,DC=corp,DC=test", dns="sales.corp.test", netbios="sales")


@pytest.mark.parametrize(
    ("password", "kinds"),
    [("", 0), ("abc", 1), ("abC", 2), ("abC1", 3), ("abC1!", 4), ("日本", 1), ("1٣", 1), ("日本aB1 ", 5)],
)
def test_kinds_of_characters_are_counted_as_windows_does(password: str, kinds: int) -> None:
    assert domain.kinds(password) == kinds


def test_parts_of_names_of_three_letters_and_more_count() -> None:
    assert domain.parts(["Erin M. Hagens", "al", "bo_smith-JR"]) == {"erin", "hagens", "smith"}


@pytest.mark.parametrize(
    ("password", "fault"),
    [
        ("Short-1", "It has fewer than 12 characters."),
        ("onlysmallletters", "It has too few kinds of characters: small letters, capitals, digits, others."),
        ("99-xHAGENSx-99z", "Your name is in it."),
        ("Good-Enough-99", "It may be one that you had before, or the last one is too new to be changed already."),
    ],
)
def test_the_fault_of_a_refused_password_is_named_as_far_as_it_can_be_seen(password: str, fault: str) -> None:
    assert STRICT.fault(password, ["Erin Hagens"]) == fault


def test_a_lax_domain_has_few_words() -> None:
    lax = Rules(length=0, mixed=False, history=0, age=0, lockout=0, window=0)
    assert lax.words() == ()
    assert replace(lax, history=1).words() == ("Not the password you have",)
    assert "before" in lax.fault("x", ["x"])


@pytest.fixture
def forest() -> Names:
    return Names(domain="corp.test", netbios=None, forest=True)


def test_the_domain_of_an_entry_is_the_nearest_above_it(forest: Names) -> None:
    known = (CORP, SALES)
    assert forest.of("CN=a,OU=x,DC=SALES,DC=corp,DC=test", known) == SALES
    assert forest.of("CN=a,DC=corp,DC=test", known) == CORP
    assert forest.of("CN=a,DC=other,DC=test", known) is None


def test_in_a_forest_a_domains_own_names_are_looked_for_in_that_domain_alone(forest: Names) -> None:
    known = (CORP, SALES)
    assert forest.meant("SALES\\ann", "", known) == [Place(SALES.dn, "(sAMAccountName=ann)")]
    assert forest.meant("ann@Sales.corp.test", "", known) == [
        Place("", "(userPrincipalName=ann@Sales.corp.test)"),
        Place(SALES.dn, "(sAMAccountName=ann)"),
        Place("", "(mail=ann@Sales.corp.test)"),
    ]
    assert [each.base for each in forest.meant("ann@brand.test", "", known)] == ["", ""]
    assert forest.meant("ann", "", known) == [Place("", "(sAMAccountName=ann)")]
    with pytest.raises(NotSignedIn):
        forest.meant("NOWHERE\\ann", "", known)


@pytest.mark.attack("FD14")
def test_a_domain_is_not_those_below_it_though_a_catalogue_shows_them_as_its_part(forest: Names) -> None:
    known = (CORP, SALES)
    (place,) = forest.meant("CORP\\ann", "", known)
    assert place == Place(CORP.dn, "(sAMAccountName=ann)", (SALES.dn,))
    assert place.holds(f"CN=ann,OU=Staff,{CORP.dn}")
    assert not place.holds(f"CN=ann,OU=Staff,{SALES.dn.lower()}")


@pytest.mark.parametrize(
    ("name", "base", "place"),
    [
        ("CORP\\ann", f"OU=Staff,{CORP.dn}", f"OU=Staff,{CORP.dn}"),
        ("SALES\\ann", f"OU=Staff,{CORP.dn}", None),
        ("SALES\\ann", CORP.dn, SALES.dn),
        ("ann@sales.corp.test", f"OU=Staff,{SALES.dn}", f"OU=Staff,{SALES.dn}"),
    ],
)
def test_nobody_beside_the_base_is_found_by_the_name_of_a_domain(
    forest: Names, name: str, base: str, place: str | None
) -> None:
    known = (CORP, SALES)
    try:
        found = [each.base for each in forest.meant(name, base, known) if "sAMAccountName" in each.wanted]
    except NotSignedIn:
        found = []
    assert found == ([] if place is None else [place])


def test_the_short_name_of_the_domain_is_learned_where_it_is_not_said() -> None:
    silent = Names(domain="corp.test", netbios=None, forest=False)
    assert silent.meant("CORP\\ann", "OU=x", (CORP, SALES)) == [Place("OU=x", "(sAMAccountName=ann)")]
    for name, known in (("SALES\\ann", (CORP, SALES)), ("CORP\\ann", ())):
        with pytest.raises(NotSignedIn):
            silent.meant(name, "OU=x", known)
