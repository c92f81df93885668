from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from idp.cli.gateway import cli
from idp.gateway.load import parse
from idp.gateway.policy import lint
from idp.gateway.policy.diff import diff
from idp.gateway.policy.explain import explain
from tests.gateway.issuer import Issuer
from tests.gateway.policy.ground import AUDIENCE, HEAD, NOW, Ground, file, route
from tests.gateway.policy.reference import Ask

ROLES = '[roles]\nclerk = ["a:read"]\nboss = ["a:read", "a:write"]\nauditor = []\n'
READ = route('require = { scope = ["a:read"] }', name="read")
WRITE = route('require = { scope = ["a:write"], role_any = ["boss"] }', name="write", method='["PUT"]')
OWN = route(
    'when = [{ any = [{ eq = ["claim.sub", "path.uid"] }, { role = "auditor" }] }]', name="own", path="/users/{uid}/own"
)
BOTH = route('require = { role_all = ["boss", "auditor"] }', name="both", path="/both")
SHADOW = route('mode = "shadow"', 'require = { scope = ["x"] }', name="shadow", path="/shadow")
TODAY = dt.date(2026, 11, 23)


@pytest.fixture
def gateway(tmp_path: Path):
    path = tmp_path / "gateway.toml"

    def run(*arguments: str, text: str | None = None, stdin: str | None = None, ok: bool = True) -> str:
        path.write_text(text if text is not None else file(READ, WRITE, OWN, BOTH, SHADOW, ROLES))
        said = CliRunner().invoke(cli, [*arguments, "--config", str(path)], input=stdin)
        assert (said.exit_code == 0) is ok, said.output
        return said.output

    return run


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("GET", "https://api.example/users/7"), ["no role: no", "auditor: no", "boss: yes", "clerk: yes"]),
        (("PUT", "https://api.example/users/7"), ["no role: no", "auditor: no", "boss: yes", "clerk: no"]),
        (
            ("GET", "https://api.example/users/7/own"),
            ["no role: if claim.sub equals path.uid", "auditor: yes", "boss: if claim.sub equals path.uid"],
        ),
        (
            ("get", "https://api.example/both"),
            ["no role: no", "auditor: only together with other roles", "boss: only together", "clerk: no"],
        ),
        (("GET", "https://api.example/shadow"), ["no role: yes", "(in shadow mode: nothing is enforced)"]),
        (("DELETE", "https://api.example/users/7"), ["Nobody: no route is for this request"]),
        (("GET", "https://api.example/"), ["Nobody: no route is for this request"]),
    ],
)  # fmt: skip
def test_who_can_names_every_role_with_its_conditions(asked, said, gateway):
    output = gateway("who-can", *asked)
    for each in said:
        assert each in output


def test_who_can_speaks_json(gateway):
    told = json.loads(gateway("who-can", "PUT", "https://api.example/users/7", "--json"))
    assert told["route"] == "write"
    assert {row["who"]: row["answer"] for row in told["who"]} == {
        "no role": "no", "auditor": "no", "boss": "yes", "clerk": "no"
    }  # fmt: skip
    assert json.loads(gateway("who-can", "PUT", "https://api.example/none", "--json"))["route"] is None


@pytest.mark.parametrize(("url", "said"), [("/users/7", "whole one"), ("https://api.example/a/../b", "dot segment")])
def test_who_can_refuses_what_is_no_request(url, said, gateway):
    assert said in gateway("who-can", "GET", url, ok=False)


def test_without_declared_roles_those_of_the_rules_count(gateway):
    output = gateway("who-can", "PUT", "https://api.example/users/7", text=file(READ, WRITE))
    assert "boss: yes" in output
    assert "no role: no" in output


def test_what_can_a_role_do(gateway):
    assert gateway("what-can", "--role", "clerk").splitlines() == [
        "GET */users/{uid}: yes",
        "GET */users/{uid}/own: if claim.sub equals path.uid",
        "GET */shadow: yes",
    ]
    assert "GET */both: only together with other roles" not in gateway("what-can", "--role", "clerk")
    assert "GET */both: yes" in gateway("what-can", "--role", "boss", "--role", "auditor")
    rows = json.loads(gateway("what-can", "--role", "auditor", "--json"))
    assert [row["route"] for row in rows] == ["own", "shadow"]
    assert "names the role" in gateway("what-can", "--role", "nobody", ok=False)
    assert gateway("what-can", "--role", "clerk", text=file(BOTH, ROLES)) == "Nothing.\n"


