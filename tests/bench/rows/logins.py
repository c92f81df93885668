"""Password logins beside argon2id alone, with the same parameters, on all cores."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlencode

from sqlalchemy import select

from idp.accounts.passwords import Passwords
from idp.store import signin
from idp.store.signin import Signin
from tests.bench.contest import Outcome, Pace, Reach, Sample, alternate
from tests.bench.stage import FORM, Stage, cookies, flow_cookie, set_up
from tests.fixtures import people
from tests.fixtures.markup import Page
from tests.fixtures.people import PASSWORD
from tests.services.provider import session

PEOPLE = 64  # nobody signs in twice at once: parallel tries of one account would look like guesses
MOST_A_SECOND = 100 * (os.cpu_count() or 1)  # more sign-ins than can be hashed for
CONNECTIONS = 8


def run(folder: Path, pace: Pace) -> Iterator[Outcome]:
    """Answer the sign-in form; the page before it has been shown."""
    stage = set_up(folder / "ours", workers=os.cpu_count() or 1)
    try:
        taken = alternate({"ours": Logins(stage), "argon2id": _hashing}, pace)
    finally:
        stage.provider.stop()
    yield Outcome(
        label="logins / argon2id alone",
        work="password login: the form answered, session opened and audited, SQLite, a worker for each core",
        rival="argon2id alone (19 MiB, t=2), a thread for each core",
        reach=Reach(limit=0.9),
        unit="logins/s",
        ours=taken["ours"],
        theirs=taken["argon2id"],
    )


class Logins:
    """Rounds of logins, each with sign-ins of its own that wait for a password."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        services = stage.provider.services
        with services.db.write() as tx:
            for number in range(PEOPLE):
                people.register(tx, f"person-{number}", services)
        cookie = flow_cookie(stage)
        with services.db.read() as tx:
            self._begun = tx.scalars(select(Signin)).one()
        page = session().get(
            stage.provider.url(f"/login?signin={self._begun.id}"), headers={"Cookie": cookie}, timeout=10
        )
        form = Page(page.text).forms[0]
        cookie = cookies(page.headers["Set-Cookie"])  # the same browser, now with its CSRF token
        self._plan: dict[str, object] = {
            "headers": {**FORM, "Cookie": cookie},
            "bodies": [
                urlencode({**form.fields, "username": f"person-{number}", "password": PASSWORD})
                for number in range(PEOPLE)
            ],
        }

    def __call__(self, seconds: float) -> Sample:
        services, begun = self._stage.provider.services, self._begun
        now = services.clock()
        with services.db.write() as tx:
            waiting = [
                signin.create(
                    tx,
                    flow_hash=begun.flow_hash,
                    client_id=begun.client_id,
                    request=begun.request,
                    now=now,
                    expires_at=now + timedelta(minutes=10),
                ).id
                for _ in range(int(seconds * MOST_A_SECOND))
            ]
        return self._stage.load("login", {**self._plan, "signins": waiting}, seconds, connections=CONNECTIONS)


def _hashing(seconds: float) -> Sample:
    passwords = Passwords()
    stored = passwords.hash(PASSWORD)
    done: list[int] = []
    began = time.monotonic()

    def work() -> None:
        count = 0
        while time.monotonic() < began + seconds:
            passwords.verify(stored, PASSWORD)
            count += 1
        done.append(count)

    threads = [threading.Thread(target=work) for _ in range(os.cpu_count() or 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Sample(value=sum(done) / (time.monotonic() - began))
