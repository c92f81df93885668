"""Commands of `idp gateway` for people who review the rules: who may do what, what changed, why something was refused.

None of them needs the provider's libraries, and none changes anything.
"""

from __future__ import annotations

import datetime as dt
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from idp.cli.gateway_trial import tried
from idp.gateway.config import Config, Route
from idp.gateway.load import ConfigError, load
from idp.gateway.path import BadTarget, canonical
from idp.gateway.policy import reach, schema, words
from idp.gateway.policy.diff import diff, needs
from idp.gateway.policy.explain import explain
from idp.gateway.policy.report import decisions, find, uses
from idp.gateway.policy.surroundings import beside
from idp.gateway.routes import Routes

_FILE = click.option(
    "--config",
    "file",
    type=click.Path(path_type=Path),
    default=Path("gateway.toml"),
    show_default=True,
    help="The routes.",
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
_LOG = click.option(
    "--log", type=click.File("r", encoding="utf-8", errors="replace"), help='The decision log; "-" reads what is piped.'
)


def read(file: Path) -> Config:
    """Load a file, or say what is wrong with it."""
    try:
        return load(file)
    except ConfigError as error:
        raise click.ClickException(str(error)) from None


@click.command(name="schema")
def show_schema() -> None:
    """Print the JSON Schema of the file, for editors."""
    click.echo(schema.render(), nl=False)


@click.command(name="who-can")
@click.argument("method")
@click.argument("url")
@_FILE
@_JSON
def who_can(method: str, url: str, file: Path, *, as_json: bool) -> None:
    """Say which roles and conditions open a request: who-can GET https://api.example/orders/7."""
    config = read(file)
    route = _route(config, method.upper(), url)
    holders = (reach.anybody(config), *reach.holders(config)) if route else ()
    rows = [_row(route, holder, config, method.upper()) for holder in holders if route is not None]
    if as_json:
        found = {"route": None, "needs": None} if route is None else {"route": route.id, "needs": needs(route)}
        click.echo(json.dumps({**found, "who": rows}, indent=2))
        return
    if route is None:
        click.echo("Nobody: no route is for this request, and what no route names is denied.")
        return
    click.echo(f'route "{route.id}": {words.where(route)} for {route.audience}')
    click.echo(f"needs {needs(route)}" + (" (in shadow mode: nothing is enforced)" if route.mode == "shadow" else ""))
    for row in rows:
        click.echo(f"  {row['who']}: {_said(row)}")


@click.command(name="what-can")
@click.option("--role", "roles", multiple=True, required=True, help="A role; several are held together.")
@_FILE
@_JSON
def what_can(roles: Sequence[str], file: Path, *, as_json: bool) -> None:
    """Say which requests the holders of roles may make."""
    config = read(file)
    known = {holder.name: holder for holder in reach.holders(config)}
    unknown = sorted(set(roles) - known.keys())
    if unknown:
        raise click.ClickException(f'no rule and no [roles] names the role "{unknown[0]}"')
    scopes = frozenset(scope for role in roles for scope in known[role].scopes)
    together = reach.Holder(name=" and ".join(roles), roles=frozenset(roles), scopes=scopes)
    rows = [
        {"method": method, "route": route.id, "host": route.host, "path": route.path.text,
         **_row(route, together, config, method)}
        for route in config.routes
        for method in sorted(route.methods)
    ]  # fmt: skip
    open_to = [row for row in rows if row["answer"] != "no"]
    if as_json:
        click.echo(json.dumps(open_to, indent=2))
        return
    for row in open_to:
        click.echo(f"{row['method']} {row['host'] or '*'}{row['path']}: {_said(row)}")
    if not open_to:
        click.echo("Nothing.")


@click.command(name="diff")
@click.argument("old", type=click.Path(path_type=Path))
@click.argument("new", type=click.Path(path_type=Path))
@_JSON
@click.option("--exit-code", is_flag=True, help="End with 1 when anybody's reach differs.")
def show_diff(old: Path, new: Path, *, as_json: bool, exit_code: bool) -> None:
    """Compare two files: what they say beside their routes, which routes differ, and who gains or loses reach."""
    found = diff(read(old), read(new))
    changes = (*beside(old.read_text("utf-8"), new.read_text("utf-8")), *found)
    if as_json:
        rows = [{"what": each.what, "route": each.route, "who": each.who, "text": each.text} for each in changes]
        click.echo(json.dumps(rows, indent=2))
    else:
        click.echo("\n".join(map(str, changes)) or "The two files say the same.")
    if exit_code and any(each.who for each in changes):
        raise click.exceptions.Exit(1)


@click.command(name="explain")
@click.argument("decision", required=False)
@_FILE
@_JSON
@_LOG
@click.option("--token", type=click.File("r", encoding="utf-8"), help='A file with an access token; "-" reads a pipe.')
@click.option("--method", default="GET", show_default=True)
@click.option("--url", help="The request that the token is tried on.")
@click.option("--address", default="", help="The client's address, for rules that ask for it.")
def explain_decision(
    *,
    decision: str | None,
    file: Path,
    as_json: bool,
    log: Iterator[str] | None,
    token: Any,
    method: str,
    url: str | None,
    address: str,
) -> None:
    """Explain a decision: one from the log by its id, or a token and a request tried now.

    Trying a token fetches the issuer's keys, as the gateway does; nothing is sent to the API.
    """
    config = read(file)
    if decision is not None and log is not None:
        line = find(log, decision)
        if line is None:
            raise click.ClickException("the log has no decision with this id")
    elif token is not None and url is not None:
        line = tried(config, token.read().strip(), method.upper(), url, address)
    else:
        raise click.UsageError("give the id of a decision and --log, or --token and --url")
    headline, points = explain(config, line)
    if as_json:
        rows = [{"mark": each.mark, "text": each.text, "depth": each.depth} for each in points]
        click.echo(json.dumps({"decision": line.get("id"), "said": headline, "points": rows}, indent=2))
        return
    click.echo(headline)
    for point in points:
        click.echo(str(point))


@click.command()
@_FILE
@_JSON
@_LOG
@click.option("--since", type=click.DateTime(["%Y-%m-%d"]), required=True, help="The first day that counts, UTC.")
def report(file: Path, *, as_json: bool, log: Iterator[str] | None, since: dt.datetime) -> None:
    """Say how often each rule was used; those that nobody needed come first."""
    found = sorted(
        uses(read(file), decisions(log if log is not None else sys.stdin), since.date()),
        key=lambda use: (use.allowed > 0, use.route),
    )
    if as_json:
        rows = [
            {"route": use.route, "allowed": use.allowed, "refused": use.refused, "limited": use.limited,
             "shadowed": use.shadowed, "last": use.last_day()}
            for use in found
        ]  # fmt: skip
        click.echo(json.dumps(rows, indent=2))
        return
    for use in found:
        refused = f"{use.refused} refused" + (f" ({use.limited} for a limit)" if use.limited else "")
        if not use.allowed:
            click.echo(f"{use.route}: never used since {since.date()}; {refused}")
            continue
        shadow = f", {use.shadowed} only because of shadow mode" if use.shadowed else ""
        click.echo(f"{use.route}: {use.allowed} allowed{shadow}, {refused}, last used {use.last_day()}")


COMMANDS = (show_schema, who_can, what_can, show_diff, explain_decision, report)


def _route(config: Config, method: str, url: str) -> Route | None:
    parts = urlsplit(url)
    if not parts.netloc:
        raise click.ClickException("the URL must be a whole one, such as https://api.example/orders/7")
    try:
        path = canonical((parts.path or "/").encode("utf-8"))
    except BadTarget as bad:
        raise click.ClickException(f"the gateway refuses every request for this path: {bad.reason}") from None
    return (Routes(config.routes).find(parts.netloc.lower(), path) or {}).get(method)


def _row(route: Route, holder: reach.Holder, config: Config, method: str) -> dict[str, Any]:
    return {
        "who": holder.name,
        "answer": reach.reach(route, holder, method),
        "if": list(reach.conditions(route, holder, method)),
        "with_other_roles": reach.needs_company(route, holder, reach.everything(config), method),
    }


def _said(row: Mapping[str, Any]) -> str:
    if row["answer"] == "no":
        return "only together with other roles" if row["with_other_roles"] else "no"
    return f"if {' and '.join(row['if'])}" if row["answer"] == "if" else "yes"
