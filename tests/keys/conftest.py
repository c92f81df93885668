from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import pytest

from idp.keys.rotation import Keyring
from idp.settings import Settings
from idp.store.database import Base, Database
from idp.store.sealed import Sealer

NOW = dt.datetime(2027, 1, 15, 8, tzinfo=dt.UTC)


@pytest.fixture
def now() -> dt.datetime:
    return NOW


@pytest.fixture
def sealer() -> Sealer:
    return Sealer({"00" * 8: bytes(32)}, "00" * 8)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/idp.db"


@pytest.fixture
def db(url: str) -> Database:
    database = Database.open(url)
    Base.metadata.create_all(database.engine)
    return database


@pytest.fixture
def make(db: Database, sealer: Sealer, url: str) -> Callable[..., Keyring]:
    """Another worker's keyring over the same store. EC and OKP by default: RSA keys take their time."""

    def worker(**settings: object) -> Keyring:
        chosen = {"signing_algs": ("ES256", "EdDSA")} | settings
        return Keyring(db, sealer, Settings(database_url=url, **chosen))

    return worker


@pytest.fixture
def keyring(make: Callable[..., Keyring]) -> Keyring:
    return make()