def test_the_linter_takes_a_limit_by_default_for_one():
    text = file(route("# limit = "), top='defaults = { limit = [{ by = "ip", rate = "1/s" }] }')
    assert not any("has no limit" in str(finding) for finding in lint.findings(parse(text), TODAY))


@pytest.mark.attack("IN3")
@pytest.mark.parametrize(
    ("limit", "noted"),
    [('[{ by = "client", rate = "1/s" }]', True), ("[]", True), ('[{ by = "ip", rate = "1/s" }]', False)],
)
def test_the_linter_says_that_made_up_references_are_asked_about(limit, noted):
    issuer = "[issuers.main]\n"
    referring = issuer + 'reference_tokens = true\nclient = { id = "gateway", secret_file = "/nowhere" }\n'
    text = file(route(f"limit = {limit}"))
    assert issuer in text
    for told, read in ((noted, text.replace(issuer, referring)), (False, text)):
        assert any("made" in str(finding) for finding in lint.findings(parse(read), TODAY)) is told


def changes(*routes: tuple[str, str]) -> list[str]:
    before, after = (file(*(pair[at] for pair in routes), ROLES) for at in (0, 1))
    return [str(change) for change in diff(parse(before), parse(after))]


def test_diff_says_who_gains_and_who_loses():
    wider = READ.replace('require = { scope = ["a:read"] }', 'require = { role_any = ["auditor", "boss"] }')
    assert changes((READ, wider)) == [
        "changed: read: asked for scope a:read, now for role auditor or boss",
        "gains: auditor: GET */users/{uid} was closed, now open",
        "loses: clerk: GET */users/{uid} was open, now closed",
    ]


def test_diff_sees_what_a_new_special_route_takes_away():
    special = route('require = { role_any = ["boss"] }', name="special", path="/users/root")
    said = changes((READ, READ), ("", special))
    assert "added: special: GET */users/root with role boss" in said
    assert "loses: clerk: GET */users/root was open, now closed" in said
    assert "removed: special: GET */users/root" in changes((READ, READ), (special, ""))


def test_diff_names_every_field_that_changed():
    other = (
        READ.replace("a:read", "a:read").replace(AUDIENCE, "https://new.example").replace("127.0.0.1:9", "127.0.0.1:10")
    )
    other = other.replace("/users/", "/people/") + '\nmode = "shadow"\nreview = { owner = "x", by = 2027-01-01 }\n'
    said = "\n".join(changes((READ, other)))
    for part in ("for GET */users/{uid}, now for GET */people/{uid}", "audience was", "upstream was",
                 "mode was enforce", "review was none, now by x by 2027-01-01, else warn"):  # fmt: skip
        assert part in said
    assert changes((READ, READ)) == []


def test_diff_says_limits_in_words():
    one = READ.replace("limit = []", 'limit = [{ by = "ip", rate = "5/m" }]')
    limits = [
        '{ by = "claim.client_id", rate = "5/s", burst = 9 }',
        '{ by = "claim.org", rate = "1/h" }',
        '{ by = "route", rate = "7/s" }',
    ]
    other = READ.replace("limit = []", f"limit = [{', '.join(limits)}]")
    assert changes((READ, one), (WRITE, WRITE)) == [
        "changed: read: limits were none, now at most 5/m for each address, 5 at once, before its token is looked at"
    ]
    (said,) = changes((READ, other))
    assert said.endswith(
        "now at most 5/s for each client, 9 at once; at most 1/h for each org of a token, 1 at once; "
        "at most 7/s for all callers together, 7 at once"
    )


