"""`idp token explain`: a token decoded, checked, and told in words."""

from __future__ import annotations

import datetime as dt
import json
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from idp.cli.explaining import ended, source, words
from idp.cli.key import answer, config_option, json_option, load, moment
from idp.jose.access_token import ACCESS_TOKEN_TYP
from idp.jose.keys import ALGS, KeySet
from idp.jose.strict import Compact, JoseError, loads, split
from idp.jose.verify import check_issuer, check_times, media_type, verify
from idp.keys import schedule
from idp.settings import Settings
from idp.store import signing_key
from idp.store.database import Database, StoreUnavailable

GOOD = "good"
_MOST = 100_000
_MARKS = {GOOD: "green", "refused": "red", "unverified": "yellow"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The token in question, taken apart, and the moment of the question."""

    text: str
    compact: Compact
    claims: dict[str, object]
    now: dt.datetime


@dataclass(slots=True, kw_only=True)
class Findings:
    """What was found out about one token."""

    kind: str = "not a token"
    signature: str = "not checked"
    verdict: str = "refused"
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    header: list[words.Line] = field(default_factory=list)
    claims: list[words.Line] = field(default_factory=list)
    ends_at: str | None = None


@click.group(name="token")
def cli() -> None:
    """Look into tokens."""


@cli.command(name="explain")
@click.argument("token")
@click.option("--jwks", metavar="FILE|URL", help="Check with the keys in this file or at this address.")
@click.option("--issuer", metavar="URL", help="Check with the keys this issuer publishes.")
@config_option
@json_option
@click.pass_context
def explain(
    ctx: click.Context, token: str, jwks: str | None, issuer: str | None, config: Path | None, *, as_json: bool
) -> None:
    """Decode TOKEN (or - for standard input), check it, and say what everything in it is for.

    Ends with status 0 if the token is good, 1 if it is refused or could not be checked.
    """
    if jwks and issuer:
        raise click.UsageError("choose one of --jwks and --issuer")
    text = sys.stdin.read(_MOST) if token == "-" else token  # noqa: S105 - a dash is no password
    text = text.strip().removeprefix("Bearer ")
    findings = Findings()
    try:
        compact = split(text)
        asked = Asked(text=text, compact=compact, claims=loads(compact.payload), now=moment())
    except JoseError as error:
        findings.problems.append(f"it cannot be read: {error.reason}")
    else:
        _describe(findings, asked)
        with suppress(_Unchecked):
            if jwks or issuer:
                _judge(findings, asked, _foreign_keys(findings, jwks, issuer), issuer)
            else:
                _judge_ours(findings, asked, load(config))
    findings.verdict = _verdict(findings)
    if as_json:
        answer(asdict(findings))
    else:
        _print(findings)
    ctx.exit(0 if findings.verdict == GOOD else 1)


class _Unchecked(Exception):
    """There is nothing to check the signature with; a note says why."""


def _describe(findings: Findings, asked: Asked) -> None:
    findings.kind = words.KINDS.get(media_type(asked.compact), "token of a kind this provider does not issue")
    findings.header = words.header_lines(asked.compact.header)
    findings.claims = words.claim_lines(asked.claims, asked.now)
    ends = words.moment(asked.claims.get("exp"))
    findings.ends_at = None if ends is None else ends.isoformat()


def _foreign_keys(findings: Findings, jwks: str | None, issuer: str | None) -> KeySet:
    try:
        return source.from_place(jwks) if jwks else source.from_issuer(str(issuer))
    except source.NoKeys as trouble:
        findings.notes.append(str(trouble))
        raise _Unchecked from None


def _judge_ours(findings: Findings, asked: Asked, settings: Settings) -> None:
    """Check with this provider's own rows; reads only, so that explaining never makes a key."""
    try:
        database = _existing(settings.database_url)
    except (StoreUnavailable, OSError):
        findings.notes.append("the database is not reachable: neither signature nor state could be checked")
        raise _Unchecked from None
    try:
        with database.read() as tx:
            rows = signing_key.listing(tx)
            shown = schedule.published(rows, asked.now)
            keys = KeySet.from_own([row.public_jwk for row in shown])
            _judge(findings, asked, keys, settings.issuer)
            # Only an access token has a state here; one that is not ours has none that we know.
            if findings.signature == GOOD and media_type(asked.compact) == ACCESS_TOKEN_TYP:
                findings.problems += ended.reasons(tx, asked.claims, asked.now)
            name = ended.username(tx, asked.claims)
            if name is not None:
                findings.notes.append(f"sub is the account {json.dumps(name)}")
            findings.notes += [
                f"the key {row.id} is {schedule.state(row, rows, asked.now)}; see `idp key list`"
                for row in rows
                if row.id == asked.compact.header.get("kid") and row not in shown
            ]
    except StoreUnavailable:
        findings.notes.append("the database has no tables yet, or went away: not everything could be checked")
        raise _Unchecked from None
    finally:
        database.close()


def _existing(url: str) -> Database:
    """Open a database that is there: explaining a token leaves no file behind."""
    if url.startswith("sqlite:///"):
        Path(url.removeprefix("sqlite:///")).stat()
    return Database.open(url)


def _judge(findings: Findings, asked: Asked, keys: KeySet, issuer: str | None) -> None:
    """Check signature, issuer and times, each by itself, so that all that is wrong is told."""
    findings.signature = _problem(verify, asked.text, keys, typ=None, algs=frozenset(ALGS)) or GOOD
    problems = (
        findings.signature if findings.signature != GOOD else None,
        _problem(check_issuer, asked.claims, issuer) if issuer else None,
        _problem(check_times, asked.claims, asked.now.timestamp()),
    )
    findings.problems += [words.problem(problem) for problem in problems if problem is not None]


def _problem(check: Callable[..., object], *facts: object, **options: object) -> str | None:
    try:
        check(*facts, **options)
    except JoseError as error:
        return error.reason
    return None


def _verdict(findings: Findings) -> str:
    if findings.problems:
        return "refused"
    return GOOD if findings.signature == GOOD else "unverified"


def _print(findings: Findings) -> None:
    console = Console()
    verdict = Text(findings.verdict.upper(), style=f"bold {_MARKS[findings.verdict]}")
    console.print(Text.assemble(verdict, f"  {findings.kind}"))
    for problem in findings.problems:
        console.print(Text(f"  wrong: {problem}", style="red"))
    for note in findings.notes:
        console.print(Text(f"  note: {note}"))
    for title, lines in (("Header", findings.header), ("Claims", findings.claims)):
        if lines:
            console.print(_table(title, lines))
    console.print(f"Signature: {findings.signature}.")


def _table(title: str, lines: list[words.Line]) -> Table:
    """Values as JSON in ASCII: whatever a stranger wrote, the terminal obeys none of it."""
    table = Table("name", "value", "why it is there", title=title, title_justify="left", box=SIMPLE_HEAD)
    table.columns[1].overflow = "fold"
    for line in lines:
        name = json.dumps(line.name)[1:-1]
        table.add_row(Text(name), Text(json.dumps(line.value)), Text(line.words))
    return table
