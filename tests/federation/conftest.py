"""A directory, and connectors to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from idp.federation.directory.connector import Directory
from idp.federation.registry import Made, make
from tests.services.authority import Authority
from tests.services.slapd import PEOPLE, READER, Slapd

Connect = Callable[..., Directory]


@pytest.fixture
def connect(slapd: Slapd, authority: Authority) -> Iterator[Connect]:
    """Make a connector to the directory; settings of None are left out."""
    made: list[Directory] = []

    def to(**changes: Any) -> Directory:
        settings = {
            "servers": [slapd.ldaps],
            "ca_file": str(authority.file),
            "bind_dn": READER[0],
            "user_base": PEOPLE,
            "timeout": 10,  # a busy machine may take its time, unless a test is about that
            "group_timeout": 10,
            **changes,
        }
        secrets = {"bind_password": READER[1]} if settings["bind_dn"] is not None else {}
        config = {name: value for name, value in settings.items() if value is not None}
        connector = make("ldap", Made(name="ldap", config=config, secrets=secrets))
        assert isinstance(connector, Directory)
        made.append(connector)
        return connector

    yield to
    for each in made:
        each.close()