def test_diff_as_a_command(gateway, tmp_path):
    old = tmp_path / "old.toml"
    old.write_text(file(READ, ROLES))
    new = tmp_path / "new.toml"
    new.write_text(file(WRITE, ROLES))
    run = CliRunner().invoke
    assert "gains: boss" in run(cli, ["diff", str(old), str(new)]).output
    assert run(cli, ["diff", str(old), str(old), "--exit-code"]).output == "The two files say the same.\n"
    assert run(cli, ["diff", str(old), str(new), "--exit-code"]).exit_code == 1
    rows = json.loads(run(cli, ["diff", str(old), str(new), "--json"]).output)
    assert {row["what"] for row in rows} == {"added", "removed", "gains", "loses"}
    assert run(cli, ["diff", str(old), str(tmp_path / "none")]).exit_code == 1


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ('review = { owner = "team", by = 2026-11-22 }', 'warning: route "r" was to be reviewed by team by 2026-11-22'),
        ('review = { owner = "team", by = 2026-12-23 }', 'warning: route "r" is to be reviewed by team by 2026-12-23'),
        ('review = { owner = "team", by = 2026-12-23, expired = "deny" }', "by 2026-12-23; then it denies"),
        ('when = [{ method = ["PUT"] }]', 'warning: route "r" can never be passed: when[1] contradicts'),
        ('when = [{ not = { method = ["GET", "PUT"] } }]', 'warning: route "r" can never be passed: when[1]'),
        ('when = [{ any = [{ method = ["PUT"] }, { method = ["POST"] }] }]', "can never be passed"),
        ('when = [{ all = [{ method = ["GET"] }, { method = ["POST"] }] }]', "can never be passed"),
        ('when = [{ not = { any = [{ method = ["GET"] }, { role = "x" }] } }]', "can never be passed"),
        ('when = [{ time = { tz = "UTC", last = 2026-11-22 } }]', "can never be passed"),
        (
            'when = [{ time = { tz = "UTC", last = 2026-11-22 } }]',
            'note: route "r" has a time that ended on 2026-11-22',
        ),
        ('require = { acr = ["aal2", "gold"] }', 'note: route "r" asks for acr "gold"'),
        ('mode = "shadow"', 'note: route "r" is in shadow mode'),
        ("# limit = ", 'warning: route "r" has no limit: one caller may take all of it'),
        ("", f'note: route "r" asks for nothing but a token for {AUDIENCE}'),
    ],
)
def test_the_linter_sees(field, said):
    found = [str(finding) for finding in lint.findings(parse(file(route(field))), TODAY)]
    assert any(said in each for each in found), found


@pytest.mark.parametrize(
    "field",
    [
        'review = { owner = "team", by = 2026-12-24 }',
        'when = [{ any = [{ method = ["PUT"] }, { role = "x" }] }]',
        'when = [{ not = { all = [{ method = ["GET"] }, { role = "x" }] } }]',
        'when = [{ not = { time = { tz = "UTC", last = 2026-11-22 } } }]',
        'when = [{ host = ["api.example"] }]',
        'require = { acr = "aal2" }',
        "limit = []",
        'limit = [{ by = "ip", rate = "1/s" }]',
    ],
)
def test_the_linter_is_quiet_about(field):
    found = lint.findings(
        parse(file(route(field, 'require = { role_any = ["x"] }' if "acr" not in field else ""))), TODAY
    )
    assert [finding for finding in found if finding.level == "warning"] == []


def test_the_linter_sees_a_host_that_cannot_be():
    text = file(route('when = [{ host = ["other.example"] }]').replace("match = {", 'match = { host = "api.example",'))
    assert any("can never be passed" in str(finding) for finding in lint.findings(parse(text), TODAY))
    good = text.replace("other.example", "api.example")
    assert not any("can never be passed" in str(finding) for finding in lint.findings(parse(good), TODAY))


def test_the_linter_sees_shadowed_methods_and_roles_that_nobody_has():
    special = route('require = { role_any = ["ghost"] }', name="special", path="/users/root")
    found = [str(each) for each in lint.findings(parse(file(READ, WRITE, special, ROLES, 'useless = ["z"]')), TODAY)]
    assert 'note: route "write" is shadowed: for /users/root only route "special" answers, and not to PUT' in found
    assert 'warning: nobody has the role "ghost" that route "special" names' in found
    assert 'warning: the role "auditor" opens nothing' in found
    assert 'warning: the role "useless" opens nothing' in found
    rest = route(
        'require = { role_any = ["boss"] }', name="rest", path="/users/{uid}/{more...}", method='["GET", "PUT"]'
    )
    put = route('require = { role_any = ["boss"] }', name="put", path="/users/root", method='["PUT"]')
    found = [str(each) for each in lint.findings(parse(file(WRITE, special, put, rest, OWN)), TODAY)]
    assert not any('"write" is shadowed' in each for each in found)
    assert any(
        '"rest" is shadowed: for /users/{uid}/own only route "own" answers, and not to PUT' in each for each in found
    )


