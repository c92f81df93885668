"""Two real processes, one store: one key for each algorithm."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys

import pytest

from idp.store import signing_key
from idp.store.database import Database


@pytest.mark.usefixtures("untraced_servers")
@pytest.mark.parametrize("_round", range(2))
def test_two_processes_that_start_at_once_make_one_key_each_algorithm(
    db: Database, database_url: str, now: dt.datetime, _round: int
) -> None:
    command = [sys.executable, "-m", "tests.keys.racer", database_url, now.isoformat()]
    racers = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    answers = []
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    for racer in racers:
        answers.append(racer.communicate(timeout=60)[0])
        assert racer.returncode == 0
    assert answers[0] == answers[1]
    with db.read() as tx:
        assert sorted(row.alg for row in signing_key.listing(tx)) == ["ES256", "EdDSA", "PS256", "RS256"]
