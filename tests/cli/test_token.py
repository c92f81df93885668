"""`idp token explain`, as a developer with a token in hand uses it."""

from __future__ import annotations

import datetime as dt
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from idp.cli import main
from idp.jose.keys import SigningKey
from idp.jose.sign import sign
from idp.keys.rotation import Keyring
from idp.settings import Settings
from idp.store import account, api, client, grant, group, role, sealed, session
from idp.store import token as tokens
from idp.store.database import Database

ISSUER = "http://localhost:8000"
Explain = Callable[..., Any]


@pytest.fixture
def place(sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with settings, a master key and a migrated store."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "idp.toml").write_text(f'database_url = "{sqlite_url}"\nmaster_key_file = "{tmp_path}/master.key"\n')
    sealed.create_master_key(tmp_path / "master.key")
    return tmp_path


@pytest.fixture
def settings(place: Path) -> Settings:
    return Settings.load(place / "idp.toml")


@pytest.fixture
def db(settings: Settings) -> Iterator[Database]:
    database = Database.open(settings.database_url)
    yield database
    database.close()


@pytest.fixture
def key(settings: Settings, db: Database) -> SigningKey:
    sealer = sealed.load_master_key(settings.master_key_file)
    return Keyring(db, sealer, settings).signing("ES256", dt.datetime.now(dt.UTC))


def run(*arguments: str, **options: Any) -> Result:
    return CliRunner().invoke(main, ["token", "explain", *arguments], env={"COLUMNS": "160"}, **options)


def told(*arguments: str, **options: Any) -> dict[str, Any]:
    result = run(*arguments, "--json", **options)
    answer: dict[str, Any] = json.loads(result.stdout)
    assert result.exit_code == (0 if answer["verdict"] == "good" else 1)
    return answer


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


@pytest.fixture
def claims(db: Database) -> dict[str, Any]:
    """What the provider would put into alice's access token, with the rows behind it."""
    moment = now() - dt.timedelta(seconds=5)
    later = moment + dt.timedelta(days=1)
    with db.write() as tx:
        alice = account.create(tx, username="alice", now=moment)
        orders = api.create(tx, audience="https://orders.example", name="Orders", now=moment)
        clerk, staff = role.create(tx, api_id=orders.id, name="clerk"), group.create(tx, name="staff")
        read = api.add_scope(tx, orders.id, "orders:read").id
        role.add_scope(tx, clerk.id, read)
        group.add_role(tx, staff.id, clerk.id)
        group.add_member(tx, staff.id, alice.id)
        client.create(tx, client_id="web-app", name="Web", auth_method="none", now=moment)
        client.allow_scope(tx, "web-app", read)
        opened = session.create(
            tx, cookie_hash=b"c" * 32, account_id=alice.id, acr="aal1", amr=["pwd"], now=moment,
            idle_expires_at=later, expires_at=later,
        )  # fmt: skip
        given = grant.create(
            tx, account_id=alice.id, client_id="web-app", session_id=opened.id, scopes={}, auth_time=moment,
            acr="aal1", amr=["pwd"], now=moment, expires_at=later,
        )  # fmt: skip
    return {
        "iss": ISSUER, "sub": alice.id, "aud": "https://orders.example", "client_id": "web-app", "jti": "one",
        "iat": int(now().timestamp()), "exp": int(now().timestamp()) + 600, "scope": "orders:read",
        "sid": opened.id, "grant_id": given.id, "acr": "aal1", "amr": ["pwd"], "favourite": "\x1b[31mred",
    }  # fmt: skip


def test_says_that_a_good_token_is_good_and_why_each_claim_is_there(key: SigningKey, claims: dict[str, Any]) -> None:
    answer = told(sign(claims, key, typ="at+jwt"))
    assert answer["verdict"] == "good"
    assert answer["kind"].startswith("access token")
    assert answer["notes"] == ['sub is the account "alice"']
    sentences = {line["name"]: line["words"] for line in answer["claims"]}
    assert set(sentences) == set(claims)
    assert "in 9 minutes" in sentences["exp"] or "in 10 minutes" in sentences["exp"]
    assert sentences["favourite"].startswith("Not a claim")
    assert {line["name"] for line in answer["header"]} == {"alg", "typ", "kid"}


def test_tells_people_the_same_in_a_table(key: SigningKey, claims: dict[str, Any]) -> None:
    result = run(sign(claims, key, typ="at+jwt"))
    assert result.exit_code == 0
    assert result.output.startswith("GOOD")
    assert "Signature: good." in result.output
    assert "so that it alone can be revoked" in result.output


@pytest.mark.attack("LO2")
def test_the_terminal_obeys_nothing_in_a_token(key: SigningKey, claims: dict[str, Any]) -> None:
    assert "\x1b[31m" not in run(sign(claims, key, typ="at+jwt")).output


@pytest.mark.parametrize("prefix", ["", "Bearer ", "  \n"])
def test_reads_standard_input(key: SigningKey, claims: dict[str, Any], prefix: str) -> None:
    assert told("-", input=f"{prefix}{sign(claims, key, typ='at+jwt')}\n")["verdict"] == "good"


def test_says_when_a_token_has_ended(key: SigningKey, claims: dict[str, Any]) -> None:
    token = sign({**claims, "exp": claims["iat"] - 100}, key, typ="at+jwt")
    answer = told(token)
    assert answer["problems"] == ["token has expired: ask for a new one"]
    assert "1 minute 4" in next(line["words"] for line in answer["claims"] if line["name"] == "exp")
    assert "wrong: token has expired" in run(token).output


def revoke_token(db: Database, claims: dict[str, Any]) -> None:
    with db.write() as tx:
        tokens.revoke(tx, claims["jti"], expires_at=now() + dt.timedelta(hours=1), now=now())


def revoke_grant(db: Database, claims: dict[str, Any]) -> None:
    with db.write() as tx:
        grant.revoke(tx, claims["grant_id"], now(), reason="consent withdrawn")


def end_session(db: Database, claims: dict[str, Any]) -> None:
    with db.write() as tx:
        session.end(tx, claims["sid"], now())


def disable_account(db: Database, claims: dict[str, Any]) -> None:
    with db.write() as tx:
        account.disable(tx, claims["sub"], now())


def void_account(db: Database, claims: dict[str, Any]) -> None:
    with db.write() as tx:
        account.void(tx, claims["sub"], now() + dt.timedelta(seconds=5), reason="new password")


def disable_client(db: Database, claims: dict[str, Any]) -> None:
    with db.write() as tx:
        client.disable(tx, claims["client_id"], now())


def void_client(db: Database, claims: dict[str, Any]) -> None:
    with db.write() as tx:
        client.disable(tx, claims["client_id"], now() + dt.timedelta(seconds=5))
        client.enable(tx, claims["client_id"], now())


def leave_group(db: Database, claims: dict[str, Any]) -> None:
    with db.write() as tx:
        (staff,) = group.listing(tx)
        group.remove_member(tx, staff.id, claims["sub"])


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (revoke_token, "revoked by itself"),
        (revoke_grant, "authorization was revoked"),
        (end_session, "browser session ended"),
        (disable_account, "account was disabled"),
        (void_account, "earlier tokens were voided"),
        (disable_client, "app was disabled"),
        (void_client, "app's earlier tokens were voided"),
        (leave_group, "a role or scope that whoever it is about no longer has"),
    ],
)
def test_names_what_has_ended_a_token_early(
    key: SigningKey, claims: dict[str, Any], db: Database, event: Callable[..., None], reason: str
) -> None:
    event(db, claims)
    answer = told(sign(claims, key, typ="at+jwt"))
    assert answer["signature"] == "good"
    assert any(reason in problem for problem in answer["problems"])


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("client_id", "app it was given to is not known"),
        ("grant_id", "authorization it comes from is not known"),
        ("sub", "account is not known"),
        ("sid", "browser session is not known"),
    ],
)
def test_names_what_it_does_not_know(key: SigningKey, claims: dict[str, Any], name: str, reason: str) -> None:
    answer = told(sign({**claims, name: "unknown"}, key, typ="at+jwt"))
    assert any(reason in problem for problem in answer["problems"])