def test_check_ends_with_one_for_warnings_and_with_strict_for_notes(gateway):
    assert "note: " in gateway("check", text=file(SHADOW))
    gateway("check", "--strict", text=file(SHADOW), ok=False)
    gateway("check", "--strict", text=file(READ))
    output = gateway("check", text=file(READ, OWN, ROLES, 'ghost = ["z"]'), ok=False)
    assert 'warning: the role "ghost" opens nothing' in output
    told = json.loads(gateway("check", "--json", text=file(SHADOW)))
    assert told["findings"][0]["level"] == "note"
    assert "claim.sub equals path.uid or role auditor" in gateway("check", text=file(OWN))
    said = gateway("check", text=LIMITED)
    assert said.splitlines()[1] == (
        f"  r: GET */users/{{uid}} for {AUDIENCE} with a:read; at most 2/h for each address, 2 at once, before its "
        "token is looked at; at most 1/h for each subject, 1 at once; at most 1 at a time"
    )
    (row,) = json.loads(gateway("check", "--json", text=LIMITED))["routes"]
    assert (len(row["limit"]), row["concurrency"]) == (2, 1)


def test_the_schema_is_printed(gateway):
    output = CliRunner().invoke(cli, ["schema"]).output
    assert json.loads(output)["title"] == "gateway.toml of Gatehouse"


EXPLAINED = file(
    route(
        'require = { scope = ["a:read"], claims = { tenant = ["x", true, 1] } }',
        'when = [{ any = [{ eq = ["claim.sub", "path.uid"] }, { not = { ip_in = ["10.0.0.0/8"] } }] },',
        ' { time = { tz = "Europe/Paris", days = "mon-fri", from = 08:00:00, to = 20:00:30 } }]',
        'review = { owner = "team", by = 2027-01-01, expired = "deny" }',
    )
)


def told(text: str, line: object) -> list[str]:
    headline, points = explain(parse(text), line)
    return [headline, *map(str, points)]


def test_a_refusal_is_explained_rule_by_rule():
    ground = Ground(EXPLAINED)
    ground.ask(Ask(path="/users/bob", peer="10.0.0.1", now=NOW), scope="a:read", tenant="x")
    said = told(EXPLAINED, ground.log.decisions[-1])
    assert said == [
        "GET api.example/users/bob was refused with 403: when[1] did not hold",
        '  passed        the request belongs to route "r": GET */users/{uid}',
        f"  passed        the token is sound and for {AUDIENCE}",
        "                the client's address was 10.0.0.1",
        "  passed        review: the rule was to be reviewed by 2027-01-01",
        "  passed        require.scope: scope a:read",
        "  passed        require.claims.tenant: claim tenant is 1, true or x",
        "  FAILED        when[1]: one of these",
        "  FAILED           claim.sub equals path.uid",
        "  FAILED           not this",
        "  passed              the client's address is in 10.0.0.0/8",
        "  passed        when[2]: the time is on mon-fri from 08:00 to 20:00:30 in Europe/Paris",
    ]


def test_what_was_let_through_is_explained_too():
    ground = Ground(EXPLAINED)
    ground.ask(scope="a:read", tenant="x")
    said = told(EXPLAINED, ground.log.decisions[-1])
    assert said[0].endswith("was let through")
    assert "  passed        when[1]: (claim.sub equals path.uid or not (the client's address is in 10.0.0.0/8))" in said
    shadow = EXPLAINED + 'mode = "shadow"\n'
    ground = Ground(shadow)
    ground.ask()
    assert told(shadow, ground.log.decisions[-1])[0].endswith("was let through, because its route is in shadow mode")


@pytest.mark.parametrize(
    ("ask", "claims", "said"),
    [
        (Ask(path="/none", now=NOW), {}, "no route is for this host and path"),
        (Ask(path="/users/a", method="PUT", now=NOW), {}, "the path has routes, none of them for this method"),
        (Ask(path="/users//a", now=NOW), {}, "path has empty segments"),
        (Ask(path="/users/a", host="a b", now=NOW), {}, "the host is missing, malformed or unknown"),
        (Ask(path="/users/a", now=NOW), {"aud": "https://other.example"}, "the token is for another audience"),
        (Ask(path="/users/a", now=NOW), {"exp": int(NOW) - 100}, "token has expired"),
    ],
)
def test_what_ended_before_the_policy_is_said_in_words(ask, claims, said):
    ground = Ground(EXPLAINED)
    ground.ask(ask, **claims)
    output = told(EXPLAINED, ground.log.decisions[-1])
    assert said in output[0]
    assert any("FAILED" in each and said in each for each in output)
    assert not any("passed        require" in each for each in output)


