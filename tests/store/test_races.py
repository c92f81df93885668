from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from idp.store import code, refresh_token, signin, totp
from idp.store.digests import digest
from idp.store.ids import new_id
from tests.store import claims

pytestmark = pytest.mark.usefixtures("untraced_servers")

ROUNDS = 200
LATER = claims.NOW + dt.timedelta(days=30)
ROOT = Path(__file__).parents[2]


@contextmanager
def processes(url, kind, count=2):
    """Start processes that race in each round they are told of."""
    command = [sys.executable, "-m", "tests.store.claims", url, kind]
    started = [
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env={**os.environ}
        )
        for _ in range(count)
    ]
    try:
        for process in started:
            assert process.stdout.readline() == "ready\n"
        yield started
    finally:
        for process in started:
            process.stdin.close()
            process.wait(30)
            process.stdout.close()


def prepare(db, person, kind):
    """Make what is raced for, all rounds at once."""
    ids = {"account": person.account_id, "totp": new_id()}
    with db.write() as tx:
        match kind:
            case "code":
                for number in range(ROUNDS):
                    code.create(
                        tx,
                        code_hash=digest(f"code{number}"),
                        grant_id=person.id,
                        client_id="web-app",
                        redirect_uri=None,
                        code_challenge=None,
                        nonce=None,
                        resources=[],
                        claims={},
                        now=claims.NOW,
                        expires_at=LATER,
                    )
            case "refresh":
                for number in range(ROUNDS):
                    refresh_token.create(
                        tx,
                        token_hash=digest(f"refresh{number}"),
                        grant_id=person.id,
                        client_id="web-app",
                        scopes={},
                        now=claims.NOW,
                        idle_expires_at=LATER,
                    )
            case "step":
                totp.create(
                    tx, totp_id=ids["totp"], account_id=person.account_id, label="", seed_sealed=b"", now=claims.NOW
                )
            case "recovery":
                hashes = [digest(f"recovery{number}") for number in range(ROUNDS)]
                totp.replace_recovery_codes(tx, person.account_id, hashes, claims.NOW)
            case "signin":
                for number in range(ROUNDS):
                    waiting = signin.create(
                        tx,
                        flow_hash=b"flow",
                        client_id="web-app",
                        request={},
                        now=claims.NOW,
                        expires_at=LATER,
                    )
                    ids[f"signin{number}"] = waiting.id
    return ids


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("code", marks=(pytest.mark.attack("TK14"), pytest.mark.spec("RFC 6749 section 4.1.2"))),
        pytest.param("refresh", marks=pytest.mark.attack("TK19")),
        pytest.param("step", marks=(pytest.mark.attack("LG12"), pytest.mark.spec("RFC 6238 section 5.2"))),
        pytest.param("recovery"),
        pytest.param("jti", marks=(pytest.mark.attack("TK8"), pytest.mark.spec("RFC 7523 section 3"))),
        pytest.param("signin"),
    ],
)
def test_of_all_who_claim_at_once_exactly_one_wins(db, database_url, person, kind):
    ids = prepare(db, person, kind)
    with processes(database_url, kind) as racers:
        for number in range(ROUNDS):
            needed = {"account": ids["account"], "totp": ids["totp"], f"signin{number}": ids.get(f"signin{number}", "")}
            line = " ".join([str(number), *(f"{name}={value}" for name, value in needed.items())])
            for racer in racers:
                racer.stdin.write(f"{line}\n")
                racer.stdin.flush()
            wins = [int(racer.stdout.readline()) for racer in racers]
            assert sum(wins) == 1, f"round {number}: {wins}"
