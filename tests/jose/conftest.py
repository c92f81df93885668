from __future__ import annotations

import pytest

from idp.jose.keys import KeySet
from tests.jose.forge import Workshop


@pytest.fixture(scope="session")
def workshop() -> Workshop:
    return Workshop()


@pytest.fixture(scope="session")
def own(workshop: Workshop) -> KeySet:
    return KeySet.from_own(workshop.jwks())
