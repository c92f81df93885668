from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pytest

from idp.keys.rotation import Keyring
from idp.settings import Settings
from idp.store.database import Database
from idp.store.sealed import Sealer

NOW = dt.datetime(2027, 1, 15, 8, tzinfo=dt.UTC)


@pytest.fixture
def now() -> dt.datetime:
    return NOW


@pytest.fixture
def sealer() -> Sealer:
    return Sealer({"00" * 8: bytes(32)}, "00" * 8)


@pytest.fixture
def make(db: Database, sealer: Sealer, database_url: str) -> Callable[..., Keyring]:
    """Another worker's keyring over the same store. EC and OKP by default: RSA keys take their time."""

    def worker(**settings: object) -> Keyring:
        chosen = {"signing_algs": ("ES256", "EdDSA")} | settings
        return Keyring(db, sealer, Settings(database_url=database_url, **chosen))

    return worker


@pytest.fixture
def keyring(make: Callable[..., Keyring]) -> Keyring:
    return make()