def test_a_grant_that_is_over_is_named(key: SigningKey, claims: dict[str, Any], db: Database) -> None:
    past = now() - dt.timedelta(days=2)
    with db.write() as tx:
        over = grant.create(
            tx, account_id=claims["sub"], client_id="web-app", session_id=claims["sid"], scopes={}, auth_time=past,
            acr="aal1", amr=[], now=past, expires_at=past + dt.timedelta(days=1),
        )  # fmt: skip
    answer = told(sign({**claims, "grant_id": over.id}, key, typ="at+jwt"))
    assert any("authorization ended" in problem for problem in answer["problems"])


@pytest.mark.parametrize(
    ("parent", "reason"),
    [
        ({"jti": "revoked", "client_id": "web-app"}, "a token it was exchanged from was revoked"),
        ({"jti": "first", "client_id": "closed"}, "the app of a token it was exchanged from was closed"),
        ({"jti": "first", "client_id": "gone"}, "the app of a token it was exchanged from was closed"),
    ],
)
def test_names_what_ended_in_the_chain_of_exchanges(
    key: SigningKey, claims: dict[str, Any], db: Database, parent: dict[str, str], reason: str
) -> None:
    good = {"jti": "second", "client_id": "web-app"}
    assert told(sign({**claims, "parents": [good]}, key, typ="at+jwt"))["verdict"] == "good"
    with db.write() as tx:
        tokens.revoke(tx, "revoked", expires_at=now() + dt.timedelta(hours=1), now=now())
        client.create(tx, client_id="closed", name="Closed", auth_method="none", now=now())
        client.disable(tx, "closed", now())
    answer = told(sign({**claims, "parents": [good, parent]}, key, typ="at+jwt"))
    assert reason in answer["problems"]


