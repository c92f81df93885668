"""Who is disabled in the directory is refused at the gateway; who leaves a group there may do less."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.journeys.leaving import Firm, firm
from tests.journeys.test_revocation import EVEN_ON_A_BUSY_MACHINE
from tests.services.authority import Authority, Certificate
from tests.services.slapd import Slapd, person


@pytest.fixture
def corp(
    box: Path, certificate: Certificate, authority: Authority, tmp_path: Path, postgres_url: str
) -> Iterator[Firm]:
    """Everything at work, for one test."""
    server = Slapd(box / "leaving", certificate)
    try:
        with firm(tmp_path, postgres_url, server, authority) as made:
            yield made
    finally:
        server.stop()


@pytest.mark.attack("FD7", "IN7")
def test_what_the_directory_says_holds_at_every_gateway(corp: Firm) -> None:
    leaver, mover, stayer = (corp.comes(f"user{number:06}") for number in (1, 2, 3))
    for each in (leaver, mover, stayer):
        assert corp.line.allowed(each.access) == [True, True]

    corp.leaves(leaver)
    corp.admin.leave("group0000", person(mover.name))
    said = corp.line.provider.idp("connector", "sync", "corp")
    assert (said["closed"], said["roles"], said["trouble"]) == ([leaver.name], [mover.name], None)
    since = time.monotonic()

    assert corp.refused_after(leaver, since) < EVEN_ON_A_BUSY_MACHINE
    refused = corp.refreshes(leaver)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
    assert corp.refused_after(mover, since) < EVEN_ON_A_BUSY_MACHINE
    less = corp.refreshes(mover)
    assert less.status_code == 400
    assert corp.line.allowed(stayer.access) == [True, True]
    assert corp.refreshes(stayer).status_code == 200

    corp.admin.enable(leaver.name)
    assert corp.line.provider.idp("connector", "sync", "corp")["reopened"] == [leaver.name]
    assert corp.refreshes(leaver).status_code == 400
    again = corp.comes(leaver.name)
    assert corp.line.allowed(again.access) == [True, True]

    # Nobody looks at the directory now: the next try to sign in is enough.
    corp.leaves(again)
    corp.knocks(again.name)
    assert corp.refused_after(again, time.monotonic()) < EVEN_ON_A_BUSY_MACHINE
    assert corp.refreshes(again).status_code == 400
