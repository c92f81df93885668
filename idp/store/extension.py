"""Flask-SQLAlchemy, attached to an application: the engine is its, the sessions are ours."""

from __future__ import annotations

from flask import Flask
from flask_sqlalchemy import SQLAlchemy

from idp.store import backends
from idp.store.database import Database
from idp.store.types import Base

sql = SQLAlchemy(model_class=Base)


def attach(app: Flask, url: str) -> Database:
    """Attach the store to an application and return it."""
    complete = backends.complete(url)
    backends.make_room(complete)
    app.config["SQLALCHEMY_DATABASE_URI"] = complete
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = backends.options(complete)
    sql.init_app(app)
    with app.app_context():
        database = Database(sql.engine)
    database.ping()
    return database
