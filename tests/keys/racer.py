"""One of two processes that start on an empty store in the same moment."""

from __future__ import annotations

import datetime as dt
import sys

from idp.keys.rotation import Keyring
from idp.settings import Settings
from idp.store.database import Database
from idp.store.sealed import Sealer


def say(line: str) -> None:
    """Tell the test, at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(url: str, moment: str) -> None:
    """Say ready, wait for the word, ask for a key."""
    settings = Settings(database_url=url, signing_algs=("ES256", "RS256", "EdDSA", "PS256"))
    keyring = Keyring(Database.open(url), Sealer({"00" * 8: bytes(32)}, "00" * 8), settings)
    say("ready")
    sys.stdin.readline()
    now = dt.datetime.fromisoformat(moment)
    say(" ".join(keyring.signing(alg, now).kid for alg in settings.signing_algs))


if __name__ == "__main__":
    main(*sys.argv[1:])