def test_a_service_token_is_about_the_app_itself(key: SigningKey, claims: dict[str, Any]) -> None:
    own = {name: claims[name] for name in ("iss", "aud", "client_id", "jti", "iat", "exp", "scope")}
    answer = told(sign({**own, "sub": "web-app"}, key, typ="at+jwt"))
    assert answer["verdict"] == "good"
    assert "No person" in next(line["words"] for line in answer["claims"] if line["name"] == "sub")


def test_an_id_token_has_no_state_of_its_own(key: SigningKey, claims: dict[str, Any]) -> None:
    own = {name: claims[name] for name in ("iss", "sub", "iat", "exp", "sid")}
    answer = told(sign({**own, "aud": "web-app", "nonce": "n", "auth_time": "yesterday"}, key, typ="JWT"))
    assert answer["verdict"] == "good"
    assert answer["kind"].startswith("ID token")


def test_refuses_a_token_signed_by_a_stranger(key: SigningKey, claims: dict[str, Any]) -> None:
    answer = told(sign(claims, SigningKey.generate("ES256"), typ="at+jwt"))
    assert answer["verdict"] == "refused"
    assert answer["signature"] == "no single key fits the token"
    assert answer["problems"] == [
        "no single key fits the token: another issuer signed it, or its key is no longer published"
    ]


def test_says_that_its_key_was_withdrawn(
    key: SigningKey, claims: dict[str, Any], db: Database, settings: Settings
) -> None:
    Keyring(db, sealed.load_master_key(settings.master_key_file), settings).withdraw(key.kid, now())
    answer = told(sign(claims, key, typ="at+jwt"))
    assert answer["verdict"] == "refused"
    assert any(f"the key {key.kid} is withdrawn" in note for note in answer["notes"])


@pytest.mark.parametrize("text", ["", "abc", "a.b.c", "a.b.c.d.e", "x" * 20_000])
def test_says_that_something_is_no_token(place: Path, text: str) -> None:
    answer = told("-", input=text)
    assert answer["kind"] == "not a token"
    assert answer["problems"][0].startswith("it cannot be read")
    assert run("-", input=text).output.startswith("REFUSED")


@pytest.mark.parametrize("exp", [10**25, "soon", True, -(10**20)])
def test_survives_moments_that_are_none(key: SigningKey, claims: dict[str, Any], exp: object) -> None:
    answer = told(sign({**claims, "exp": exp}, key, typ="at+jwt"))
    assert answer["verdict"] == "refused"
    assert answer["ends_at"] is None


@pytest.mark.parametrize("url", ["sqlite:///nowhere/idp.db", "postgresql://nobody@127.0.0.1:9/none"])
def test_decodes_without_a_reachable_database(key: SigningKey, claims: dict[str, Any], place: Path, url: str) -> None:
    (place / "idp.toml").write_text(f'database_url = "{url}"\n')
    answer = told(sign(claims, key, typ="at+jwt"))
    assert answer["verdict"] == "unverified"
    assert "database is not reachable" in answer["notes"][0]
    assert not (place / "nowhere").exists()
    assert len(answer["claims"]) == len(claims)


def test_decodes_beside_a_database_without_tables(key: SigningKey, claims: dict[str, Any], place: Path) -> None:
    (place / "empty.db").touch(0o600)
    (place / "idp.toml").write_text(f'database_url = "sqlite:///{place}/empty.db"\n')
    assert told(sign(claims, key, typ="at+jwt"))["verdict"] == "unverified"