LIMITED = file(
    route(
        'require = { scope = ["a:read"] }',
        "concurrency = 1",
        'limit = [{ by = "ip", rate = "2/h" }, { by = "subject", rate = "1/h" }]',
    )
)


def test_a_limit_that_was_used_up_is_named():
    ground = Ground(LIMITED)
    for _ in range(3):
        ground.ask(scope="a:read").over()
    passed, later, before = (told(LIMITED, line) for line in ground.log.decisions)
    assert passed[0].endswith("was let through")
    assert later == [
        'GET api.example/users/alice was refused with 429: the limit "subject" was used up',
        '  passed        the request belongs to route "r": GET */users/{uid}',
        f"  passed        the token is sound and for {AUDIENCE}",
        "  passed        require.scope: scope a:read",
        '                limit "ip": at most 2/h for each address, 2 at once, before its token is looked at',
        '  FAILED        limit "subject": at most 1/h for each subject, 1 at once',
    ]
    assert before == [
        'GET api.example/users/alice was refused with 429: the limit "ip" was used up',
        '  passed        the request belongs to route "r": GET */users/{uid}',
        '  FAILED        the limit "ip" was used up',
        "  not looked at require.scope: scope a:read",
        '  FAILED        limit "ip": at most 2/h for each address, 2 at once, before its token is looked at',
        '                limit "subject": at most 1/h for each subject, 1 at once',
    ]


def test_a_route_that_was_full_is_said():
    ground = Ground(LIMITED)
    kept = ground.ask(scope="a:read")
    assert ground.ask(scope="a:read").status == 503
    assert kept.allowed
    said = told(LIMITED, ground.log.decisions[-1])
    assert "  passed        require.scope: scope a:read" in said
    assert said[-1] == "  FAILED        as many requests as the route allows were under way"


def test_a_file_that_has_changed_since_is_said():
    ground = Ground(EXPLAINED)
    ground.ask()
    line = ground.log.decisions[-1]
    other = EXPLAINED.replace("2027-01-01", "2027-01-02")
    assert "the file has changed since" in "\n".join(told(other, line))
    gone = EXPLAINED.replace('id = "r"', 'id = "s"')
    assert 'the file has no route "r" any more' in "\n".join(told(gone, line))
    shorter = file(route('require = { scope = ["a:read"] }'))
    assert any("not looked at" in each for each in told(shorter, line))


def test_explain_finds_a_decision_in_the_log(gateway, tmp_path):
    ground = Ground(EXPLAINED)
    decision = ground.ask(scope="a:read")
    log = tmp_path / "log"
    log.write_text("torn\n[1]\n" + "".join(json.dumps(line) + "\n" for line in ground.log.decisions))
    assert "require.claims.tenant did not hold" in gateway("explain", decision.id, "--log", str(log), text=EXPLAINED)
    told_as_json = json.loads(gateway("explain", decision.id, "--log", str(log), "--json", text=EXPLAINED))
    assert told_as_json["decision"] == decision.id
    assert {
        "mark": "FAILED",
        "text": "require.claims.tenant: claim tenant is 1, true or x",
        "depth": 0,
    } in told_as_json["points"]
    assert "no decision with this id" in gateway("explain", "x-1", "--log", str(log), text=EXPLAINED, ok=False)
    assert "--token and --url" in gateway("explain", text=EXPLAINED, ok=False)


def test_explain_tries_a_token(gateway, issuer: Issuer):
    text = file(route('require = { scope = ["a:read"], role_any = ["boss"] }')).replace(
        HEAD, f'version = 1\n[issuers.main]\nissuer = "{issuer.issuer}"\n'
    )
    asked = ("explain", "--token", "-", "--url", "https://api.example/users/7?x=1")
    token = issuer.token(aud=AUDIENCE, scope="a:read", roles=["clerk"], acr="aal1")
    output = gateway(*asked, text=text, stdin=token)
    assert "the token has roles [clerk], scopes [a:read], acr aal1" in output
    assert "FAILED        require.role_any: role boss" in output
    assert "token has expired" in gateway(*asked, text=text, stdin=issuer.token(aud=AUDIENCE, exp=1))
    assert "let through" in gateway(*asked, text=text, stdin=issuer.token(aud=AUDIENCE, scope="a:read", roles=["boss"]))
    assert "no route is for this" in gateway(*asked[:-1], "https://api.example", text=text, stdin=token)


