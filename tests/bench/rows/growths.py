"""What grows while everything else stays: users and refresh tokens of the provider, routes of the gateway."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

from sqlalchemy import text

from idp.gateway.decide import Gate
from idp.gateway.load import parse
from idp.gateway.log import JsonLines
from idp.gateway.request import Request
from tests.bench.contest import QUICK, Outcome, Pace, Reach, Sample, alternate
from tests.bench.rows.refreshes import Rotations
from tests.bench.stage import Stage, set_up
from tests.gateway.issuer import AUDIENCE, Issuer, running

USERS, TOKENS, ROUTES = (1_000, 100_000), (1_000, 1_000_000), (10, 1_000)
QUICK_TOKENS = 100_000
SLICE = 50
GROWS = Reach(limit=1.2, better="less")
HEAD = """
version = 1
[server]
shape = "forward_auth"
[issuers.main]
issuer = "{issuer}"
"""
ROUTE = """
[[routes]]
id = "route-{number}"
match = {{ method = ["GET"], path = "/service-{number}/{{kind}}/{{id}}" }}
audience = "{audience}"
require = {{ scope = ["orders:read"] }}
"""
# In SQL, for a million rows. The ids look like any other: UUIDs of version 7 begin with the time.
NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :number) "
ID = "lower(printf('0190%04x-%04x-7%s-8%s-%s', i >> 16, i & 65535, substr(hex(randomblob(2)), 2), "
ID += "substr(hex(randomblob(2)), 2), hex(randomblob(6))))"
MORE_USERS = f"""
INSERT INTO account (id, username, username_key, email, email_key, email_verified, must_enrol, claims,
                     created_at, updated_at)
{NUMBERS}
SELECT {ID}, 'user-' || i, 'user-' || i, 'user-' || i || '@example.org', 'user-' || i || '@example.org', 1, 0, '{{}}',
       created_at, updated_at FROM n, (SELECT created_at, updated_at FROM account LIMIT 1)
"""
MORE_TOKENS = f"""
INSERT INTO refresh_token (id, token_hash, grant_id, client_id, scopes, created_at, idle_expires_at)
{NUMBERS}
SELECT {ID}, randomblob(32), g.id, g.client_id, g.scopes, g.created_at, g.expires_at
FROM n JOIN (SELECT *, row_number() OVER () AS nth, count(*) OVER () AS all_of_them FROM authorization_grant) AS g
    ON g.nth = i % g.all_of_them + 1
"""


def run(folder: Path, pace: Pace) -> Iterator[Outcome]:
    """Each beside itself with little."""
    yield from _store(folder, pace)
    yield from _routes(folder, pace)


def _store(folder: Path, pace: Pace) -> Iterator[Outcome]:
    tokens = QUICK_TOKENS if pace == QUICK else TOKENS[1]
    sizes = {"little": (USERS[0], TOKENS[0]), "users": (USERS[1], TOKENS[0]), "tokens": (USERS[0], tokens)}
    with ExitStack() as stack:
        stages = {name: _filled(folder / name, *size) for name, size in sizes.items()}
        for stage in stages.values():
            stack.callback(stage.provider.stop)
        taken = alternate({name: _cost(stage) for name, stage in stages.items()}, pace)
    for name, grown in (("users", f"{USERS[1]:,} users"), ("tokens", f"{tokens:,} refresh tokens")):
        yield Outcome(
            label=grown,
            work=f"CPU of a refresh rotation (SQLite, one worker) with {grown}",
            rival=f"the same with {USERS[0]:,} users and {TOKENS[0]:,} refresh tokens",
            reach=GROWS,
            unit="us",
            ours=taken[name],
            theirs=taken["little"],
        )


def _filled(folder: Path, users: int, tokens: int) -> Stage:
    stage = set_up(folder)
    Rotations(stage)(1.0)  # grants to which more tokens belong
    with stage.provider.db.write() as tx:
        tx.execute(text(MORE_USERS), {"number": users})
        tx.execute(text(MORE_TOKENS), {"number": tokens})
    return stage


def _cost(stage: Stage) -> Callable[[float], Sample]:
    """The worker's time, in which its database works too: others on this machine hardly change it."""
    rotations = Rotations(stage)

    def cost(seconds: float) -> Sample:
        taken = rotations(seconds)
        return Sample(value=taken.cpu or 0.0, failed=taken.failed, p50=taken.p50, p99=taken.p99)

    return cost


def _routes(folder: Path, pace: Pace) -> Iterator[Outcome]:
    with ExitStack() as stack:
        issuer = stack.enter_context(running(Issuer()))
        log = JsonLines(str(folder / "decisions.log"))
        stack.callback(log.close)
        contestants: Mapping[str, Callable[[float], Sample]] = {
            str(number): Decisions(_gate(stack, issuer, number, log), issuer, number) for number in ROUTES
        }
        taken = alternate(contestants, pace)
    few, many = map(str, ROUTES)
    yield Outcome(
        label=f"{ROUTES[1]:,} routes",
        work=f"a decision with {ROUTES[1]:,} routes, token seen, logged",
        rival=f"the same with {ROUTES[0]} routes",
        reach=GROWS,
        unit="us",
        ours=taken[many],
        theirs=taken[few],
    )


def _gate(stack: ExitStack, issuer: Issuer, routes: int, log: JsonLines) -> Gate:
    written = [ROUTE.format(number=number, audience=AUDIENCE) for number in range(routes)]
    gate = Gate(parse(HEAD.format(issuer=issuer.issuer) + "".join(written)), log=log)
    gate.start()
    stack.callback(gate.stop)
    deadline = time.monotonic() + 10
    while not gate.ready():
        if time.monotonic() > deadline:
            raise RuntimeError("the gate has no keys")
        time.sleep(0.01)
    return gate


class Decisions:
    """Microseconds for one decision, over routes all through the file: the fastest slice of a round counts."""

    def __init__(self, gate: Gate, issuer: Issuer, routes: int) -> None:
        self._gate = gate
        bearer = b"Bearer " + issuer.token().encode()
        self._requests = [
            Request(
                method="GET",
                target=b"/service-%d/orders/0190-an-order" % (number * routes // SLICE),
                host=b"api.example",
                headers=[(b"authorization", bearer), (b"accept", b"*/*")],
                peer="127.0.0.1",
            )
            for number in range(SLICE)
        ]

    def __call__(self, seconds: float) -> Sample:
        """Decide for so long."""
        deadline, best, failed = time.perf_counter() + seconds, float("inf"), 0
        while time.perf_counter() < deadline:
            began = time.perf_counter()
            decisions = [self._gate.decide_now(request) for request in self._requests]
            best = min(best, time.perf_counter() - began)
            failed += sum(not decision.allowed for decision in decisions)
        return Sample(value=best / SLICE * 1e6, failed=failed)