def test_never_makes_a_key(db: Database, claims: dict[str, Any], settings: Settings) -> None:
    told(sign(claims, SigningKey.generate("ES256"), typ="at+jwt"))
    assert Keyring(db, sealed.load_master_key(settings.master_key_file), settings).listing(now()) == []


@pytest.fixture
def foreign() -> SigningKey:
    return SigningKey.generate("RS256")


@pytest.fixture
def pages() -> Iterator[tuple[str, dict[str, tuple[int, bytes]]]]:
    """A small web server on loopback: its address, and what it answers on each path."""
    answers: dict[str, tuple[int, bytes]] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answers.get(self.path, (404, b""))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def handle(self) -> None:
            with suppress(ConnectionError):  # a client that has read enough hangs up
                super().handle()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", answers
    server.shutdown()
    thread.join()
    server.server_close()


def test_checks_with_a_key_file(place: Path, foreign: SigningKey, claims: dict[str, Any]) -> None:
    (place / "jwks.json").write_text(json.dumps({"keys": [foreign.public_jwk()]}))
    token = sign({**claims, "iss": "https://other.example"}, foreign, typ="at+jwt")
    assert told(token, "--jwks", str(place / "jwks.json"))["verdict"] == "good"
    assert told(token)["verdict"] == "refused"


def test_checks_with_keys_at_an_address_and_by_discovery(
    foreign: SigningKey, claims: dict[str, Any], pages: tuple[str, dict[str, tuple[int, bytes]]]
) -> None:
    address, answers = pages
    answers["/jwks"] = (200, json.dumps({"keys": [foreign.public_jwk()]}).encode())
    metadata = {"issuer": address, "jwks_uri": f"{address}/jwks"}
    answers["/.well-known/openid-configuration"] = (200, json.dumps(metadata).encode())
    token = sign({**claims, "iss": address}, foreign, typ="at+jwt")
    assert told(token, "--jwks", f"{address}/jwks")["verdict"] == "good"
    assert told(token, "--issuer", address)["verdict"] == "good"
    other = sign({**claims, "iss": "https://other.example"}, foreign, typ="at+jwt")
    assert told(other, "--issuer", address)["problems"][0].startswith("iss is another")


@pytest.mark.attack("JO26")
@pytest.mark.parametrize(
    ("answer", "note"),
    [
        ((404, b""), "status 404"),
        ((302, b""), "status 302"),
        ((200, b"<html>"), "refused"),
        ((200, b'{"keys":[]}'), "refused"),
        ((200, b" " * 5_000_000), "too long"),
    ],
)
def test_says_why_there_are_no_keys(
    foreign: SigningKey,
    claims: dict[str, Any],
    pages: tuple[str, dict[str, tuple[int, bytes]]],
    answer: tuple[int, bytes],
    note: str,
) -> None:
    address, answers = pages
    answers["/jwks"] = answers["/.well-known/openid-configuration"] = answer
    token = sign(claims, foreign, typ="at+jwt")
    for choice in (("--jwks", f"{address}/jwks"), ("--issuer", address)):
        found = told(token, *choice)
        assert found["verdict"] == "unverified"
        assert note in found["notes"][0] or "not of this issuer" in found["notes"][0]


@pytest.mark.parametrize(
    ("choice", "note"),
    [
        (("--jwks", "http://idp.example/jwks"), "https"),
        (("--jwks", "file:///etc/passwd"), "https"),
        (("--jwks", "/no/such/file"), "cannot be read"),
        (("--issuer", "http://127.0.0.1:9"), "does not answer"),
        (("--issuer", "http://idp.example"), "https"),
    ],
)
def test_takes_keys_from_safe_places_only(
    place: Path, foreign: SigningKey, claims: dict[str, Any], choice: tuple[str, str], note: str
) -> None:
    found = told(sign(claims, foreign, typ="at+jwt"), *choice)
    assert found["verdict"] == "unverified"
    assert note in found["notes"][0]


def test_discovery_of_another_issuer_is_not_believed(
    foreign: SigningKey, claims: dict[str, Any], pages: tuple[str, dict[str, tuple[int, bytes]]]
) -> None:
    address, answers = pages
    metadata = {"issuer": "https://other.example", "jwks_uri": f"{address}/jwks"}
    answers["/.well-known/openid-configuration"] = (200, json.dumps(metadata).encode())
    found = told(sign(claims, foreign, typ="at+jwt"), "--issuer", address)
    assert "not of this issuer" in found["notes"][0]


def test_takes_one_source_of_keys(place: Path) -> None:
    assert run("a.b.c", "--jwks", "x", "--issuer", "y").exit_code == 2
