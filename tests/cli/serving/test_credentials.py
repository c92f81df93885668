"""Passwords of people and secrets of connectors: in no log, no address, no process list, and not in plain."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus, urljoin

import click
import pytest
import requests

from idp.cli import main
from tests.cli.serving.visitor import Visitor
from tests.fixtures import clients
from tests.fixtures.browser import CHALLENGE
from tests.fixtures.markup import Page
from tests.fixtures.people import Person
from tests.services.authority import Authority
from tests.services.provider import Provider
from tests.services.slapd import PASSWORD, PEOPLE, READER, Slapd
from tests.services.upstream import CLIENT_SECRET, Upstream

# One process of the tests for all: another would start the same servers again.
pytestmark = [pytest.mark.xdist_group("serving-credentials"), pytest.mark.attack("LO1")]

WRONG = "not the password of anybody 99"


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What was written and where, while people came in and were refused."""

    secrets: list[str]
    code: str  # of the provider elsewhere: it comes in an address, and belongs nowhere else
    log: str
    commands: str
    addresses: list[str]
    processes: str
    files: dict[str, bytes]


class Watched(Visitor):
    """Somebody at a browser, of which every address is noted."""

    def __init__(self, provider: Provider, name: str, password: str) -> None:
        super().__init__(provider, Person(id="", username=name, email=""), password)
        self.seen: list[str] = []

    def get(self, url: str, **params: str) -> requests.Response:
        """Open an address."""
        return self._ask("GET", url, params=params)

    def _ask(self, method: str, url: str, **more: dict[str, str]) -> requests.Response:
        answer = super()._ask(method, url, **more)
        self.seen += [answer.url, answer.headers.get("Location", "")]
        return answer


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory, slapd: Slapd, authority: Authority) -> Story:
    """Connect a directory and a provider elsewhere, test and read them, let people in and refuse them."""
    folder = tmp_path_factory.mktemp("credentials")
    with Upstream() as elsewhere:
        provider = Provider(folder / "provider", log_level="debug", workers=1)
        said = connected(provider, folder, slapd, authority, elsewhere)
        app = clients.register(
            provider.services,
            "web-app",
            scopes=("openid", "offline_access"),
            grant_types=clients.CODE_AND_REFRESH,
            redirect_uris=["https://app.example/cb"],
        )
        with provider:
            alice, stranger = Watched(provider, "alice", PASSWORD), Watched(provider, "alice", WRONG)
            alice.code(app)
            with pytest.raises(AssertionError):
                stranger.code(app)
            ada = Watched(provider, "ada", WRONG)
            by_elsewhere(ada, provider, elsewhere, app)
            assert provider.program is not None
            processes = "".join(told_by(pid) for pid in (provider.program.pid, *provider.workers()))
            log = provider.program.output()
            files = {each.name: each.read_bytes() for each in provider.folder.iterdir() if each.is_file()}
    (form,) = [form for path, form in elsewhere.asked if path == "/token"]
    return Story(
        secrets=[PASSWORD, WRONG, READER[1], CLIENT_SECRET, form["code_verifier"]],
        code=form["code"],
        log=log,
        commands=json.dumps(said),
        addresses=[*alice.seen, *stranger.seen, *ada.seen],
        processes=processes,
        files=files,
    )


def connected(provider: Provider, folder: Path, slapd: Slapd, authority: Authority, elsewhere: Upstream) -> list[Any]:
    """Do as the guides say; return what the commands say."""
    directory = {
        "kind": "ldap",
        "servers": [slapd.ldaps],
        "ca_file": str(authority.file),
        "bind_dn": READER[0],
        "bind_password_file": "reader",
        "user_base": PEOPLE,
        "timeout": 10,
    }
    (folder / "reader").write_text(READER[1])
    (folder / "client").write_text(CLIENT_SECRET)
    social = {name: value for name, value in elsewhere.settings().items() if name != "client_secret"}
    said = []
    for name, facts in (("corp", directory), ("elsewhere", {**social, "client_secret_file": "client"})):
        file = folder / f"{name}.toml"
        file.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in facts.items()))
        said.append(provider.idp("connector", "add", name, str(file)))
    said.append(provider.idp("connector", "test", "corp", "--user", "alice"))
    said.append(provider.idp("connector", "show", "elsewhere"))
    said.append(provider.idp("connector", "sync", "corp"))
    return said


def by_elsewhere(who: Watched, provider: Provider, elsewhere: Upstream, app: clients.App) -> None:
    """Press the button, agree there and come back, twice."""
    asked = {"client_id": app.client_id, "redirect_uri": app.redirect_uri, "response_type": "code", "scope": "openid"}
    at = provider.url("/authorize")
    answer = who.get(at, **asked, code_challenge=CHALLENGE, code_challenge_method="S256")
    while answer.is_redirect:
        at = urljoin(at, answer.headers["Location"])
        answer = who.get(at)
    link = next(each for each in Page(answer.text).links if "/federation/elsewhere?" in each)
    there = who.get(urljoin(at, link)).headers["Location"]
    assert there.startswith(elsewhere.issuer), there
    back = elsewhere.visit(there)
    assert who.get(back).is_redirect
    assert who.get(back).status_code == 400


def told_by(pid: int) -> str:
    """What the process list says of a process, and the environment beside it."""
    return "".join(Path(f"/proc/{pid}/{file}").read_text(errors="replace") for file in ("cmdline", "environ"))


def spellings(secret: str) -> set[str]:
    """A secret as it is, in an address, in a form, in JSON."""
    return {secret, quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1]}


def found(secrets: list[str], *texts: str) -> list[tuple[str, str]]:
    return [(each, text) for secret in secrets for each in spellings(secret) for text in texts if each in text]


def test_no_line_of_the_log_holds_one(story: Story) -> None:
    assert '"refused"' in story.log
    assert found([*story.secrets, story.code], *story.log.splitlines()) == []


def test_no_command_says_one(story: Story) -> None:
    assert "alice" in story.commands
    assert found(story.secrets, story.commands) == []


def test_no_address_holds_one(story: Story) -> None:
    assert any(f"code={story.code}" in each for each in story.addresses)
    assert found(story.secrets, *story.addresses) == []


def test_no_list_of_processes_shows_one(story: Story) -> None:
    assert "run" in story.processes
    assert found([*story.secrets, story.code], story.processes) == []


def test_the_store_keeps_none_in_plain(story: Story) -> None:
    assert "idp.db" in story.files
    assert b"elsewhere" in b"".join(story.files.values())
    held = [(name, secret) for name, kept in story.files.items() for secret in story.secrets if secret.encode() in kept]
    assert held == []


def test_no_command_takes_one_where_the_process_list_shows_it() -> None:
    """A secret comes from a file, from standard input or from a prompt."""
    taken = [
        (name, option.name)
        for name, command in commands(main, "idp")
        for option in command.params
        if any(word in (option.name or "") for word in ("password", "secret"))
        and not (isinstance(option, click.Option) and option.is_flag)
    ]
    # The one that takes a word takes the name of a setting, and asks for its value.
    assert taken == [("idp connector add", "secret_name")]


def commands(group: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    yield name, group
    if isinstance(group, click.Group):
        context = click.Context(group)
        for each in group.list_commands(context):
            command = group.get_command(context, each)
            assert command is not None
            yield from commands(command, f"{name} {each}")
