from __future__ import annotations

import threading

import pytest

from idp.store import migrate
from idp.store.database import Database


def test_an_empty_database_says_what_to_do(empty_url):
    database = Database.open(empty_url)
    assert migrate.check(database.engine) == ["the database has no tables yet; run `idp db upgrade`"]
    with pytest.raises(migrate.Outdated):
        migrate.require_current(database.engine)
    database.close()


def test_the_migrations_make_exactly_the_models(db):
    assert migrate.check(db.engine) == []
    migrate.require_current(db.engine)


def test_every_migration_goes_back(db):
    migrate.downgrade(db.engine, "base")
    assert migrate.current(db.engine) is None
    migrate.upgrade(db.engine)
    assert migrate.check(db.engine) == []


def test_a_column_too_many_is_named(db):
    with db.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE account ADD COLUMN nickname TEXT")
    assert migrate.check(db.engine) == ["the tables differ from this version: remove_column account nickname"]


def test_two_processes_that_upgrade_at_once_do_it_once(empty_url):
    databases = [Database.open(empty_url) for _ in range(2)]
    failures = []

    def upgrade(database):
        try:
            migrate.upgrade(database.engine)
        except Exception as error:  # noqa: BLE001 (whatever it is, the test names it)
            failures.append(error)

    threads = [threading.Thread(target=upgrade, args=(each,)) for each in databases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures
    assert migrate.check(databases[0].engine) == []
    for database in databases:
        database.close()


def test_sqlite_keeps_foreign_keys_again_after_an_upgrade(sqlite_url):
    database = Database.open(sqlite_url)
    migrate.upgrade(database.engine)
    with database.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
    database.close()
