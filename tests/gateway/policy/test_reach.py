"""How much somebody reaches, said so that a review can tell more from less."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from idp.cli.gateway import cli
from idp.gateway.load import parse
from idp.gateway.policy.diff import diff
from tests.gateway.policy.ground import HEAD, file, route

ROLES = '[roles]\nclerk = ["a:read"]\nboss = ["a:read"]\n'
FRONT = 'trusted_proxies = ["10.0.0.0/8"]'
CERTIFICATE = '[headers]\nclient_certificate = "ClientCert"\n'
USER = "no role: GET */users/{uid} was"
PROVED, SHOWN = "the key of the token is proved (DPoP)", "the token is bound to the caller's certificate (mTLS)"
DAYS = "the time is on mon, fri-sun"
STRONG = "the sign-in is at least aal2"


@pytest.fixture
def said(tmp_path: Path):
    def run(*arguments: str, text: str) -> str:
        path = tmp_path / "gateway.toml"
        path.write_text(text)
        return CliRunner().invoke(cli, [*arguments, "--config", str(path)]).output

    return run


def hours(until: str) -> str:
    return f'when = [{{ time = {{ tz = "UTC", days = ["fri", "sat", "mon", "sun"], from = 09:00:00, to = {until} }} }}]'


@pytest.mark.parametrize(
    ("one", "other", "change"),
    [
        ('bind = { dpop = "required" }', "", f"gains: {USER} open if {PROVED}, now open"),
        ("", 'bind = { mtls = "required" }', f"loses: {USER} open, now open if {SHOWN}"),
        (
            'mode = "shadow"\nbind = { dpop = "required" }',
            'mode = "shadow"',
            f"gains: {USER} open if {PROVED}, now open",
        ),
        (
            'require = { acr = "aal2" }',
            'require = { acr = "aal2", max_age = "5m" }',
            f"loses: {USER} open if {STRONG}, now open if {STRONG} and the sign-in is at most 5m old",
        ),
        (
            hours("17:00:00"),
            hours("18:00:00"),
            f"differs: {USER} open if {DAYS} from 09:00 to 17:00 in UTC, now open if {DAYS} from 09:00 to 18:00 in UTC",
        ),
    ],
)
def test_diff_says_who_gets_through_more_or_less_easily(one: str, other: str, change: str, tmp_path: Path) -> None:
    texts = [file(route(field), CERTIFICATE, top=FRONT) for field in (one, other)]
    assert change in [str(each) for each in diff(*map(parse, texts))]
    files = tmp_path / "old.toml", tmp_path / "new.toml"
    for path, text in zip(files, texts, strict=True):
        path.write_text(text)
    assert CliRunner().invoke(cli, ["diff", *map(str, files), "--exit-code"]).exit_code == 1


def test_conditions_that_only_change_places_are_no_difference() -> None:
    one, other = '{ acr = "aal2" }', '{ eq = ["claim.sub", "path.uid"] }'
    old, new = (parse(file(route(f"when = [{', '.join(each)}]"))) for each in ((one, other), (other, one)))
    assert {change.what for change in diff(old, new)} == {"changed"}


def test_of_a_condition_only_what_roles_leave_open_is_said(said) -> None:
    parts = (
        '{ role = "clerk" }',
        '{ not = { any = [{ role = "boss" }, { eq = ["claim.sub", "path.uid"] }] } }',
        '{ any = [{ acr = "aal2" }, { eq = ["claim.a", "claim.b"] }] }',
    )
    text = file(route(f"when = [{{ all = [{', '.join(parts)}] }}]"), ROLES)
    output = said("who-can", "GET", "https://api.example/users/7", text=text)
    assert f"  clerk: if (not (claim.sub equals path.uid) and ({STRONG} or claim.a equals claim.b))\n" in output
    assert "  boss: no\n" in output


def test_whoever_reviews_sees_in_whose_hands_a_token_must_be(said) -> None:
    bind = 'bind = { dpop = "required", mtls = "required" }'
    text = file(route(bind, 'require = { scope = ["a:read"] }'), CERTIFICATE, ROLES, top=FRONT)
    assert f"clerk: if {PROVED} and {SHOWN}" in said("who-can", "GET", "https://api.example/users/7", text=text)
    assert f"GET */users/{{uid}}: if {PROVED} and {SHOWN}" in said("what-can", "--role", "clerk", text=text)
    assert f"with a:read, {PROVED}, {SHOWN}" in said("check", text=text)
    (row,) = json.loads(said("check", "--json", text=text))["routes"]
    assert (row["holder"], row["exchange"], row["assertion"]) == ([PROVED, SHOWN], None, None)


def test_check_says_with_what_a_request_goes_on(said) -> None:
    client = 'client = { id = "gateway", key_file = "key.pem" }\n'
    swapped = route('exchange = { audience = "https://b.example", scope = ["b:read"] }')
    stated = route('assertion = { audience = "b" }', name="s", path="/s")
    signed = '[assertion]\nissuer = "https://g.example"\nkey_files = ["x"]\n'
    text = file(swapped, stated, signed).replace(HEAD, HEAD + client)
    first, one, other = said("check", text=text).splitlines()[:3]
    assert first.endswith("gateway.toml: 2 routes, 1 issuer; everything else is denied")
    assert one.endswith(
        "goes on with a token for https://b.example with b:read, used 60 s, naming the gateway as actor"
    )
    assert other.endswith("goes on with a statement of the gateway for b, good for 60 s")
    rows = json.loads(said("check", "--json", text=text))["routes"]
    assert [(row["exchange"], row["assertion"]) for row in rows] == [("https://b.example", None), (None, "b")]


def test_what_stands_beside_the_routes_is_compared_in_the_words_of_the_file(tmp_path: Path) -> None:
    one = file(route(), top='trusted_proxies = ["10.0.0.0/8"]')
    more = '[server]\nadmin = "off"\n[headers]\nstrip = ["x-user", "x-roles"]\n[dpop]\nnonce = true\n'
    two = file(route(), more, top='trusted_proxies = ["10.0.0.0/8", "::1/128"]')
    files = tmp_path / "old.toml", tmp_path / "new.toml"
    for path, text in zip(files, (one, two), strict=True):
        path.write_text(text)
    assert CliRunner().invoke(cli, ["diff", *map(str, files), "--exit-code"]).output.splitlines() == [
        "changed: dpop.nonce was not said, now true",
        "changed: headers.strip was not said, now x-user, x-roles",
        "changed: server.admin was not said, now off",
        "changed: trusted_proxies was 10.0.0.0/8, now 10.0.0.0/8, ::1/128",
    ]


def test_a_field_that_a_route_has_no_more_is_nothing() -> None:
    one, other = (parse(file(route(field))) for field in ('timeout = "5s"', ""))
    (change,) = diff(one, other)
    assert str(change).endswith("seconds was 5.0, now nothing")
