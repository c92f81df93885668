"""`idp client`: applications. A generated secret is shown once and kept as a digest."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click

from idp.cli import client_sender
from idp.cli.api import find_api, find_scope
from idp.cli.context import MFA, opened, read_secret
from idp.cli.key import config_option, json_option, moment
from idp.cli.shown import client_facts, facts, show, table
from idp.clients import issuer_api, registration
from idp.clients.client import (
    ACCESS_TOKEN_FORMATS,
    AUTH_METHODS,
    AUTHORIZATION_CODE,
    BASIC,
    CLIENT_CREDENTIALS,
    JWT,
    NONE,
    POST,
    REFERENCE,
    REFRESH_TOKEN,
)
from idp.clients.registration import GRANT_TYPES, Registration
from idp.jose.keys import ALGS
from idp.protocol.scope import OFFLINE, OPENID
from idp.store import api, client, taking
from idp.store.client import Client
from idp.store.database import Session
from idp.store.digests import digest, new_secret

USUAL_SCOPES = (OPENID, "profile", "email")
ONCE = "The secret is shown this once:"


@click.group(name="client")
def cli() -> None:
    """Applications that may ask for tokens."""


cli.add_command(client_sender.edit)


@cli.command(name="create")
@click.argument("client_id")
@click.option("--name", help="Name shown to people; the client id if left out.")
@click.option("--redirect-uri", "redirect_uris", multiple=True, help="Where answers go; may be repeated.")
@click.option("--post-logout-redirect-uri", "post_logout", multiple=True, help="Where a sign-out may lead.")
@click.option("--public", is_flag=True, help="Keeps no secret: a browser or a device runs it.")
@click.option("--native", is_flag=True, help="Runs on the person's device: loopback and private-use redirects.")
@click.option("--service", is_flag=True, help="Acts for itself alone (client_credentials).")
@click.option("--auth-method", type=click.Choice(AUTH_METHODS), help="How it proves itself; a secret by default.")
@click.option("--grant", "grants", type=click.Choice(GRANT_TYPES), multiple=True, help="Grant type; may be repeated.")
@click.option("--scope", "scopes", multiple=True, help="A scope it may ask for; openid, profile, email by default.")
@click.option(
    "--api", "apis", multiple=True, metavar="AUDIENCE", help="What --scope names of this API, else all of it."
)
@click.option("--jwks", type=click.File("rb"), help="File with its public keys, or certificates (x5c).")
@click.option("--dpop-bound", is_flag=True, help="Its tokens are bound to a key that it proves each time (DPoP).")
@click.option("--certificate-bound", is_flag=True, help="Its tokens are bound to its TLS certificate.")
@client_sender.tls_subject_options
@click.option("--id-token-alg", type=click.Choice(ALGS), default="RS256", show_default=True, help="For ID tokens.")
@click.option("--secret-stdin", is_flag=True, help="Read a chosen secret from standard input; a weak one is refused.")
@click.option("--no-pkce", is_flag=True, help="Do not demand PKCE of a client that keeps a secret.")
@click.option("--no-consent", is_flag=True, help="One's own application: people are not asked.")
@click.option("--reference-tokens", is_flag=True, help="Its access tokens say nothing by themselves.")
@click.option("--mfa", type=MFA, default="optional", show_default=True, help="Second factor of whoever uses it.")
@config_option
@json_option
def create(client_id: str, config: Path | None, *, as_json: bool, **given: object) -> None:
    """Register a client; its generated secret is printed once."""
    with opened(config) as context:
        wanted = _registration(client_id, given)
        if wanted.id_token_alg not in context.settings.signing_algs:
            raise click.ClickException(f"{wanted.id_token_alg} has no key here; add it to the setting signing_algs")
        with context.db.write() as tx:
            issuer_api.register(tx, context.settings.issuer, context.now)
            secret = registration.register(tx, wanted, context.now)
            _allow(tx, client_id, _wanted_scopes(wanted, given), _texts(given["apis"]))
            context.record(tx, "client.created", client_id=client_id, auth_method=wanted.auth_method)
            row = _found(tx, client_id)
    # What its owner chose need not be shown again.
    shown = None if wanted.secret else secret
    show(row | ({"client_secret": shown} if shown else {}), as_json=as_json, told_as=_told(client_id, shown))


@cli.command(name="list")
@config_option
@json_option
def listing(config: Path | None, *, as_json: bool) -> None:
    """List every client."""
    with opened(config) as context, context.db.read() as tx:
        rows = [client_facts(tx, each) for each in client.listing(tx)]
    columns = ("client id", "name", "auth method", "grant types", "state")
    show({"clients": rows}, as_json=as_json, told_as=lambda: table("Clients", columns, rows))


@cli.command(name="show")
@click.argument("client_id")
@config_option
@json_option
def display(client_id: str, config: Path | None, *, as_json: bool) -> None:
    """Show one client."""
    with opened(config) as context, context.db.read() as tx:
        row = _found(tx, client_id)
    show(row, as_json=as_json, told_as=lambda: facts(client_id, row))


@cli.command(name="disable")
@click.argument("client_id")
@config_option
@json_option
def disable(client_id: str, config: Path | None, *, as_json: bool) -> None:
    """Close a client; its tokens are refused here at once, and at gateways that listen within a second."""
    with opened(config) as context, context.db.write() as tx:
        _find(tx, client_id)
        client.disable(tx, client_id, context.now)
        context.record(tx, "client.disabled", client_id=client_id)
    show({"client_id": client_id, "disabled": True}, as_json=as_json, told_as=f"{client_id} is closed.")


@cli.command(name="enable")
@click.argument("client_id")
@config_option
@json_option
def enable(client_id: str, config: Path | None, *, as_json: bool) -> None:
    """Open a client again; tokens of before stay dead."""
    with opened(config) as context, context.db.write() as tx:
        _find(tx, client_id)
        client.enable(tx, client_id, context.now)
        context.record(tx, "client.enabled", client_id=client_id)
    show({"client_id": client_id, "disabled": False}, as_json=as_json, told_as=f"{client_id} is open again.")


@cli.command(name="scope")
@click.argument("client_id")
@click.argument("scopes", nargs=-1, required=True)
@click.option("--api", "audience", metavar="AUDIENCE", help="Scopes of this API; needed where several have the word.")
@click.option("--remove", "taken", is_flag=True, help="It may no longer ask for them.")
@config_option
@json_option
def scope(
    client_id: str,
    scopes: tuple[str, ...],
    audience: str | None,
    config: Path | None,
    *,
    taken: bool,
    as_json: bool,
) -> None:
    """Let a client ask for scopes."""
    with opened(config) as context, context.db.write() as tx:
        _find(tx, client_id)
        for each in _scope_ids(tx, scopes) if audience is None else _scopes_at(tx, audience, scopes):
            if taken:
                taking.scope_from_client(tx, client_id, each, moment())
            else:
                client.allow_scope(tx, client_id, each)
        # The version tells every worker that its copy is old.
        client.change(tx, client_id, context.now, {})
        event = "client.scopes_removed" if taken else "client.scopes_added"
        context.record(tx, event, client_id=client_id, scopes=list(scopes))
        row = _found(tx, client_id)
    show(row, as_json=as_json, told_as=lambda: facts(client_id, row))


@cli.command(name="token-format")
@click.argument("client_id")
@click.argument("chosen", metavar="FORMAT", type=click.Choice(ACCESS_TOKEN_FORMATS))
@config_option
@json_option
def token_format(client_id: str, chosen: str, config: Path | None, *, as_json: bool) -> None:
    """Give a client JWTs, or references that only an introspection understands. Earlier tokens stay as they are."""
    with opened(config) as context, context.db.write() as tx:
        _find(tx, client_id)
        client.change(tx, client_id, context.now, {"access_token_format": chosen})
        context.record(tx, "client.token_format_changed", client_id=client_id, format=chosen)
    row = {"client_id": client_id, "access_token_format": chosen}
    show(row, as_json=as_json, told_as=f"{client_id} gets access tokens of the format {chosen}.")


@cli.group(name="secret")
def secrets() -> None:
    """The secret of a client."""


@secrets.command(name="rotate")
@click.argument("client_id")
@config_option
@json_option
def rotate(client_id: str, config: Path | None, *, as_json: bool) -> None:
    """Make a new secret, print it once; the old one is refused from then on."""
    with opened(config) as context, context.db.write() as tx:
        if _find(tx, client_id).auth_method not in {BASIC, POST}:
            raise click.ClickException("this client does not prove itself by a secret")
        made = new_secret()
        client.change(tx, client_id, context.now, {"secret_hash": digest(made)})
        context.record(tx, "client.secret_rotated", client_id=client_id)
    row = {"client_id": client_id, "client_secret": made}
    show(row, as_json=as_json, told_as=f"{ONCE}\n{made}")


def _registration(client_id: str, given: dict[str, object]) -> Registration:
    method = _method(given)
    return Registration(
        client_id=client_id,
        name=str(given["name"] or client_id),
        auth_method=method,
        grant_types=_grants(given),
        redirect_uris=_texts(given["redirect_uris"]),
        post_logout_redirect_uris=_texts(given["post_logout"]),
        application_type="native" if given["native"] else "web",
        require_pkce=not given["no_pkce"],
        require_consent=not given["no_consent"],
        jwks=None if given["jwks"] is None else client_sender.read_jwks(given["jwks"]),
        dpop_bound=bool(given["dpop_bound"]),
        certificate_bound=bool(given["certificate_bound"]),
        tls_subject=client_sender.tls_subject(given),
        mfa=str(given["mfa"]),
        access_token_format=REFERENCE if given["reference_tokens"] else JWT,
        id_token_alg=str(given["id_token_alg"]),
        secret=read_secret("Secret", from_stdin=True) if given["secret_stdin"] else None,
    )


def _method(given: dict[str, object]) -> str:
    if given["public"] and given["auth_method"] not in {None, NONE}:
        raise click.UsageError("a public client has no auth method")
    return NONE if given["public"] else str(given["auth_method"] or BASIC)


def _grants(given: dict[str, object]) -> tuple[str, ...]:
    named = _texts(given["grants"])
    if given["service"] and named:
        raise click.UsageError("--service says the grant type already")
    return named or ((CLIENT_CREDENTIALS,) if given["service"] else (AUTHORIZATION_CODE, REFRESH_TOKEN))


def _wanted_scopes(wanted: Registration, given: dict[str, object]) -> tuple[str, ...]:
    named = _texts(given["scopes"])
    if named or AUTHORIZATION_CODE not in wanted.grant_types:
        return named
    return (*USUAL_SCOPES, OFFLINE) if REFRESH_TOKEN in wanted.grant_types else USUAL_SCOPES


def _texts(value: object) -> tuple[str, ...]:
    return tuple(str(each) for each in value) if isinstance(value, tuple) else ()


def _allow(tx: Session, client_id: str, names: Iterable[str], audiences: Iterable[str]) -> None:
    """Allow of each API what is named of it, or all of it where nothing is; other names must be of one API."""
    wanted = tuple(names)
    said: set[str] = set()
    ids: set[str] = set()
    for audience in audiences:
        has = {each.name: each.id for each in api.scopes(tx, find_api(tx, audience).id)}
        named = has.keys() & set(wanted)
        said |= named
        ids.update(has[name] for name in named or has)
    for each in sorted(ids.union(_scope_ids(tx, (name for name in wanted if name not in said)))):
        client.allow_scope(tx, client_id, each)


def _scope_ids(tx: Session, names: Iterable[str]) -> list[str]:
    wanted = tuple(names)
    known = api.known_scopes(tx, wanted)
    found: list[str] = []
    for name in wanted:
        audiences = [audience for audience, _ in known.get(name, ())]
        if len(audiences) != 1:
            one = f"several APIs have the scope {name}: say which by --api"
            trouble = one if audiences else f"no scope {name}"
            raise click.ClickException(f"{trouble}; see `idp api list`")
        scope_row = api.find_scope(tx, find_api(tx, audiences[0]).id, name)
        found.extend([scope_row.id] if scope_row else ())
    return found


def _scopes_at(tx: Session, audience: str, names: Iterable[str]) -> list[str]:
    found = find_api(tx, audience)
    return [find_scope(tx, found, name).id for name in names]


def _find(tx: Session, client_id: str) -> Client:
    found = client.find(tx, client_id)
    if found is None:
        raise click.ClickException("no such client; see `idp client list`")
    return found


def _found(tx: Session, client_id: str) -> dict[str, object]:
    return client_facts(tx, _find(tx, client_id))


def _told(client_id: str, secret: str | None) -> str:
    return f"{client_id} is registered." + (f" {ONCE}\n{secret}" if secret else "")
