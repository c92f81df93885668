"""Workers die in the middle of everything (kill -9); what was said stays said.

Every answer a client got is written down, and after the last death the invariants are asked of the survivors:
I1 a code yields at most one live grant; I2 a family has at most one live leaf; I3 a token returned with 200 still
works; I4 nothing used revives; I7 every 200 has its row in the audit.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import requests
from sqlalchemy import func, select

from idp.store.audit import AuditRow
from tests.faults.seeds import Family, Redemption, issue_codes, issue_refresh_tokens, rivals
from tests.services.postgres import Cluster
from tests.services.provider import Provider, session

Record = Callable[[str, object], None]

CALLERS = 4
WORKERS = 2
ANSWER_WITHIN = 60.0
FEW, MANY = 400, 5_000
PAUSE = (0.3, 0.9)


class Killer(threading.Thread):
    """Ends a worker without warning, again and again."""

    def __init__(self, provider: Provider) -> None:
        super().__init__(daemon=True)
        self._provider = provider
        self._over = threading.Event()
        self._random = random.Random(4)
        self._last = 0
        self.killed = 0

    def run(self) -> None:
        while not self._over.wait(self._random.uniform(*PAUSE)):
            workers = self._provider.workers()
            # One at a time, and not while the other still begins: what is examined is what a death leaves behind,
            # not a provider without workers.
            if len(workers) == WORKERS and self._provider.each_serves():
                self._last = self._random.choice(workers)
                with suppress(ProcessLookupError):
                    os.kill(self._last, signal.SIGKILL)
                    self.killed += 1

    def stop(self) -> None:
        """Kill no more, and wait until somebody serves: a newborn may not listen yet when its sister dies."""
        self._over.set()
        self.join(60)
        while self._last in self._provider.workers():
            time.sleep(0.01)
        stubborn(lambda: session().get(self._provider.url("/healthz"), timeout=5))


def stubborn(act: Callable[[], requests.Response]) -> requests.Response:
    """Ask until there is an answer: a dead worker closes its connections, the next one takes over."""
    deadline = time.monotonic() + ANSWER_WITHIN
    while time.monotonic() < deadline:
        with suppress(requests.ConnectionError, requests.exceptions.ChunkedEncodingError, requests.Timeout):
            answer = act()
            if answer.status_code != requests.codes.unavailable:
                return answer
        time.sleep(0.05)
    raise AssertionError("no answer within a minute")


def redeem_all(provider: Provider, redemptions: list[Redemption]) -> dict[str, requests.Response]:
    """Redeem every code, a few at a time."""
    callers = rivals(CALLERS)

    def one(number: int) -> requests.Response:
        it = redemptions[number]
        return stubborn(lambda: it.redeem(provider, callers[number % CALLERS]))

    with ThreadPoolExecutor(CALLERS) as pool:
        answers = list(pool.map(one, range(len(redemptions))))
    return {it.code: answer for it, answer in zip(redemptions, answers, strict=True)}


def campaign(provider: Provider, number: int) -> int:
    """Redeem while workers die; then check the invariants. Return how many died."""
    redemptions = issue_codes(provider, number)
    killer = Killer(provider)
    killer.start()
    try:
        answers = redeem_all(provider, redemptions)
        while not killer.killed:  # a fast machine is done before anybody dies
            more = issue_codes(provider, number)
            redemptions, answers = redemptions + more, answers | redeem_all(provider, more)
    finally:
        killer.stop()
    won = [it for it in redemptions if answers[it.code].status_code == requests.codes.ok]
    lost = [it for it in redemptions if it not in won]
    assert {answers[it.code].json()["error"] for it in lost} <= {"invalid_grant"}
    check(provider, won, lost, answers)
    return killer.killed


def check(
    provider: Provider, won: list[Redemption], lost: list[Redemption], answers: dict[str, requests.Response]
) -> None:
    """Ask the survivors."""
    caller = session()
    for it in won:  # I3
        assert it.is_active(provider, answers[it.code].json()["access_token"])
    with provider.db.read() as tx:  # I7
        redeemed = select(func.count()).where(AuditRow.event == "code.redeemed")
        assert len(won) <= (tx.scalar(redeemed) or 0) <= len(won) + len(lost)
    for it in [*won[:50], *lost]:  # I1, I4: what was used, and what was used with its answer lost, is gone
        again = it.redeem(provider, caller)
        assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    for it in won[:50]:
        assert not it.is_active(provider, answers[it.code].json()["access_token"])


@pytest.fixture(params=["granian on SQLite", "gunicorn on PostgreSQL"])
def mortal(request: pytest.FixtureRequest, box: Path, tmp_path: Path) -> Iterator[Provider]:
    """A provider with two workers that may die, on a database that is as durable as in production."""
    server, _, kind = request.param.partition(" on ")
    cluster = None if kind == "SQLite" else Cluster(box / f"durable-{uuid.uuid4().hex}", durable=True)
    url = None if cluster is None else cluster.create("mortal")
    try:
        # A grace longer than the longest outage here, so that what is lost is lost by a death and not by a wait.
        chosen = {"server": server, "workers": WORKERS, "refresh_grace": "60s"}
        with Provider(tmp_path / "provider", database_url=url, **chosen) as provider:
            yield provider
    finally:
        if cluster is not None:
            cluster.stop()


@pytest.mark.attack("F1")
def test_no_invariant_breaks_when_workers_die_while_codes_are_redeemed(mortal: Provider) -> None:
    assert campaign(mortal, FEW) > 0


@pytest.mark.attack("F1")
def test_no_family_is_lost_when_workers_die_while_tokens_are_refreshed(mortal: Provider) -> None:
    families = issue_refresh_tokens(mortal, 8)
    killer = Killer(mortal)
    killer.start()
    try:
        with ThreadPoolExecutor(CALLERS) as pool:
            rounds = list(pool.map(lambda it: refresh_often(mortal, it, 20), families))
    finally:
        killer.stop()
    assert rounds == [20] * len(families)
    assert [it.leaves(mortal) for it in families] == [1] * len(families)  # I2


def refresh_often(provider: Provider, family: Family, times: int) -> int:
    """Refresh again and again; an answer that was lost is asked for again within the grace."""
    caller = session()
    for done in range(times):
        answer = stubborn(lambda it=family: it.refresh(provider, caller))
        if answer.status_code != requests.codes.ok:
            return done
        family = replace(family, token=answer.json()["refresh_token"])
    return times


@pytest.mark.long
@pytest.mark.attack("F1")
def test_five_thousand_redemptions_among_dying_workers(mortal: Provider, record_property: Record) -> None:
    killed = campaign(mortal, MANY)
    record_property("codes redeemed", MANY)
    record_property("workers killed", killed)
    assert killed > 5
