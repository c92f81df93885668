"""The claims that must have one winner, and a process that takes part in the race for them."""

from __future__ import annotations

import datetime as dt
import sys
import threading

from idp.store import code, refresh_token, signin, totp, used_jti
from idp.store.database import Database
from idp.store.digests import digest

NOW = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)
THREADS = 4


def attempt(tx, kind, number, ids):
    """Try to claim the thing of this round; say whether it was won."""
    secret = digest(f"{kind}{number}")
    match kind:
        case "code":
            return code.claim(tx, secret, NOW) is not None
        case "refresh":
            return refresh_token.claim(tx, secret, NOW, successor_hash=digest(f"next{number}")) is not None
        case "step":
            return totp.claim_step(tx, ids["totp"], number + 1, NOW)
        case "recovery":
            return totp.claim_recovery_code(tx, ids["account"], secret, NOW)
        case "jti":
            return used_jti.claim(tx, f"jti{number}", NOW + dt.timedelta(minutes=1), NOW)
        case "signin":
            return signin.finish(tx, ids[f"signin{number}"], NOW) is not None
    raise ValueError(kind)


def race(database, kind, number, ids):
    """Let several threads of this process try at once; return how many won."""
    wins = []
    gate = threading.Barrier(THREADS)

    def one():
        gate.wait(10)
        with database.write() as tx:
            wins.append(attempt(tx, kind, number, ids))

    threads = [threading.Thread(target=one) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    if len(wins) != THREADS:
        raise RuntimeError("a thread failed")
    return sum(wins)


def main(url, kind):
    """Race in each round that the parent names on standard input: `NUMBER KEY=ID ...`."""
    database = Database.open(url)
    print("ready", flush=True)  # noqa: T201 (its parent reads)
    for line in sys.stdin:
        number, *pairs = line.split()
        ids = dict(pair.split("=", 1) for pair in pairs)
        print(race(database, kind, int(number), ids), flush=True)  # noqa: T201
    database.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
