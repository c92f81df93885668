"""Which realm a name carries, without a directory."""

from __future__ import annotations

import pytest

from idp.accounts.entrance import realm_of


@pytest.mark.attack("FD14")
@pytest.mark.parametrize(
    ("login", "realm"),
    [
        ("alice", None),
        ("alice@Corp.Test", "corp.test"),
        (" CORP\\alice ", "corp"),
        ("CORP-EU\\alice", "corp-eu"),
        ("corp_2\\alice", "corp_2"),
        ("CORP\\", None),
        ("\\alice", None),
        ("-\\alice", None),
        ("CORP\\CORP\\alice", None),
        ("CÖRP\\alice", None),
        ("a@b@corp.test", None),
        ("corp.test\\a@other.test", None),
    ],
)
def test_a_realm_is_read_exactly_or_not_at_all(login: str, realm: str | None) -> None:
    assert realm_of(login) == realm
