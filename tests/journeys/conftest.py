"""A line to walk along, and a browser that keeps a picture of every step."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from idp.accounts.passwords import Passwords
from idp.demo.facts import WEB
from idp.demo.seed import GROUP
from idp.store import account, client, group
from idp.store.database import Database
from tests.journeys.line import Line
from tests.journeys.nginx import inside
from tests.journeys.walker import Enrolled, Walker
from tests.services.nginx import Nginx
from tests.services.program import free_port

PASSWORD = "the moth in relay seventy"


def prepare(line: Line) -> None:
    """Whoever enters Orders Desk needs a second step; and beside Ada there are Grace and Hedy."""
    database = Database.open(line.database_url())
    now = datetime.now(UTC)
    hashed = Passwords().hash(PASSWORD)
    with database.write() as tx:
        client.change(tx, WEB, now, {"mfa": "required"})
        clerks = group.find(tx, GROUP)
        assert clerks is not None
        for username in ("grace", "hedy"):
            person = account.create(tx, username=username, password_hash=hashed, now=now)
            group.add_member(tx, clerks.id, person.id)
    database.close()


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory, box: Path) -> Iterator[Line]:
    """Everything, running."""
    made = Line(tmp_path_factory.mktemp("line"), nginx_port=free_port())
    folder = box / f"journey-{made.gateway_port}"
    port = made.facts.places.gateway
    nginx = None
    try:
        made.start(prepare)
        nginx = Nginx(folder, port=port, inside=inside(made))
        yield made
    finally:
        if nginx is not None:
            nginx.stop()
        made.end()


@pytest.fixture
def walker(chromium: Browser, artifacts: Path, request: pytest.FixtureRequest) -> Iterator[Walker]:
    """A browser nobody has used before."""
    folder = artifacts / "journey" / request.node.name.removeprefix("test_")
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    context.set_default_timeout(15_000)
    yield Walker(context.new_page(), folder)
    context.close()


@pytest.fixture(scope="module")
def enrolled(chromium: Browser, artifacts: Path, line: Line) -> Enrolled:
    """Grace has set up her second step, in a browser of her own."""
    context = chromium.new_context(reduced_motion="reduce")
    walker = Walker(context.new_page(), artifacts / "journey" / "grace enrols")
    walker.arrive(line)
    walker.sign_in("grace", PASSWORD)
    made = walker.enrol()
    walker.tab.click("#consent-allow")
    walker.tab.wait_for_selector("#who")
    context.close()
    return made