def test_explain_asks_for_no_other_token_and_needs_no_key(gateway, issuer: Issuer):
    to = 'exchange = { audience = "https://b.example" }\nassertion = { audience = "b" }'
    client = 'client = { id = "gateway", key_file = "nowhere" }\n'
    signed = '[assertion]\nissuer = "https://g.example"\nkey_files = ["x"]\n'
    head = f'version = 1\n[issuers.main]\nissuer = "{issuer.issuer}"\n'
    text = file(route(to)).replace(HEAD, head + client + signed)
    asked = ("explain", "--token", "-", "--url", "https://api.example/users/7")
    token = issuer.token(aud=AUDIENCE)
    assert "let through" in gateway(*asked, text=text, stdin=token)
    text = file(route()).replace(HEAD, head + "reference_tokens = true\n" + client)
    assert "nowhere: cannot be read" in gateway(*asked, text=text, stdin=token, ok=False)


def test_report_begins_with_what_nobody_needs(gateway):
    day = dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC).timestamp()
    lines = [
        {"event": "decision", "route": "read", "at": day, "status": 200},
        {"event": "decision", "route": "read", "at": day - 86_400, "status": 200},
        {"event": "decision", "route": "read", "at": day - 3 * 86_400, "status": 200},
        {"event": "decision", "route": "read", "at": day, "status": 403},
        {"event": "decision", "route": "write", "at": day, "status": 403},
        {"event": "decision", "route": "own", "at": day, "status": 429, "why": "limit.ip"},
        {"event": "decision", "route": "own", "at": day, "status": 503, "why": "busy"},
        {"event": "decision", "route": "shadow", "at": day, "status": 200, "shadow": "scope"},
        {"event": "decision", "route": "gone", "at": day, "status": 200},
        {"event": "decision", "route": "both", "at": "soon", "status": 200},
        {"event": "listening"},
    ]
    log = "\n".join(map(json.dumps, lines)) + "\ntorn"
    assert gateway("report", "--since", "2026-11-22", stdin=log).splitlines() == [
        "both: never used since 2026-11-22; 0 refused",
        "own: never used since 2026-11-22; 2 refused (2 for a limit)",
        "write: never used since 2026-11-22; 1 refused",
        "read: 2 allowed, 1 refused, last used 2026-11-23",
        "shadow: 1 allowed, 1 only because of shadow mode, 0 refused, last used 2026-11-23",
    ]
    rows = json.loads(gateway("report", "--since", "2026-11-22", "--json", "--log", "-", stdin=log))
    assert rows[0] == {
        "route": "both", "allowed": 0, "refused": 0, "limited": 0, "shadowed": 0, "last": "never",
    }  # fmt: skip


def test_a_bad_file_is_refused_by_every_command(gateway):
    assert 'field "what" is unknown' in gateway(
        "who-can", "GET", "https://a/b", text="version = 1\nwhat = 1\n", ok=False
    )


def test_every_condition_has_words(gateway):
    text = file(
        route(
            'require = { role_all = ["x", "y"], acr = "aal2", max_age = "90s" }',
            'when = [{ host = ["a.example"] }, { method = ["GET"] }, { max_age = "2h" }, { max_age = "1d" },',
            ' { all = [{ role = "x" }, { not = { role = "y" } }] }, { claims = { a = "b" } },',
            ' { acr = ["aal2", "gold"] },',
            ' { time = { tz = "UTC" } }, { time = { tz = "UTC", first = 2026-01-01, last = 2026-12-31 } }]',
        )
    )
    said = gateway("who-can", "GET", "https://api.example/users/7", text=text)
    for words in (
        "role x and y",
        "the sign-in is at least aal2",
        "the sign-in is at most 90s old",
        "the host is a.example",
        "the method is GET",
        "at most 2h old",
        "at most 1d old",
        "(role x and not (role y))",
        "claim a is b",
        "at least aal2 or gold",
        "the time is any in UTC",
        "from 2026-01-01 on until 2026-12-31 in UTC",
    ):
        assert words in said


def test_a_route_above_takes_nothing_from_what_lies_below():
    above = route('require = { role_any = ["boss"] }', name="above", path="/files")
    below = route('require = { role_any = ["boss"] }', name="below", path="/files/{kind}/{rest...}", method='["PUT"]')
    assert lint.findings(parse(file(above, below)), TODAY) == ()
