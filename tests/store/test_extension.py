from __future__ import annotations

from flask import Flask

from idp.store import extension, health, meta
from idp.store.database import Database
from idp.store.types import Base


def test_an_application_gets_the_store_on_its_own_engine(database_url):
    app = Flask("shop")
    database = extension.attach(app, database_url)
    with app.app_context():
        assert extension.sql.engine is database.engine
    with database.write() as tx:
        meta.put(tx, "k", "v")
    with database.read() as tx:
        assert meta.get(tx, "k") == "v"
    database.close()


def test_flask_sqlalchemy_knows_the_same_tables():
    assert extension.sql.metadata is Base.metadata


def test_two_applications_do_not_share_a_database(tmp_path):
    first, second = (extension.attach(Flask(name), f"sqlite:///{tmp_path}/{name}.db") for name in ("a", "b"))
    assert first.engine is not second.engine
    first.close()
    second.close()


def test_a_sqlite_file_with_rows_that_point_nowhere_is_not_healthy(sqlite_url, tmp_path):
    (tmp_path / "idp.db").chmod(0o600)
    database = Database.open(sqlite_url)
    assert health.problems(database) == []
    with database.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
        connection.exec_driver_sql("INSERT INTO group_member (group_id, account_id) VALUES ('no', 'body')")
        connection.invalidate()
    assert health.problems(database) == ["damaged: rows point to rows that are not there"]
    database.close()
