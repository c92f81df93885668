"""Libraries are new enough, both those installed and those we say we need."""

from __future__ import annotations

from importlib import metadata

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

# The first releases without the weaknesses we know of.
FLOORS = {"joserfc": "1.7.4", "authlib": "1.6.9", "flask": "3.1.3", "gunicorn": "22.0"}


@pytest.mark.attack("SC3")
@pytest.mark.parametrize("name", FLOORS)
def test_the_installed_library_is_past_its_known_weaknesses(name):
    assert Version(metadata.version(name)) >= Version(FLOORS[name])


@pytest.mark.attack("SC3")
@pytest.mark.parametrize("name", FLOORS)
def test_no_weak_release_may_be_installed(name):
    required = [Requirement(line) for line in metadata.requires("gatehouse-idp") or ()]
    (ours,) = (each for each in required if each.name.lower() == name and each.marker is None)
    floor = next(Version(each.version) for each in ours.specifier if each.operator == ">=")
    assert floor >= Version(FLOORS[name])
