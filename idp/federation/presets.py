"""Providers everybody knows, as data: where they are, what they want to be asked, and how they say who somebody is.

A preset is a table of settings under those of the connector. `{tenant}` and such are filled from its settings.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from idp.federation.connector import Misconfigured


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """One provider. `blanks` are the settings it cannot do without, each with the shape it must have."""

    kind: str
    title: str
    settings: Mapping[str, object]
    claims: Mapping[str, object] = field(default_factory=dict)
    blanks: Mapping[str, re.Pattern[str]] = field(default_factory=dict)


_GUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_HOST: Final = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+")

WANTED: Final = {  # what an operator reads who left it out, or wrote something else
    "tenant": "write the id of your own directory, in small letters: by common every tenant could answer",
    "host": "write the host name alone, in small letters and without https://",
    "realm": "write the name of the realm",
}

PRESETS: Final[Mapping[str, Preset]] = {
    "google": Preset(
        kind="oidc",
        title="Google",
        settings={
            "issuer": "https://accounts.google.com",
            "scope": ["openid", "email", "profile"],
            "fresh": "never",
        },
        claims={"username": "email", "hd": "hd"},
    ),
    # The tenant is part of the issuer, so that nobody else's tenant can answer (and "common" is refused). An e-mail
    # there is what an administrator typed, unless the optional claim xms_edov says that its domain was verified.
    "entra": Preset(
        kind="oidc",
        title="Microsoft",
        settings={
            "issuer": "https://login.microsoftonline.com/{tenant}/v2.0",
            "scope": ["openid", "email", "profile"],
            "userinfo": False,
        },
        claims={"email_verified": "xms_edov", "groups": ["groups", "roles"], "tid": "tid"},
        blanks={"tenant": _GUID},
    ),
    "github": Preset(
        kind="oauth2",
        title="GitHub",
        settings={
            "authorization_endpoint": "https://github.com/login/oauth/authorize",
            "token_endpoint": "https://github.com/login/oauth/access_token",
            "userinfo_endpoint": "https://api.github.com/user",
            "documents": {"emails": "https://api.github.com/user/emails"},
            "scope": ["read:user", "user:email"],
            "auth_method": "client_secret_post",
        },
        claims={
            "subject": "id",
            "username": "login",
            "email": "emails[?primary=true][?verified=true].email",
            "email_verified": "emails[?primary=true].verified",
            "picture": "avatar_url",
            "profile": "html_url",
        },
    ),
    "gitlab": Preset(
        kind="oidc",
        title="GitLab",
        settings={"issuer": "https://gitlab.com", "scope": ["openid", "email", "profile"]},
        claims={"username": ["nickname", "preferred_username"], "groups": ["groups", "groups_direct"]},
    ),
    "apple": Preset(
        kind="oidc",
        title="Apple",
        settings={
            "issuer": "https://appleid.apple.com",
            "scope": ["openid", "email", "name"],
            "response_mode": "form_post",
            "auth_method": "apple",
            "fresh": "never",
            "pkce": False,  # its metadata name no method; the nonce ties the code to the browser
            "userinfo": False,
        },
        claims={"username": "email"},
    ),
    "facebook": Preset(
        kind="oauth2",
        title="Facebook",
        settings={
            "authorization_endpoint": "https://www.facebook.com/v23.0/dialog/oauth",
            "token_endpoint": "https://graph.facebook.com/v23.0/oauth/access_token",
            "userinfo_endpoint": "https://graph.facebook.com/v23.0/me?fields=id,name,first_name,last_name,email",
            "scope": ["public_profile", "email"],
            "auth_method": "client_secret_post",
        },
        # It does not say whether an address was verified, so none counts as such.
        claims={
            "subject": "id",
            "username": "name",
            "email_verified": False,
            "given_name": "first_name",
            "family_name": "last_name",
        },
    ),
    # By its user info, not by its ID token: that one repeats no nonce.
    "linkedin": Preset(
        kind="oauth2",
        title="LinkedIn",
        settings={
            "authorization_endpoint": "https://www.linkedin.com/oauth/v2/authorization",
            "token_endpoint": "https://www.linkedin.com/oauth/v2/accessToken",
            "userinfo_endpoint": "https://api.linkedin.com/v2/userinfo",
            "scope": ["openid", "profile", "email"],
            "auth_method": "client_secret_post",
            "pkce": False,
        },
        claims={"username": "email"},
    ),
    "discord": Preset(
        kind="oauth2",
        title="Discord",
        settings={
            "authorization_endpoint": "https://discord.com/oauth2/authorize",
            "token_endpoint": "https://discord.com/api/oauth2/token",
            "userinfo_endpoint": "https://discord.com/api/users/@me",
            "scope": ["identify", "email"],
        },
        claims={"subject": "id", "username": "username", "email_verified": "verified", "name": "global_name"},
    ),
    "slack": Preset(
        kind="oidc",
        title="Slack",
        settings={
            "issuer": "https://slack.com",
            "fresh": "never",
            "scope": ["openid", "email", "profile"],
            "auth_method": "client_secret_post",
        },
        claims={"username": "email", "team": ["['https://slack.com/team_id']"]},
    ),
    "keycloak": Preset(
        kind="oidc",
        title="Keycloak",
        settings={"issuer": "https://{host}/realms/{realm}", "scope": ["openid", "email", "profile"]},
        claims={"groups": ["groups", "realm_access.roles"]},
        blanks={"host": _HOST, "realm": re.compile(r"[\w-]+")},
    ),
    "okta": Preset(
        kind="oidc",
        title="Okta",
        settings={"issuer": "https://{host}", "scope": ["openid", "email", "profile", "groups"]},
        blanks={"host": _HOST},
    ),
    "auth0": Preset(
        kind="oidc",
        title="Auth0",
        settings={"issuer": "https://{host}/", "scope": ["openid", "email", "profile"]},
        claims={"username": ["nickname", "preferred_username"]},
        blanks={"host": _HOST},
    ),
}


def apply(kind: str, table: Mapping[str, object]) -> dict[str, object]:
    """Lay a connector's settings over those of its preset."""
    name = table.get("preset")
    if name is None:
        return dict(table)
    preset = PRESETS.get(name) if isinstance(name, str) else None
    if preset is not None and preset.kind != kind:
        raise Misconfigured(f'preset: this one is of kind = "{preset.kind}"')
    if preset is None:
        known = ", ".join(sorted(each for each, found in PRESETS.items() if found.kind == kind))
        raise Misconfigured(f"preset: write one of {known}")
    filled = {} if "issuer" in table else _filled(preset, table)
    rest = {key: value for key, value in table.items() if key not in preset.blanks}
    claims = rest.pop("claims", {})
    if not isinstance(claims, Mapping):
        raise Misconfigured("claims: write a table")
    return {**preset.settings, **filled, **rest, "claims": {**preset.claims, **claims}}


def _filled(preset: Preset, table: Mapping[str, object]) -> dict[str, object]:
    if not preset.blanks:
        return {}
    words: dict[str, str] = {}
    for blank, shape in preset.blanks.items():
        word = table.get(blank)
        if not isinstance(word, str) or not shape.fullmatch(word):
            raise Misconfigured(f"{blank}: {WANTED[blank]}")
        words[blank] = word
    return {"issuer": str(preset.settings["issuer"]).format(**words)}
