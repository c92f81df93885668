from __future__ import annotations

import subprocess
import sys

from idp.store import migrate, revision
from idp.store.database import Database


def test_both_ways_to_ask_say_the_same(db):
    assert revision.newest() == migrate.newest()
    assert revision.current(db.engine) == migrate.current(db.engine)
    assert revision.is_newest(db.engine)


def test_a_database_without_tables_has_no_revision(empty_url):
    database = Database.open(empty_url)
    assert revision.current(database.engine) is None
    assert not revision.is_newest(database.engine)
    database.close()


def test_an_older_database_is_not_the_newest(db):
    migrate.downgrade(db.engine, "0001")
    assert revision.current(db.engine) == "0001"
    assert not revision.is_newest(db.engine)


def test_who_only_serves_carries_neither_migrations_nor_the_other_driver():
    heavy = ["alembic", "mako", "psycopg"]
    found = f"import sys, idp.cli.run, idp.app; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", found], capture_output=True, text=True, check=True).stdout == "[]\n"
