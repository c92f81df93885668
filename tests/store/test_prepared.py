from __future__ import annotations

import pytest
from sqlalchemy import bindparam, exc, insert, select, text, update

from idp.store import account, meta, rows
from idp.store.account import Account
from idp.store.client import Client
from idp.store.database import Database, StoreUnavailable
from idp.store.grant import Grant
from idp.store.meta import Meta
from idp.store.prepared import Prepared
from idp.store.session import BrowserSession
from idp.store.types import Unstorable

BY_NAME = Prepared(select(Account).where(Account.username == bindparam("name")), Account)
AMONG = Prepared(select(Meta.key).where(Meta.key.in_(bindparam("keys", expanding=True))).order_by(Meta.key))
CHANGE = Prepared(update(Meta).where(Meta.key == bindparam("k")).values(value=bindparam("v")).returning(Meta.value))


def test_an_object_reads_like_one_of_the_session(db, person):
    both = Prepared(select(Grant, Account, Grant.acr).join(Account, Account.id == Grant.account_id), Grant, Account)
    with db.read() as tx:
        grant, alice, acr = both.one(tx, {})
        assert acr == "aal1"
        for made in (grant, alice):
            kept = tx.get(type(made), made.id)
            for column in type(made).__table__.columns:
                assert getattr(made, column.key) == getattr(kept, column.key)


def test_an_object_cannot_be_changed_by_mistake(db, person):
    with db.write() as tx:
        (alice,) = BY_NAME.one(tx, {"name": "alice"})
        with pytest.raises(AttributeError):
            alice.username = "mallory"


def test_what_is_not_there_is_none(db):
    with db.read() as tx:
        assert BY_NAME.one(tx, {"name": "nobody"}) is None


def test_several_rows_where_one_was_expected_are_a_mistake(db):
    everything = Prepared(select(Meta.key))
    with db.write() as tx:
        meta.put(tx, "a", "1")
        meta.put(tx, "b", "2")
        with pytest.raises(exc.MultipleResultsFound):
            everything.one(tx, {})


@pytest.mark.parametrize(("keys", "found"), [([], []), (["a"], ["a"]), (["a", "c", "b"], ["a", "b"])])
def test_a_list_is_as_many_parameters_as_it_has_members(db, keys, found):
    with db.write() as tx:
        meta.put(tx, "a", "1")
        meta.put(tx, "b", "2")
        assert [row[0] for row in AMONG.all(tx, {"keys": keys})] == found


def test_what_was_added_before_is_seen(db, now):
    with db.write() as tx:
        tx.add(Meta(key="added", value="1"))
        assert AMONG.all(tx, {"keys": ["added"]}) == [("added",)]


def test_a_change_gives_back_what_it_says(db):
    with db.write() as tx:
        meta.put(tx, "a", "1")
        assert CHANGE.one(tx, {"k": "a", "v": "2"}) == ("2",)
    with db.read() as tx:
        assert meta.get(tx, "a") == "2"


def test_a_default_made_in_python_is_not_left_out_in_silence(db):
    with pytest.raises(TypeError, match="unit of work"), db.write() as tx:
        Prepared(insert(Client).values(id=bindparam("id"))).run(tx, {"id": "1"})


def test_values_that_no_store_can_hold_are_refused_here_too(db):
    with pytest.raises(Unstorable), db.write() as tx:
        CHANGE.one(tx, {"k": "a", "v": "nul\x00byte"})


def test_a_clash_is_told_as_everywhere(db):
    with pytest.raises(exc.IntegrityError):
        _insert_twice(db)
    with db.read() as tx:
        assert meta.get(tx, "a") is None


@pytest.mark.attack("IN6")
def test_a_table_that_is_gone_is_unavailable_and_says_no_values(sqlite_url):
    database = Database.open(sqlite_url)
    with database.write() as tx:
        tx.execute(text("DROP TABLE meta"))
    with pytest.raises(StoreUnavailable) as refusal, database.read() as tx:
        AMONG.all(tx, {"keys": ["secret-of-somebody"]})
    assert "secret-of-somebody" not in str(refusal.value.__cause__)
    database.close()


def test_a_connection_that_was_cut_is_not_used_again(postgres_url):
    database = Database.open(postgres_url)
    with pytest.raises(StoreUnavailable):
        _ask_after_the_cut(database)
    with database.write() as tx:
        assert AMONG.all(tx, {"keys": ["a"]}) == []
    database.close()


def test_sessions_are_found_by_both_ways_alike(db, person, now):
    found = Prepared(select(BrowserSession).where(BrowserSession.id == bindparam("id")), BrowserSession)
    with db.read() as tx:
        (session,) = found.one(tx, {"id": person.session_id})
        assert session.live(now)
        assert account.find(tx, session.account_id) is not None


def _insert_twice(db):
    with db.write() as tx:
        rows.insert(tx, Meta(key="a", value="1"))
        rows.insert(tx, Meta(key="a", value="2"))


def _ask_after_the_cut(database):
    with database.write() as tx:
        pid = tx.scalar(text("SELECT pg_backend_pid()"))
        with database.read() as other:
            other.execute(text(f"SELECT pg_terminate_backend({pid})"))
        AMONG.all(tx, {"keys": ["a"]})
