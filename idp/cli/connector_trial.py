"""`idp connector test | claims | keys`: trying a connector before anybody signs in by it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import IO

import click

from idp.accounts import connectors, foretelling, mapping
from idp.cli.connector_rows import find, in_words, sealer_of
from idp.cli.context import opened
from idp.cli.key import config_option, json_option
from idp.cli.shown import facts, show, table
from idp.federation.connector import Connector, Identity, PasswordConnector
from idp.federation.oauth2 import OAuth2
from idp.federation.oidc import Oidc
from idp.jose.strict import JoseError, loads
from idp.store import connector as store


@click.command(name="test")
@click.argument("name")
@click.option("--user", "sample", help="Also look for this person, as typed on the sign-in page.")
@config_option
@json_option
def test(name: str, sample: str | None, config: Path | None, *, as_json: bool) -> None:
    """Walk every step of a sign-in short of the password, and say in words what was found."""
    with opened(config) as context, in_words():
        with context.db.read() as tx:
            row = find(tx, name)
            rules = [rule for rule, _ in store.rules(tx, row.id)]
        ready = connectors.make(row, sealer_of(context))
        try:
            walked = list(ready.connector.examine(sample))
            who = _person(ready.connector, sample) if all(each.passed for each in walked) else None
        finally:
            ready.connector.close()
        if who is not None:
            with context.db.read() as tx:
                walked += foretelling.roles_of(tx, row.id, who)
    found = [{"step": each.step, "passed": each.passed, "words": each.words} for each in walked]
    failed = [each for each in found if not each["passed"]]
    columns = ("step", "passed", "words")
    answer = {"connector": name, "passed": not failed, "rules": len(rules), "findings": found}
    show(answer, as_json=as_json, told_as=lambda: table(f"Test of {name}", columns, found))
    if failed:
        raise click.exceptions.Exit(1)


@click.command(name="claims")
@click.argument("name")
@click.argument("file", type=click.File("rb"))
@config_option
@json_option
def claims(name: str, file: IO[bytes], config: Path | None, *, as_json: bool) -> None:
    """Try the claim mapping: who a FILE of the provider's claims (JSON) would be here, and with which roles."""
    document = _claims_in(file)
    with opened(config) as context, in_words():
        with context.db.read() as tx:
            row = find(tx, name)
            rules = list(store.rules(tx, row.id))
        ready = connectors.make(row, sealer_of(context))
    if not isinstance(ready.connector, Oidc | OAuth2):
        raise click.ClickException("a directory has no claims; see `idp connector test --user`")
    paths = ready.connector.common.claims
    external_id = paths.subject_of(document)
    if external_id is None:
        raise click.ClickException("nobody would be signed in: the claim that is the subject is absent")
    who = paths.identity(name, external_id, [document])
    given = {each.rule_id for each in mapping.match([rule for rule, _ in rules], who)}
    shown = {
        "subject": who.external_id,
        "username": who.username,
        "email": who.email,
        "email_verified": who.email_verified,
        "groups": [each.name for each in who.groups],
        "claims": dict(who.claims),
        "roles": sorted(role.name for rule, role in rules if rule.id in given),
    }
    show(shown, as_json=as_json, told_as=lambda: facts(f"Who this would be by {name}", shown))


@click.command(name="keys")
@click.argument("name")
@config_option
@json_option
def keys(name: str, config: Path | None, *, as_json: bool) -> None:  # noqa: ARG001 - a JWK Set is JSON either way
    """Print the public keys (a JWK Set) that the provider needs: by which we prove ourselves, to which it encrypts."""
    with opened(config) as context, in_words():
        with context.db.read() as tx:
            row = find(tx, name)
        ready = connectors.make(row, sealer_of(context))
    held = ready.connector.public_keys() if isinstance(ready.connector, Oidc | OAuth2) else []
    if not held:
        raise click.ClickException("this connector has no keys: neither private_key nor decryption_key is set")
    click.echo(json.dumps({"keys": held}, indent=2))


COMMANDS = (test, claims, keys)


def _person(connector: Connector, sample: str | None) -> Identity | None:
    """Look up whom a name means, where that takes no sign-in."""
    return connector.find(sample) if sample is not None and isinstance(connector, PasswordConnector) else None


def _claims_in(file: IO[bytes]) -> dict[str, object]:
    try:
        return loads(file.read())
    except JoseError as wrong:
        raise click.ClickException(f"the file is not one JSON object: {wrong.reason}") from None
