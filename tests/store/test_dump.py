"""What a thief of the whole database has in hand."""

from __future__ import annotations

import datetime as dt
import sqlite3
from contextlib import closing

import pytest

from idp.store import code, refresh_token, session, totp
from idp.store.backup import backup
from idp.store.digests import digest, new_secret


@pytest.mark.attack("ST1", "ST2")
def test_a_dump_holds_no_secret_and_nothing_in_it_opens_anything(db, person, sealer, tmp_path, now):
    secrets = {name: new_secret() for name in ("code", "refresh", "cookie", "recovery", "seed")}
    later = now + dt.timedelta(hours=1)
    with db.write() as tx:
        code.create(
            tx,
            code_hash=digest(secrets["code"]),
            grant_id=person.id,
            client_id="web-app",
            redirect_uri=None,
            code_challenge=None,
            nonce=None,
            resources=[],
            claims={},
            now=now,
            expires_at=later,
        )
        refresh_token.create(
            tx,
            token_hash=digest(secrets["refresh"]),
            grant_id=person.id,
            client_id="web-app",
            scopes={},
            now=now,
            idle_expires_at=later,
        )
        session.step_up(
            tx, person.session_id, cookie_hash=digest(secrets["cookie"]), auth_time=now, acr="aal2", amr=["pwd", "otp"]
        )
        totp.replace_recovery_codes(tx, person.account_id, [digest(secrets["recovery"])], now)
        seed = sealer.seal("totp", "seed_sealed", "t", secrets["seed"].encode())
        totp.create(tx, totp_id="t", account_id=person.account_id, label="", seed_sealed=seed, now=now)
    file = backup(db, tmp_path / "dump", now).file
    assert [name for name, secret in secrets.items() if secret.encode() in file.read_bytes()] == []
    with db.write() as tx:
        for stolen in _values(file):
            assert code.claim(tx, digest(stolen), now) is None
            assert refresh_token.claim(tx, digest(stolen), now, successor_hash=b"") is None
            assert session.find_by_cookie(tx, digest(stolen), now) is None
            assert not totp.claim_recovery_code(tx, person.account_id, digest(stolen), now)


def _values(file):
    """Every value of every row, as text and as the bytes a thief would try as text."""
    with closing(sqlite3.connect(file)) as opened:
        tables = [name for (name,) in opened.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            for row in opened.execute(f'SELECT * FROM "{table}"'):
                for value in row:
                    yield value.hex() if isinstance(value, bytes) else str(value)
                    if isinstance(value, bytes):
                        yield value.decode("latin-1")
