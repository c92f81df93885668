"""`idp gateway plan` and `idp gateway apply`: the provider's store made to agree with the file of a gateway."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import click

from idp.audit.log import readable
from idp.cli.context import Context, opened
from idp.cli.declaring import reading
from idp.cli.gateway_policy import read as read_file
from idp.cli.key import answer, moment
from idp.clients import issuer_api
from idp.clients.declaration.apply import apply as make_true
from idp.clients.declaration.model import Change, Moved, Plan, Undeclarable, What
from idp.clients.declaration.plan import plan as compare

DRIFT = 2
_COLOURS = {"add": "green", "change": "yellow", "remove": "red"}
_SUMS: Mapping[What, str] = {"add": "to add", "change": "to change", "remove": "to remove"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What both commands are told."""

    file: Path
    name: str | None
    jwks: Path | None
    prune: bool
    config: Path | None


def plan(options: Options, *, as_json: bool) -> None:
    """Show what would change; end with 2 when something would."""
    with opened(options.config) as context:
        read = _read(options, context)
        found = _planned(context, read, options)
    if as_json:
        answer(_row(found, read.notes))
    else:
        _show(found, read.notes, options.file)
        if found.changes:
            more = f" --name {options.name}" if options.name else ""
            more += f" --jwks {options.jwks}" if options.jwks else ""
            more += " --prune" if options.prune else ""
            click.echo(f"Apply exactly this: idp gateway apply {options.file}{more} --plan {found.digest}")
    if found.changes:
        raise click.exceptions.Exit(DRIFT)


def apply(options: Options, *, yes: bool, expected: str | None, as_json: bool) -> None:
    """Show it, ask, and make it true."""
    with opened(options.config) as context:
        read = _read(options, context)
        found = _planned(context, read, options)
        if expected is not None and found.digest != expected:
            raise click.ClickException(
                f"this is no longer plan {expected}: look at it again, as it is {found.digest} now"
            )
        if not as_json:
            _show(found, read.notes, options.file)
        if found.changes and not (yes or expected is not None):
            if as_json:
                raise click.UsageError("say --yes or --plan: nobody is asked when the answer is JSON")
            click.confirm("Make it so?", abort=True)
        try:
            with context.db.write() as tx:
                # Read here: whoever was asked may have thought for minutes, and tokens were issued meanwhile.
                made = make_true(
                    tx, read.declaration, found.digest, moment(), prune=options.prune, record=context.record
                )
        except Moved:
            raise click.ClickException(
                "the provider was changed in between, so nothing was applied: plan again"
            ) from None
    if as_json:
        answer({**_row(made, read.notes), "applied": True})
    elif made.changes:
        click.echo(f"Done: {made.count('add')} added, {made.count('change')} changed, {made.count('remove')} removed.")


def _read(options: Options, context: Context) -> reading.Read:
    config, provider = read_file(options.file), context.settings.issuer
    try:
        read = reading.read(config, provider=provider, name=options.name, jwks=_jwks(options.jwks))
    except Undeclarable as wrong:
        raise click.ClickException(str(wrong)) from None
    if provider in read.declaration.audiences:
        # The provider's own API is there as soon as it has run once; here it may not have.
        issuer_api.ensure(context.db, provider, context.now)
    return read


def _planned(context: Context, read: reading.Read, options: Options) -> Plan:
    try:
        with context.db.read() as tx:
            return compare(tx, read.declaration, prune=options.prune)
    except Undeclarable as wrong:
        raise click.ClickException(f"{wrong}: run this where the file is, or give public keys by --jwks") from None


def _jwks(file: Path | None) -> Mapping[str, object] | None:
    if file is None:
        return None
    try:
        keys = json.loads(file.read_bytes())
    except (OSError, ValueError):
        keys = None
    if not isinstance(keys, dict) or not isinstance(keys.get("keys"), list):
        raise click.ClickException(f"{file}: does not hold a JWK Set")
    return keys


def _row(found: Plan, notes: tuple[str, ...]) -> dict[str, object]:
    return {
        "declaration": found.declaration,
        "plan": found.digest,
        "changes": [_change(change) for change in found.changes],
        "notes": [*notes, *found.notes],
    }


def _change(change: Change) -> dict[str, object]:
    kind, *names = change.item
    return {
        "what": change.what,
        "kind": kind,
        "names": names,
        "text": change.text,
        "gains": change.gains,
        "loses": change.loses,
    }


def _show(found: Plan, notes: tuple[str, ...], file: Path) -> None:
    for change in found.changes:
        click.secho(f"{change.sign} {change.text}", fg=_COLOURS[change.what])
        for word, who in (("gains", change.gains), ("loses", change.loses)):
            if who:
                click.echo(f"    {word}: {', '.join(who)}")
    for note in (*notes, *found.notes):
        click.echo(f"Note: {readable(note)}")
    if not found.changes:
        click.echo(f"Nothing to do: the provider agrees with {file}.")
        return
    sums = [f"{count} {words}" for what, words in _SUMS.items() if (count := found.count(what))]
    click.echo(f'"{readable(found.declaration)}": {", ".join(sums)}.')
