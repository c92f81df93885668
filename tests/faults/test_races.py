"""Things that work once, asked for at the same moment by many, of two worker processes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from tests.faults.seeds import issue_codes, issue_refresh_tokens, rivals
from tests.services.provider import Provider

ROUNDS, LONG_ROUNDS, CALLERS = 20, 200, 8


@pytest.fixture(params=["granian on SQLite", "gunicorn on PostgreSQL"])
def two_workers(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Provider]:
    """A provider with two worker processes: both servers, both databases."""
    server, _, kind = request.param.partition(" on ")
    url = request.getfixturevalue("sqlite_url" if kind == "SQLite" else "postgres_url")
    with Provider(tmp_path / "provider", database_url=url, server=server, workers=2) as provider:
        yield provider


def at_once(callers: int, act: Callable[[int], requests.Response]) -> list[requests.Response]:
    """Let everybody act at the same moment."""
    gate = threading.Barrier(callers)

    def wait_and_act(number: int) -> requests.Response:
        gate.wait()
        return act(number)

    with ThreadPoolExecutor(callers) as pool:
        return list(pool.map(wait_and_act, range(callers)))


def race_codes(provider: Provider, rounds: int) -> None:
    sessions = rivals(CALLERS)
    for redemption in issue_codes(provider, rounds):
        answers = at_once(CALLERS, lambda number, it=redemption: it.redeem(provider, sessions[number]))
        won = [answer for answer in answers if answer.status_code == requests.codes.ok]
        lost = {answer.json()["error"] for answer in answers if answer not in won}
        assert len(won) <= 1
        assert lost == {"invalid_grant"}
        # The second use of a code ends what the first one bought (RFC 6749 section 4.1.2).
        for answer in won:
            assert not redemption.is_active(provider, answer.json()["access_token"])


def race_refresh(provider: Provider, rounds: int) -> None:
    sessions = rivals(CALLERS)
    for family in issue_refresh_tokens(provider, rounds):
        answers = at_once(CALLERS, lambda number, it=family: it.refresh(provider, sessions[number]))
        successors = {answer.json()["refresh_token"] for answer in answers if answer.status_code == requests.codes.ok}
        assert len(successors) == 1, [(answer.status_code, answer.text) for answer in answers]
        assert family.leaves(provider) == 1


@pytest.mark.attack("TK14")
def test_one_code_has_one_winner(two_workers: Provider) -> None:
    race_codes(two_workers, ROUNDS)


@pytest.mark.attack("TK19")
def test_one_refresh_token_has_one_successor_and_every_success_carries_it(two_workers: Provider) -> None:
    race_refresh(two_workers, ROUNDS)


@pytest.mark.long
@pytest.mark.attack("TK14", "TK19")
def test_no_round_of_many_has_two_winners(
    two_workers: Provider, record_property: Callable[[str, object], None]
) -> None:
    race_codes(two_workers, LONG_ROUNDS)
    race_refresh(two_workers, LONG_ROUNDS)
    record_property("races for a code and for a refresh token, each", LONG_ROUNDS)
    record_property("callers at once", CALLERS)


@pytest.mark.attack("TK20")
def test_a_used_refresh_token_stays_used_after_a_restart(database_url: str, tmp_path: Path) -> None:
    folder = tmp_path / "provider"
    with Provider(folder, database_url=database_url, workers=2, refresh_grace="0s") as provider:
        [family] = issue_refresh_tokens(provider, 1)
        assert family.refresh(provider).status_code == requests.codes.ok
        assert provider.program is not None
        provider.program.stop()
        provider.start()
        again = family.refresh(provider)
        assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
